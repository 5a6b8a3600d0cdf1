"""F12: the wall clock of a server is wrong, jumps while it runs, goes back over a restart, and
comes to the end of 32 bits. Those who verify have the right time, unless it says otherwise."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dojang.clock import SYSTEM_CLOCK
from dojang.resource import (
    Expect,
    Follower,
    HybridVerifier,
    IntrospectionVerifier,
    LocalVerifier,
    Refusal,
    RefusalReason,
    RemoteKeys,
    WhenStale,
)
from tests.cli.conftest import fill
from tests.cli.installation import ORDERS, Installation
from tests.faults.asking import Caller, wait_until
from tests.faults.history import History
from tests.server.front_door import decode_jwt
from tests.services.faketime import WrongClock
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.proves("F12")

LEEWAY = 5
DAY = 86_400
END = 2**31  # seconds since 1970
JUMPS = [1, -1, 5, -5, 60, -60, -600, 600, 0]  # seconds from the right time, one after the other
NEAR = 2  # seconds: so close to a limit either answer is right


class Shifted:
    """The machine's clocks, the wall clock so many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def now(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


class Server:
    """An installation whose server has a clock of its own."""

    def __init__(self, directory: Path, *options: str, ahead: float = 0.0) -> None:
        self.clock = WrongClock(directory / "clock", ahead=ahead)
        self.installation = Installation(directory, *options)
        assert self.installation.made.code == 0, self.installation.made.err
        fill(self.installation)
        self.start()
        self.caller = Caller(self.installation.issuer, directory)

    def start(self) -> None:
        variables = [f"{name}={value}" for name, value in self.clock.environment.items()]
        self.installation.start(["env", *variables, self.installation.program])

    def restart(self, *, ahead: float) -> None:
        assert self.installation.stop() == 0
        self.clock.set(ahead)
        self.start()

    def jump(self, ahead: float) -> None:
        """While it runs; return when it has noticed."""
        self.clock.set(ahead)
        wait_until(lambda: abs(self.find_time() - time.time() - ahead) < 2)

    def find_time(self) -> int:
        """What time it is there."""
        issued_at = decode_jwt(self.caller.issue(History()))[1]["iat"]
        assert isinstance(issued_at, int)
        return issued_at

    def build_verifier(self, *, ahead: float = 0.0) -> HybridVerifier:
        """A service that follows it, with a clock of its own."""
        issuer, clock = self.installation.issuer, Shifted(ahead)
        expect = Expect(issuer=issuer, audience=ORDERS, algorithms=["ES256"], leeway=LEEWAY)
        credentials = self.caller.orders
        verifier = HybridVerifier(
            local=LocalVerifier(expect, keys=RemoteKeys(issuer, clock=clock), clock=clock),
            introspection=IntrospectionVerifier(expect, credentials=credentials, clock=clock),
            follower=Follower(issuer, credentials=credentials, clock=clock),
            when_stale=WhenStale.REFUSE,
            clock=clock,
        )
        verifier.ready()
        return verifier


def find_reasons(verifier: HybridVerifier, tokens: Iterable[str]) -> list[RefusalReason | None]:
    """Why each token is refused; None where it is accepted. The view is younger than the call."""
    assert verifier.follower is not None
    asked_at, proof = SYSTEM_CLOCK.monotonic(), verifier.follower.proof
    wait_until(lambda: proof.at >= asked_at)

    def find_reason(token: str) -> RefusalReason | None:
        try:
            verifier.verify(token)
        except Refusal as refusal:
            return refusal.reason
        return None

    return [find_reason(token) for token in tokens]


def check_time(token: str, reason: RefusalReason | None, *, reached: float = 0.0) -> None:
    """That a token which nobody revoked is accepted in its time and at no other. `reached` is how
    far ahead the issuer's clock has been: who follows it holds it to that."""
    claims, now = decode_jwt(token)[1], time.time()
    early = claims["iat"] - LEEWAY - now
    late = now + reached - claims["exp"] - LEEWAY
    assert reason in {None, RefusalReason.NOT_YET_VALID, RefusalReason.EXPIRED}
    if abs(early) > NEAR:
        assert (reason is RefusalReason.NOT_YET_VALID) == (early > 0)
    if abs(late) > NEAR:
        assert (reason is RefusalReason.EXPIRED) == (late > 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    assert made.installation.stop() == 0
    assert "Traceback" not in made.installation.log


def close(verifier: HybridVerifier) -> None:
    assert verifier.follower is not None
    verifier.follower.close()


def test_a_clock_that_jumps_accepts_nothing_early_late_or_revoked(server: Server) -> None:
    history, verifier = History(), server.build_verifier()
    caller, reached = server.caller, 0
    for ahead in JUMPS:
        server.jump(ahead)
        kept, doomed = caller.issue(history), caller.issue(history)
        assert caller.ask(history, kept)  # good by its own time
        caller.revoke(history, doomed)
        reason, *reasons = find_reasons(verifier, [kept, *history.dead])
        reached = max(reached, ahead)
        check_time(kept, reason, reached=reached)
        assert None not in reasons
        for token in history.dead:
            assert not caller.ask(history, token)
    (reason,) = find_reasons(verifier, history.dead[-1:])
    assert reason is RefusalReason.REVOKED
    assert history.problems == []
    close(verifier)


def test_a_restart_with_the_clock_set_back_revives_nothing(server: Server) -> None:
    server.restart(ahead=0)
    history, verifier = History(), server.build_verifier()
    caller = server.caller
    caller.revoke(history, caller.issue(history))
    of_client = caller.issue(history)
    history.revoking(of_client)
    server.installation.must("revoke", "client", "shop")
    history.revoked(of_client)
    for ahead in (-600, -DAY, 0):
        server.restart(ahead=ahead)
        after = caller.issue(later := History())  # order decides, whatever its time
        assert caller.ask(later, after)
        for token in history.all:
            caller.ask(history, token)
        reason, *reasons = find_reasons(verifier, [after, *history.dead])
        check_time(after, reason)
        assert set(reasons) == {RefusalReason.REVOKED}
    assert history.problems == []
    close(verifier)


@pytest.fixture
def late_server(postgres: PostgresCluster, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "address").write_text(postgres.make_empty_database())
    options = [f"--storage-url-file={tmp_path / 'address'}"]
    home = tmp_path / "auth"
    home.mkdir()
    made = Server(home, *options, ahead=END - time.time() - 4)
    yield made
    assert made.installation.stop() == 0
    assert "Traceback" not in made.installation.log


def test_the_end_of_32_bits_is_a_second_like_others(late_server: Server) -> None:
    server, history = late_server, History()
    ahead = server.find_time() - time.time()
    verifier = server.build_verifier(ahead=ahead)
    caller = server.caller
    before, dead = caller.issue(history), caller.issue(history)
    caller.revoke(history, dead)
    wait_until(lambda: server.find_time() > END)
    after, other = caller.issue(history), caller.issue(history)
    caller.revoke(history, other)
    for _ in range(2):
        for token in history.all:
            caller.ask(history, token)
        reasons = find_reasons(verifier, [dead, other, before, after])
        assert reasons == [RefusalReason.REVOKED, RefusalReason.REVOKED, None, None]
        server.restart(ahead=ahead)
    assert history.problems == []
    close(verifier)
