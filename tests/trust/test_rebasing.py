"""A later snapshot that is taken beside answers and notices: nothing that is known gets lost."""

import random
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Event, RLock, Thread

import pytest

from dojang.fetch import FetchRequest, FetchResponse, drive
from dojang.fetch.flow import Flow
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.testing import SettableClock
from dojang.trust import revocations, settled_facts
from dojang.trust.chunk_files import ChunkFiles
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.follower import Follower
from dojang.trust.marks import Marks
from dojang.trust.revocations import RevocationView
from dojang.trust.settled_facts import Settled
from dojang.trust.verified_feed import VerifiedFeed
from tests.scripted_issuer import VIEW_KEY, Held, ScriptedIssuer, Wire

PATIENCE = 20.0
TAGS = Tagger(VIEW_KEY)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and settling at any time."""
    monkeypatch.setattr(settled_facts, "MOST_FEW", 8)
    monkeypatch.setattr(revocations, "MOST_RECENT", 16)


@pytest.fixture
def issuer() -> ScriptedIssuer:
    return ScriptedIssuer(clock=SettableClock())


@pytest.fixture
def follower(issuer: ScriptedIssuer) -> Follower:
    following = Follower(
        issuer.url,
        credentials=ClientSecretBasic("orders", "secret"),
        transport=issuer,
        clock=issuer.clock,
        by_hand=True,
    )
    following.poll()
    return following


def knows(view: RevocationView, number: int, record: Record) -> bool:
    """All of a fact: whom it ends, and which is the last that it does."""
    of_token = record.kind is FactKind.TOKEN
    own, others = (record.tag, ()) if of_token else (None, (record.tag,))
    kinds = () if of_token else (record.kind,)
    return view.find_killer(Marks((1 << 48) + number - 1, own, kinds, others)) is record.kind


def find_lost(view: RevocationView, issuer: ScriptedIssuer) -> list[int]:
    numbered = enumerate(issuer.facts, 1)
    return [number for number, record in numbered if not knows(view, number, record)]


@pytest.mark.proves("F6", "F15", "V3")
def test_a_snapshot_taken_beside_answers_and_notices_loses_nothing(
    issuer: ScriptedIssuer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(7)
    view = follower.view
    assert view is not None
    ended = Event()
    based: list[Rev] = []
    lock, send = RLock(), issuer.send

    def send_alone(request: FetchRequest) -> FetchResponse:
        with lock:
            return send(request)

    monkeypatch.setattr(issuer, "send", send_alone)
    issuer.page_size = 1  # the way on leads through every place

    def rebase() -> None:
        while not ended.is_set():
            follower.rebase(issuer)
            if based[-1:] != [follower.exchange.feed.base]:
                based.append(follower.exchange.feed.base)

    def hold(held: Held) -> None:
        for _ in range(draw.randrange(4)):
            kind = draw.choice([FactKind.TOKEN, FactKind.TOKEN, FactKind.ACCOUNT, FactKind.GRANT])
            issuer.revoke(kind, str(draw.randrange(60)))
            if draw.random() < 0.7:
                held.tell(len(issuer.facts))
                assert knows(view, len(issuer.facts), issuer.facts[-1])
        issuer.clock.move(0.5)

    issuer.hold = hold
    thread = Thread(target=rebase)
    thread.start()
    wire = Wire(issuer)
    try:
        ends = time.monotonic() + PATIENCE
        while len(based) < 60 and time.monotonic() < ends:
            follower.ask(wire)
            time.sleep(0.001)  # others come to the issuer, too
            assert find_lost(view, issuer) == []
    finally:
        ended.set()
        thread.join(PATIENCE)
    assert (follower.position, follower.status().failures) == (issuer.position, 0)
    follower.rebase(issuer)
    view.settle()
    assert find_lost(view, issuer) == []
    assert len(based) >= 60
    # Nor is there anything that never was.
    told = {record.tag for record in issuer.facts}
    for kind in (FactKind.TOKEN, FactKind.ACCOUNT, FactKind.GRANT):
        for name in range(60, 80):
            tag = TAGS.tag(kind, str(name))
            assert tag not in told
            assert not knows(view, 1, Record(kind, tag, 0))


@pytest.mark.proves("F6", "F15")
def test_a_snapshot_that_is_overtaken_does_not_take_the_place_of_the_later_one(
    issuer: ScriptedIssuer,
    follower: Follower,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The later one came while the other was about to be taken, and both are mapped."""
    feed, files = follower.exchange.feed, ChunkFiles(tmp_path)

    def prepare(feed: VerifiedFeed) -> tuple[Flow[None], Flow[None]]:
        """To take the snapshot of now, as a base and as the next."""
        signed, chunks = issuer.snapshot()
        digests = [sha256(chunk).digest() for chunk in chunks]
        for digest, chunk in zip(digests, chunks, strict=True):
            files.store(digest, chunk)
        mapped = dict(zip(digests, drive(files.load(digests), issuer), strict=True))
        manifest = feed.check_manifest(signed, digests)
        taken = manifest, signed, mapped
        return feed.take_base(*taken), feed.take_snapshot(*taken)

    def revoke(count: int) -> None:
        for _ in range(count):
            issuer.revoke(FactKind.TOKEN, f"jti-{len(issuer.facts)}")

    revoke(20)
    follower.poll()
    as_base, _ = prepare(feed)
    revoke(20)
    _, as_next = prepare(feed)
    view = feed.view
    assert view is not None
    rebase, threads = view.rebase, []

    def be_overtaken(chunks: Settled) -> None:
        thread = Thread(target=lambda: drive(as_next, issuer))
        threads.append(thread)
        thread.start()
        thread.join(0.2)  # it ends, unless it has to wait
        rebase(chunks)

    monkeypatch.setattr(view, "rebase", be_overtaken)
    drive(as_base, issuer)
    for thread in threads:
        thread.join(PATIENCE)
    assert feed.base == feed.position == Rev(1, 40)
    assert find_lost(view, issuer) == []


class Ending:
    """A transport to the issuer over which a rebase waits while the world goes on."""

    def __init__(self, issuer: ScriptedIssuer) -> None:
        self._issuer = issuer
        self.do: Callable[[], object] = lambda: None

    def send(self, request: FetchRequest) -> FetchResponse:
        response = self._issuer.send(request)
        self.do()
        return response


@pytest.mark.proves("F15", "F6")
@pytest.mark.parametrize("change", ["lease", "epoch", "history"])
def test_what_changes_under_a_rebase_ends_it(
    issuer: ScriptedIssuer, follower: Follower, change: str
) -> None:
    view = follower.view
    assert view is not None
    for number in range(30):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
    follower.poll()
    known = list(issuer.facts)
    ending = Ending(issuer)

    def do() -> None:
        ending.do = lambda: None
        if change == "lease":
            follower.exchange.leave()
        elif change == "epoch":
            issuer.begin_epoch()
            follower.poll()
            follower.poll()
        else:
            issuer.go_back(10)
            issuer.revoke(FactKind.TOKEN, "another")

    ending.do = do
    follower.rebase(ending)
    for number, record in enumerate(known, 1):
        assert knows(view, number, record)
