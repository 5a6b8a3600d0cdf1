"""Following by itself: the thread, its beginning, its end, and a process that forks."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dojang.fetch import FetchRequest, FetchResponse
from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import FactKind
from dojang.testing import SettableClock
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.feed_pace import Pace
from dojang.trust.feed_status import FeedState
from dojang.trust.follower import Follower
from tests.scripted_issuer import ScriptedIssuer

BEFORE: list[threading.Thread] = []
PATIENCE = 20  # seconds until a test gives up on something that does not happen


@pytest.fixture(autouse=True)
def threads_before() -> None:
    """Followers that other tests left behind keep theirs."""
    BEFORE[:] = find_threads()


@pytest.fixture
def issuer() -> ScriptedIssuer:
    return ScriptedIssuer(clock=SettableClock())


@pytest.fixture
def follower(issuer: ScriptedIssuer) -> Iterator[Follower]:
    following = build(issuer)
    yield following
    following.close()


def build(issuer: ScriptedIssuer, **settings: Any) -> Follower:
    proof = {} if "source" in settings else {"credentials": ClientSecretBasic("orders", "secret")}
    return Follower(issuer.url, transport=issuer, **proof, **settings)  # type: ignore[arg-type]


def until(happened: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


def find_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "dojang-feed"]


def count_threads() -> int:
    """Those that were not there before the test."""
    return sum(each not in BEFORE for each in find_threads())


@pytest.mark.proves("V3")
def test_follows_by_itself_from_the_first_look_on(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.revoke(FactKind.TOKEN, "before")
    assert not issuer.requests
    follower.look()
    follower.look()
    until(lambda: follower.status().state is FeedState.FRESH)
    issuer.revoke(FactKind.TOKEN, "after")
    until(lambda: follower.position == issuer.position)
    assert len(issuer.joins) == 1
    with pytest.raises(ValueError, match="by itself"):
        follower.poll()


@pytest.mark.proves("C92", "F6")
def test_lets_the_issuer_wait_a_third_of_the_smallest_bound(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    follower.look()
    # The first answers are needed at once.
    until(lambda: issuer.questions and issuer.questions[-1]["hold"] == "500")
    assert [each["hold"] for each in issuer.questions[:2]] == ["0", "0"]
    follower.need(30)
    follower.need(0)
    follower.need(0.3)
    until(lambda: issuer.questions[-1]["hold"] == "100")
    # After a question without an answer the next is needed at once.
    issuer.status["/feed"] = 503
    until(lambda: follower.status().failures)
    issuer.status.clear()
    asked = len(issuer.questions)
    until(lambda: len(issuer.questions) > asked)
    assert issuer.questions[asked]["hold"] == "0"


def test_a_follower_has_a_thread_that_ends_with_it(issuer: ScriptedIssuer) -> None:
    followers = [build(issuer), build(issuer)]
    for follower in followers:
        follower.look()
    until(lambda: all(each.status().age is not None for each in followers))
    assert count_threads() == 2
    first = followers.pop(0)
    first.close()
    until(lambda: count_threads() == 1)
    position = first.position
    follower = first
    followers.clear()  # nobody holds the second any more
    gc.collect()
    until(lambda: not count_threads())
    first.look()  # closed is closed
    assert not count_threads()
    assert first.position == position


def test_who_waits_for_a_feed_to_be_offered_holds_up_nothing(issuer: ScriptedIssuer) -> None:
    issuer.offered = False
    followers = [build(issuer)]
    followers[0].look()
    until(lambda: followers[0].status().state is FeedState.NOT_OFFERED)
    followers.clear()
    gc.collect()
    until(lambda: not count_threads())


def test_begins_again_after_the_thread_has_ended(issuer: ScriptedIssuer) -> None:
    for _ in range(2):
        follower = build(issuer)
        follower.look()
        until(lambda: follower.status().age is not None)  # noqa: B023
        follower.close()
        until(lambda: not count_threads())


class Source:
    """Gives tokens, the first of which the issuer does not take."""

    def __init__(self) -> None:
        self.given = 0
        self.discarded: list[str] = []

    def token(self) -> str:
        self.given += 1
        if self.given == 1:
            raise RuntimeError("something of the caller's")
        if self.given == 2:
            raise Unavailable("the token endpoint")
        return f"token-{self.given}"

    def discard(self, token: str) -> None:
        self.discarded.append(token)


def test_joins_with_a_token_that_the_issuer_takes(issuer: ScriptedIssuer) -> None:
    source = Source()
    follower = build(issuer, source=source)
    send = issuer.send

    def refuse_third(request: FetchRequest) -> FetchResponse:
        if ("Authorization", "Bearer token-3") in request.headers:
            return FetchResponse(401, {}, b"{}")
        return send(request)

    issuer.send = refuse_third  # type: ignore[method-assign]
    follower.look()
    until(lambda: follower.status().age is not None)
    follower.close()
    assert source.discarded == ["token-3"]
    ((_, headers),) = issuer.joins
    assert headers["Authorization"] == "Bearer token-4"


@pytest.mark.proves("C92")
def test_whatever_a_transport_raises_it_goes_on(issuer: ScriptedIssuer, follower: Follower) -> None:
    send = issuer.send
    raised: list[Exception] = []

    def fail_first(request: FetchRequest) -> FetchResponse:
        if len(raised) < 3:
            raised.append(ZeroDivisionError("a secret"))
            raise raised[-1]
        return send(request)

    issuer.send = fail_first  # type: ignore[method-assign]
    follower.look()
    until(lambda: follower.status().failure == "ZeroDivisionError is unavailable")
    until(lambda: follower.status().state is FeedState.FRESH)


def test_needs_one_proof_of_who_follows() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Follower("https://issuer.test")
    with pytest.raises(ValueError, match="one of them"):
        Follower("https://issuer.test", credentials=ClientSecretBasic("a", "b"), source=Source())
    for hold in (0, -1, 21):
        with pytest.raises(ValueError, match="hold"):
            Follower("https://issuer.test", source=Source(), hold=hold)


SCRIPT = """
import os, sys, time
from dojang.oauth.revocation_fact import FactKind
from dojang.testing import SettableClock
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.follower import Follower
from tests.scripted_issuer import ScriptedIssuer

def until(happened):
    ends = time.monotonic() + 15
    while not happened():
        if time.monotonic() > ends:
            os._exit(2)
        time.sleep(0.005)

issuer = ScriptedIssuer(clock=SettableClock())
follower = Follower(issuer.url, credentials=ClientSecretBasic("a", "b"), transport=issuer)
follower.look()
until(lambda: follower.status().age is not None)
child = os.fork()
proven_at = follower.proof.at
if child == 0:
    until(lambda: follower.status().age > 0.6)     # nothing follows here yet
    issuer.revoke(FactKind.TOKEN, "in the child")  # its own copy of the issuer
    follower.look()
    until(lambda: follower.position == issuer.position and follower.proof.at > proven_at)
    os._exit(0 if len(issuer.joins) == 2 else 3)   # as a follower of its own
until(lambda: follower.proof.at > proven_at)
_, status = os.waitpid(child, 0)
follower.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_follows_for_itself() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path.cwd(),
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.proves("C92", "F6")
@pytest.mark.parametrize("bound", [0.1, 0.3, 1, 2, 10, 3600])
def test_two_questions_in_a_row_fit_into_a_bound(bound: float) -> None:
    pace = Pace()
    pace.need(bound)
    assert pace.hold <= min(bound / 3, 0.5)
    # One that is lost is given up while there is time for another.
    assert pace.timeout <= max(pace.hold + 0.25, bound * 2 / 3)


def test_who_gets_no_answer_asks_more_and_more_seldom() -> None:
    pace = Pace()
    pauses = [pace.fail() for _ in range(12)]
    assert pauses[0] <= 0.1
    assert max(pauses) <= 5
    assert min(pauses[8:]) >= 2.5
    assert pace.hold == 0
    assert pace.timeout == 10
    pace.succeed(hold=0, spent=0.1, facts=0)
    assert (pace.failures, pace.hold) == (0, 0.5)


@pytest.mark.proves("F6")
def test_an_issuer_that_does_not_wait_is_not_asked_without_end() -> None:
    pace = Pace()
    pauses = [pace.succeed(hold=0.5, spent=0.0, facts=0) for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.5
    assert pace.succeed(hold=0.5, spent=0.0, facts=1) == 0
    assert pace.succeed(hold=0.5, spent=0.5, facts=0) == 0
    assert 0 < pace.succeed(hold=0.5, spent=0.4, facts=0) <= 0.1


@pytest.mark.proves("V3")
def test_after_news_it_pauses_about_as_long_as_the_issuer_wants() -> None:
    pace = Pace()
    pauses = [pace.succeed(hold=0.5, spent=0.1, facts=1, pause=0.04) for _ in range(40)]
    assert all(0.02 <= pause <= 0.06 for pause in pauses)
    assert len(set(pauses)) > 1
    assert pace.succeed(hold=0.5, spent=0.5, facts=0, pause=0.04) == 0


def test_of_a_stream_of_news_each_answer_takes_several() -> None:
    pace = Pace()
    pauses = [pace.succeed(hold=0.5, spent=0.004, facts=1) for _ in range(30)]
    assert pauses[:15] == [0] * 15
    assert pauses[15:] == [pytest.approx(0.016)] * 15
    assert pace.succeed(hold=0.5, spent=0.03, facts=1) == 0
    pace.succeed(hold=0.5, spent=0.5, facts=0)
    assert pace.succeed(hold=0.5, spent=0.004, facts=1) == 0
    pace.need(0.1)
    pauses = [pace.succeed(hold=0.03, spent=0, facts=1) for _ in range(30)]
    assert max(pauses) <= 0.01


@pytest.mark.proves("C92")
@pytest.mark.parametrize(
    "rate, interval", [(30, 0.02), (200, 0.02), (500, 0.04), (1000, 0.08), (5000, 0.1)]
)
def test_the_denser_a_stream_of_news_the_more_of_it_an_answer_takes(
    rate: int, interval: float
) -> None:
    pace = Pace()
    pause, facts = 0.0, 1
    for _ in range(40):
        pause = pace.succeed(hold=0.5, spent=0.004, facts=facts)
        facts = max(1, round(rate * (0.004 + pause)))
    assert pause + 0.004 == pytest.approx(interval, rel=0.25)
    pace.need(0.3)
    assert pace.succeed(hold=0.1, spent=0.004, facts=1000) <= 0.03
    assert pace.succeed(hold=0.1, spent=0.5, facts=1) == 0
