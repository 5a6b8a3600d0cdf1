"""F3 with real processes: keys of a running server are rotated and revoked while clients get
tokens and verifiers, which hold key sets from before, check them. None is refused."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

import pytest

from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.resource import Expect, LocalVerifier, Refusal
from tests.cli.installation import LONG, Installation
from tests.server.front_door import decode_jwt

ALGORITHMS = ("ES256", "ES384", "EdDSA")
DAY = 86_400
WORKERS = 2
ENOUGH = 20  # tokens of a new key


def find_audience(algorithm: str) -> str:
    return f"urn:{algorithm.lower()}"


def make_old(database: Path) -> None:
    """As if the installation had been there since yesterday: its standby keys have been seen."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "UPDATE keys SET published_at = published_at - ?, active_from = active_from - ?",
            (DAY, DAY),
        )
        connection.commit()


class Verifiers:
    """For each API one that holds a key set from before, and what they said."""

    def __init__(self, issuer: str) -> None:
        self._verifiers = {
            algorithm: LocalVerifier(
                Expect(issuer=issuer, audience=find_audience(algorithm), algorithms=[algorithm])
            )
            for algorithm in ALGORITHMS
        }
        self.refused: list[object] = []
        self.taken: defaultdict[str, list[str]] = defaultdict(list)
        self._more = Condition()

    def check(self, algorithm: str, token: str, kid: str) -> None:
        try:
            self._verifiers[algorithm].verify(token)
        except Refusal as refusal:
            self.refused.append((algorithm, refusal.reason))
            return
        with self._more:
            self.taken[kid].append(token)
            self._more.notify_all()

    def wait_for(self, kid: str) -> None:
        """Until enough tokens of a key were taken."""
        with self._more:
            assert self._more.wait_for(
                lambda: len(self.taken[kid]) >= ENOUGH or self.refused, timeout=LONG
            )


@contextmanager
def load(issuer: str, shop: ClientSecretBasic, verifiers: Verifiers) -> Iterator[list[object]]:
    """Threads that get a token for each API in turn and have it checked."""
    stopped = Event()
    failures: list[object] = []

    def work() -> None:
        client = IssuerClient(issuer)
        while not stopped.is_set():
            for algorithm in ALGORITHMS:
                try:
                    token = client.issue(shop, find_audience(algorithm), None).value
                    verifiers.check(algorithm, token, decode_jwt(token)[0]["kid"])
                except Exception as error:  # noqa: BLE001
                    failures.append(error)
                    return

    workers = [Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        yield failures
    finally:
        stopped.set()
        for worker in workers:
            worker.join()


def find_kid(installation: Installation, algorithm: str, state: str) -> str:
    keys: list[dict[str, Any]] = installation.must("keys", "list")["keys"]
    (kid,) = (
        key["kid"]
        for key in keys
        if (key["algorithm"], key["use"], key["state"]) == (algorithm, "access_token", state)
    )
    assert isinstance(kid, str)
    return kid


@pytest.mark.proves("F3", "K3", "C96", "C97")
def test_keys_rotate_and_leak_under_load_and_no_good_token_is_refused(fresh: Installation) -> None:
    for algorithm in ALGORITHMS:
        fresh.must(
            "resource", "add", find_audience(algorithm), "--scope=x", f"--algorithm={algorithm}",
            "--introspector=asker",
        )  # fmt: skip
    fresh.add_client("shop", *(f"{find_audience(algorithm)}=x" for algorithm in ALGORITHMS))
    fresh.add_client("asker")
    make_old(fresh.directory / "dojang.db")
    fresh.start()
    shop = ClientSecretBasic("shop", (fresh.directory / "shop.secret").read_text().strip())
    verifiers = Verifiers(fresh.issuer)
    with load(fresh.issuer, shop, verifiers) as failures:
        old = {algorithm: find_kid(fresh, algorithm, "active") for algorithm in ALGORITHMS}
        for algorithm in ALGORITHMS:
            verifiers.wait_for(old[algorithm])
        for algorithm in ALGORITHMS[:2]:
            standby = find_kid(fresh, algorithm, "upcoming")
            fresh.must("keys", "rotate", f"--algorithm={algorithm}")
            verifiers.wait_for(standby)
        standby = find_kid(fresh, ALGORITHMS[2], "upcoming")
        fresh.must("keys", "revoke", old[ALGORITHMS[2]])
        verifiers.wait_for(standby)
        refused = fresh.run("keys", "remove", old[ALGORITHMS[0]])
        assert "may live until" in refused.err
    assert failures == []
    assert verifiers.refused == []
    assert {find_kid(fresh, each, "retained") for each in ALGORITHMS[:2]} < set(verifiers.taken)
    assert fresh.is_active(verifiers.taken[old[ALGORITHMS[0]]][0], "asker")
    assert fresh.is_active(verifiers.taken[standby][0], "asker")
    assert not fresh.is_active(verifiers.taken[old[ALGORITHMS[2]]][-1], "asker")
    assert fresh.stop() == 0
    assert "Traceback" not in fresh.log
