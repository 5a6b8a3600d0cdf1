"""A process killed in the middle of its commits loses nothing it acknowledged."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from dojang.oauth.revocation_fact import Rev
from dojang.server.audit import find_break
from dojang.storage.opening import open_store

ROOT = Path(__file__).parents[2]
ROUNDS = 5


def run_until_killed(url: str, prefix: str, acknowledged: int) -> list[str]:
    """The names acknowledged by a process that was killed after about that many."""
    command = [sys.executable, "-m", "tests.storage.committer", url, prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout.readlines()
    names = [line.decode().strip() for line in lines if line.endswith(b"\n")]
    assert len(names) >= acknowledged
    return names


@pytest.mark.proves("F18", "A6")
async def test_what_was_acknowledged_is_there_and_nothing_is_half_there(lasting_url: str) -> None:
    acknowledged: set[str] = set()
    for turn in range(ROUNDS):
        acknowledged.update(run_until_killed(lasting_url, f"r{turn}", random.randint(1, 400)))
        store = await open_store(lasting_url)
        try:
            position = await store.position()
            clients = {client.client_id for client in await store.list_clients(limit=1_000_000)}
            facts = await store.load_facts(Rev(0, 0))
            records = await store.load_audit(limit=1_000_000)
        finally:
            await store.close()
        assert acknowledged <= clients
        assert position[:3] == (1, 2 * len(clients), len(clients))
        assert [fact.rev.number for fact in facts] == list(range(1, position.head + 1))
        expected = {f"{name}-{part}" for name in clients for part in ("first", "second")}
        assert {fact.identifier for fact in facts} == expected
        assert {record.event.target for record in records} == clients
        assert find_break(records) is None
