"""F9, F18: the server is killed at any point while tokens are revoked, and clients try again.
DOJANG_CRASHES sets how often (4 by default)."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dojang.cli.admin_client import AdminClient
from dojang.cli.config_loading import load_config
from dojang.cli.errors import Failure
from dojang.oauth.revocation_fact import Fact, FactKind, Rev
from dojang.storage.opening import open_store
from tests.cli.conftest import fill
from tests.cli.installation import Installation, environment
from tests.faults.asking import Caller, Service, at_work, wait_until
from tests.faults.history import History, OpenFiles
from tests.server.front_door import decode_jwt
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.proves("F9", "F18", "O3")

CRASHES = int(os.environ.get("DOJANG_CRASHES", "4"))
LONGEST_LIFE = 0.15  # seconds under load, until the next blow


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    options = []
    if request.param == "postgresql":
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        (tmp_path / "address").write_text(cluster.make_empty_database())
        options = [f"--storage-url-file={tmp_path / 'address'}"]
    home = tmp_path / "auth"
    home.mkdir()
    made = Installation(home, *options)
    assert made.made.code == 0, made.made.err
    yield made
    if made.is_running:
        made.stop()


def load_facts(installation: Installation) -> list[Fact]:
    config = load_config(
        installation.directory / "dojang.toml", environ=environment(), secrets={"storage.url"}
    ).config

    async def load() -> list[Fact]:
        store = await open_store(config.storage.url)
        try:
            return list(await store.load_facts(Rev(0, 0)))
        finally:
            await store.close()

    return asyncio.run(load())


class Load:
    """Clients that revoke: some try again until they are told it is done, some give up."""

    def __init__(self, installation: Installation, history: History) -> None:
        self._caller = Caller(installation.issuer, installation.directory)
        self._history = history
        config = load_config(
            installation.directory / "dojang.toml",
            environ=environment(),
            secrets={"operator.client_secret"},
        ).config
        self._admin = AdminClient(config)
        self.given_up: list[str] = []
        self.by_operators: list[str] = []

    def persist(self) -> None:
        self._insist(self._revoke, self._caller.issue(self._history))

    def persist_as_operator(self) -> None:
        token = self._caller.issue(self._history)
        self.by_operators.append(token)
        self._insist(self._revoke_as_operator, token)

    def give_up(self) -> None:
        token = self._caller.issue(self._history)
        try:
            self._revoke(token)
        except Failure:
            self.given_up.append(token)
            raise

    def repeat(self) -> None:
        """What was revoked is revoked again, and answered the same."""
        if dead := self._history.dead:
            token = random.choice(dead)
            self._revoke(token)
            assert not self._caller.ask(self._history, token)

    def keep(self) -> None:
        self._caller.issue(self._history)
        self.ask_any()

    def ask_any(self) -> None:
        self._caller.ask(self._history, random.choice(self._history.all))

    def ask_all(self) -> None:
        for token in self._history.all:
            self._caller.ask(self._history, token)

    def holds(self, token: str) -> bool:
        return not self._caller.client.introspect(self._caller.orders, token)["active"]

    def _insist(self, revoke: Callable[[str], None], token: str) -> None:
        while True:
            try:
                revoke(token)
            except Failure as failure:
                self._history.failed(failure)
                time.sleep(0.01)
            else:
                return

    def _revoke(self, token: str) -> None:
        self._caller.revoke(self._history, token)

    def _revoke_as_operator(self, token: str) -> None:
        self._history.revoking(token)
        self._admin.perform("revoke.token", {"token": token})
        self._history.revoked(token)


def wait_for_more(history: History, count: int) -> None:
    wanted = len(history.dead) + count
    wait_until(lambda: len(history.dead) >= wanted or bool(history.problems))


def test_what_was_acknowledged_is_revoked_whenever_the_server_is_killed(
    installation: Installation,
) -> None:
    installation.start()
    fill(installation)
    history, files = History(), OpenFiles()
    load = Load(installation, history)
    service = Service(Caller(installation.issuer, installation.directory), installation.issuer)
    jobs = [load.persist, load.persist_as_operator, load.give_up, load.repeat, load.keep]

    def judge() -> None:
        if tokens := history.all:
            service.ask(history, random.choice(tokens))
        time.sleep(0.001)

    began = time.monotonic()
    with at_work(history, *jobs, judge):
        for _ in range(CRASHES):
            wait_for_more(history, 1)
            time.sleep(random.uniform(0, LONGEST_LIFE))
            assert installation.stop(signal.SIGKILL) == -signal.SIGKILL
            installation.start()
            assert history.problems == []
        wait_for_more(history, 5)
    spent = time.monotonic() - began

    service.check_all(history)
    load.ask_all()
    held = sum(load.holds(token) for token in load.given_up)
    service.close()
    assert history.problems == []
    assert history.dead
    assert history.alive
    assert installation.stop() == 0
    facts = load_facts(installation)
    assert [fact.rev.number for fact in facts] == list(range(1, len(facts) + 1))
    check_once_each(facts, history, load.by_operators)
    assert installation.must("audit", "verify")["intact"] is True
    assert "Traceback" not in installation.log
    files.check()
    print(
        f"{CRASHES} crashes in {spent:.0f} s: {len(history.dead)} revoked, {len(history.alive)} "
        f"kept, {history.answers} answers, {history.outages} without; of {len(load.given_up)} "
        f"given up {held} hold"
    )


def check_once_each(facts: list[Fact], history: History, by_operators: list[str]) -> None:
    """Every revocation that was acknowledged is a fact; whoever was not sure and asked again made
    no second one, but an operator, who may."""
    count = Counter(fact.identifier for fact in facts if fact.kind is FactKind.TOKEN)
    dead = {decode_jwt(token)[1]["jti"] for token in history.dead}
    assert dead <= count.keys() <= {decode_jwt(token)[1]["jti"] for token in history.asked}
    again = {identifier for identifier, times in count.items() if times > 1}
    assert again <= {decode_jwt(token)[1]["jti"] for token in by_operators}
