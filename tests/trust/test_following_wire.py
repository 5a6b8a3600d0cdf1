"""Following over real sockets: what is heard while a question is held, and how that ends."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as list_threads
from typing import Any

import pytest

from dojang.fetch import FetchRequest, FetchResponse, HttpTransport
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.follower import Follower
from dojang.trust.marks import Marks
from tests.origin import Answer, Received
from tests.scripted_issuer import Held
from tests.wire_feed import WireFeed

PATIENCE = 20  # seconds until a test gives up on something that does not happen


class Stage:
    """Holds each question that takes notices, until it is let go. `said` is told first."""

    def __init__(self) -> None:
        self.held = Event()
        self.go_on = Event()
        self.say: Callable[[Held], object] = lambda held: None

    def __call__(self, held: Held) -> None:
        self.say(held)
        self.held.set()
        assert self.go_on.wait(PATIENCE)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def feed(stage: Stage) -> Iterator[WireFeed]:
    with WireFeed() as served:
        served.issuer.hold = stage
        yield served
        stage.go_on.set()


def build(feed: WireFeed, **settings: Any) -> Follower:
    """That would wait for long."""
    follower = Follower(
        feed.url,
        credentials=ClientSecretBasic("orders", "secret"),
        clock=feed.issuer.clock,
        hold=20,
        **settings,
    )
    follower.need(60)
    return follower


def until(happened: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


def knows(follower: Follower, tag: bytes) -> bool:
    view = follower.view
    assert view is not None
    return view.find_killer(Marks(0, tag, (), ())) is FactKind.TOKEN


def is_following(before: set[Thread]) -> bool:
    return any(each.name == "dojang-feed" and each not in before for each in list_threads())


@pytest.fixture
def before() -> set[Thread]:
    """Threads that other tests left behind."""
    return set(list_threads())


@pytest.mark.proves("V3", "C92")
def test_hears_while_the_question_is_held_and_stands_where_the_answer_leads(
    feed: WireFeed, stage: Stage
) -> None:
    issuer, told = feed.issuer, Event()

    def say(held: Held) -> None:
        for number in range(1, 4):
            issuer.revoke(FactKind.TOKEN, f"jti-{number}")
            held.tell(number)
        issuer.clock.move(5)
        assert told.wait(PATIENCE)

    stage.say = say
    follower = build(feed)
    follower.look()
    until(lambda: len(issuer.facts) == 3 and knows(follower, issuer.facts[2].tag))
    status = follower.status()
    assert (follower.position, status.age) == (Rev(1, 0), 5)
    assert all(knows(follower, record.tag) for record in issuer.facts)
    stage.say = lambda held: None
    told.set()
    stage.go_on.set()
    until(lambda: follower.position == Rev(1, 3))
    assert follower.status().failures == 0
    follower.close()


@pytest.mark.proves("C92", "F6")
def test_a_line_that_is_none_ends_the_question_and_it_asks_again(
    feed: WireFeed, stage: Stage
) -> None:
    said = []

    def say(held: Held) -> None:
        said.append(held)
        if len(said) == 1:
            held.send(b"x" * 40)
        else:
            feed.issuer.revoke(FactKind.TOKEN, "jti")
            held.tell(1)

    stage.say = say
    follower = build(feed)
    follower.look()
    until(lambda: follower.status().failures == 1)
    stage.go_on.set()
    until(lambda: follower.position >= Rev(1, 1))
    assert follower.status().failures == 1
    follower.close()


@pytest.mark.parametrize("told", [False, True])
def test_stops_while_a_question_is_held(
    feed: WireFeed, stage: Stage, before: set[Thread], *, told: bool
) -> None:
    def say(held: Held) -> None:
        if told:
            feed.issuer.revoke(FactKind.TOKEN, "jti")
            held.tell(1)

    stage.say = say
    follower = build(feed)
    follower.look()
    assert stage.held.wait(PATIENCE)
    follower.close()
    assert not is_following(before)
    assert not stage.go_on.is_set()


def test_of_what_others_ask_over_its_transport_nothing_ends(feed: WireFeed, stage: Stage) -> None:
    asked, go_on = Event(), Event()

    def take_long(_: Received) -> Answer:
        asked.set()
        assert go_on.wait(PATIENCE)
        return Answer(200, b"whole")

    feed.answers["/slow"] = take_long
    transport = HttpTransport()
    follower = build(feed, transport=transport)
    follower.look()
    assert stage.held.wait(PATIENCE)
    came: list[FetchResponse] = []
    request = FetchRequest("GET", f"{feed.url}/slow", timeout=PATIENCE)
    other = Thread(target=lambda: came.append(transport.send(request)))
    other.start()
    assert asked.wait(PATIENCE)
    follower.close()
    go_on.set()
    other.join(PATIENCE)
    assert [each.body for each in came] == [b"whole"]


def test_whom_nobody_holds_ends_with_its_answer(
    feed: WireFeed, stage: Stage, before: set[Thread]
) -> None:
    follower = build(feed)
    follower.look()
    assert stage.held.wait(PATIENCE)
    del follower
    gc.collect()
    stage.go_on.set()
    until(lambda: not is_following(before))


SCRIPT = """
import gc, os, sys, time
from threading import Event, enumerate as enumerate_threads
from dojang.fetch import HttpTransport
from dojang.oauth.revocation_fact import FactKind
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.follower import Follower
from tests.wire_feed import WireFeed

transport = HttpTransport()
lent, held, go_on = sys.argv[1] == "lent", Event(), Event()

def hold(question):
    if not held.is_set():
        feed.issuer.revoke(FactKind.TOKEN, "before")
        question.tell(1)
    held.set()
    go_on.wait(15)

def until(happened):
    ends = time.monotonic() + 15
    while not happened():
        if time.monotonic() > ends:
            os._exit(2)
        time.sleep(0.005)

with WireFeed() as feed:
    feed.issuer.hold = hold
    follower = Follower(
        feed.url,
        credentials=ClientSecretBasic("a", "b"),
        transport=transport if lent else None,
        clock=feed.issuer.clock,
        hold=20,
    )
    follower.need(60)
    follower.look()
    held.wait(15)
    until(lambda: len(follower.view))
    asking = [each.ident for each in enumerate_threads() if each.name == "dojang-feed"]
    child = os.fork()
    if child == 0:
        follower.look()      # as a follower of its own, which joins
        for ident in asking:
            transport.abort(ident)  # a thread here may have the number of one there
        until(lambda: not follower.exchange.needs_lease)
        follower.close()
        del follower
        gc.collect()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    feed.issuer.revoke(FactKind.TOKEN, "after")
    go_on.set()
    until(lambda: follower.position == feed.issuer.position)
    failures = follower.status().failures
    follower.close()
    if failures or len(feed.issuer.joins) != 2:
        sys.exit(3)
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("transport", ["own", "lent"])
def test_a_child_leaves_the_question_of_its_parent_alone(transport: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, transport],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path.cwd(),
    )
    assert (run.returncode, run.stderr) == (0, "")
