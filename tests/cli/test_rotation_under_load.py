"""F3 with real processes: keys of a running server are rotated and revoked while clients get
tokens and verifiers, which hold key sets from before, check them. None is refused."""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

import pytest

from dojang.cli.administering import administer
from dojang.cli.errors import Failure
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.resource import (
    Expect,
    Follower,
    Hybrid,
    Introspection,
    LocalVerifier,
    Refusal,
    Verifier,
)
from tests.cli.installation import LONG, Installation
from tests.server.front_door import decode_jwt

ALGORITHMS = ("ES256", "ES384", "EdDSA")
DAY = 86_400
WORKERS = 2
ROTATIONS = 5
ENOUGH = 20  # tokens of a new key


def find_audience(algorithm: str) -> str:
    return f"urn:{algorithm.lower()}"


def expect(installation: Installation, algorithm: str) -> Expect:
    audience = find_audience(algorithm)
    return Expect(issuer=installation.issuer, audience=audience, algorithms=[algorithm])


def make_old(database: Path) -> None:
    """As if the installation had been there since yesterday: its standby keys have been seen."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "UPDATE keys SET published_at = published_at - ?, active_from = active_from - ?",
            (DAY, DAY),
        )
        connection.commit()


class Every:
    """Verifies a token with each of `verifiers`, which must all take it."""

    def __init__(self, verifiers: Iterable[Verifier]) -> None:
        self._verifiers = verifiers

    def verify(self, token: str) -> None:
        for verifier in self._verifiers:
            verifier.verify(token)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


class Verifiers:
    """One for each algorithm, and what they said; `taken` are tokens by key."""

    def __init__(self, verifiers: Mapping[str, Verifier | Every]) -> None:
        self._verifiers = verifiers
        self.refused: list[object] = []
        self.taken: defaultdict[str, list[str]] = defaultdict(list)
        self._more = Condition()

    @property
    def algorithms(self) -> Iterable[str]:
        return self._verifiers

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
            for algorithm in verifiers.algorithms:
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


def operate(installation: Installation, name: str, **parameters: object) -> dict[str, Any]:
    return administer(installation.directory / "dojang.toml", name, parameters)


def find_kid(installation: Installation, algorithm: str, state: str) -> str:
    keys: list[dict[str, Any]] = operate(installation, "keys.list")["keys"]
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
    verifiers = Verifiers(
        {algorithm: LocalVerifier(expect(fresh, algorithm)) for algorithm in ALGORITHMS}
    )
    with load(fresh.issuer, shop, verifiers) as failures:
        old = {algorithm: find_kid(fresh, algorithm, "active") for algorithm in ALGORITHMS}
        for algorithm in ALGORITHMS:
            verifiers.wait_for(old[algorithm])
        for algorithm in ALGORITHMS[:2]:
            standby = find_kid(fresh, algorithm, "upcoming")
            operate(fresh, "keys.rotate", algorithm=algorithm)
            verifiers.wait_for(standby)
        standby = find_kid(fresh, ALGORITHMS[2], "upcoming")
        operate(fresh, "keys.revoke", kid=old[ALGORITHMS[2]])
        verifiers.wait_for(standby)
        with pytest.raises(Failure, match="may live until"):
            operate(fresh, "keys.remove", kid=old[ALGORITHMS[0]])
    assert failures == []
    assert verifiers.refused == []
    assert {find_kid(fresh, each, "retained") for each in ALGORITHMS[:2]} < set(verifiers.taken)
    assert fresh.is_active(verifiers.taken[old[ALGORITHMS[0]]][0], "asker")
    assert fresh.is_active(verifiers.taken[standby][0], "asker")
    assert not fresh.is_active(verifiers.taken[old[ALGORITHMS[2]]][-1], "asker")
    assert fresh.stop() == 0
    assert "Traceback" not in fresh.log


@pytest.mark.proves("F3", "K3", "C96")
def test_followers_have_each_new_key_before_it_signs(fresh: Installation) -> None:
    """Nobody polls: the standby that each rotation makes takes over in the next one."""
    algorithm = "ES384"
    fresh.must(
        "resource", "add", find_audience(algorithm), "--scope=x", f"--algorithm={algorithm}",
        "--introspector=asker", "--followers-only",
    )  # fmt: skip
    fresh.add_client("shop", f"{find_audience(algorithm)}=x")
    fresh.add_client("asker")
    fresh.start()
    shop, asker = (
        ClientSecretBasic(name, (fresh.directory / f"{name}.secret").read_text().strip())
        for name in ("shop", "asker")
    )
    introspection = Introspection(credentials=asker)
    verifiers = [
        Hybrid(introspection=introspection, follow=Follower(fresh.issuer, credentials=asker)).build(
            expect(fresh, algorithm)
        )
        for _ in range(2)
    ]
    for verifier in verifiers:
        assert verifier.ready() in {True, False}
    told = Verifiers({algorithm: Every(verifiers)})
    with load(fresh.issuer, shop, told) as failures:
        told.wait_for(find_kid(fresh, algorithm, "active"))
        until(lambda: len(operate(fresh, "status")["followers"]) == len(verifiers))
        for _ in range(ROTATIONS):
            rotated = operate(fresh, "keys.rotate", algorithm=algorithm)
            dates = {key["active_from"]: key["kid"] for key in rotated["keys"]}
            told.wait_for(dates[rotated["takes_over_at"]])
            until(lambda: not operate(fresh, "status")["rotations"])
    assert failures == []
    assert told.refused == []
    assert len(told.taken) == ROTATIONS + 1
    for verifier in verifiers:
        status = verifier.feed_status()
        assert status is not None
        assert status.decided > status.asked
        assert verifier.follower is not None
        verifier.follower.close()
    assert fresh.stop() == 0
    assert "Traceback" not in fresh.log
