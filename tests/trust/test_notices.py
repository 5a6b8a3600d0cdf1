"""Facts that are told while a question is held: what they end, and what they leave to answers."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import pytest

from dojang.fetch import FetchResponse, drive
from dojang.jose import base64url
from dojang.jose.keys import KeySet
from dojang.oauth.feed import MOST_RECORDS, InvalidFeed, Record, pack_records, prove_answer
from dojang.oauth.feed_notices import (
    MEDIA_TYPE,
    PROOF_BYTES,
    begin_proofs,
    build_line,
    build_notice,
    parse_notice,
)
from dojang.oauth.revocation_fact import FactKind, Rev, pack_rev
from dojang.testing import SettableClock
from dojang.trust import revocations
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.feed_exchange import DEAF_FOR, MOST_LATE, NEVER
from dojang.trust.feed_status import FeedState
from dojang.trust.follower import FORGET_EVERY, Follower
from dojang.trust.marks import Marks
from dojang.trust.remote_keys import FixedKeys
from tests.scripted_issuer import Held, ScriptedIssuer, Wire

HOLD = 0.5


class Watching:
    """Notes what it is told, and whether the view knew it by then."""

    def __init__(self, follower: Follower) -> None:
        self.keys = FixedKeys(KeySet([]))
        self.evicted: list[Record] = []
        self.known: list[bool] = []
        self._follower = follower
        follower.watch(self)

    def evict(self, records: Sequence[Record]) -> None:
        self.evicted += records
        self.known += [knows(self._follower, record) for record in records]

    def evict_all(self) -> None:
        pass


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    """With facts that the follower knows."""
    served = ScriptedIssuer(clock=clock)
    for number in range(4):
        served.revoke(FactKind.TOKEN, f"old-{number}")
    return served


@pytest.fixture
def follower(issuer: ScriptedIssuer, clock: SettableClock) -> Follower:
    """As fresh as a second ago."""
    following = Follower(
        issuer.url,
        credentials=ClientSecretBasic("orders", "secret"),
        transport=issuer,
        clock=issuer.clock,
        by_hand=True,
    )
    following.poll()
    clock.move(1)
    return following


def ask(follower: Follower, issuer: ScriptedIssuer) -> None:
    """One exchange, as the thread of a follower does it."""
    follower.ask(Wire(issuer))


def knows(follower: Follower, record: Record) -> bool:
    view = follower.view
    assert view is not None
    own = record.tag if record.kind is FactKind.TOKEN else None
    return view.find_killer(Marks(0, own, (record.kind,), (record.tag,))) is record.kind


def describe(follower: Follower) -> tuple[object, ...]:
    """All that answers alone say."""
    feed = follower.exchange.feed
    return feed.position, feed.digest, feed.witness, feed.as_of, feed.base, follower.proof.at


def revoke_and_tell(issuer: ScriptedIssuer, name: str = "new") -> Callable[[Held], None]:
    def hold(held: Held) -> None:
        issuer.revoke(FactKind.TOKEN, f"{name}-{len(issuer.facts)}")
        held.tell(len(issuer.facts))

    return hold


@pytest.mark.proves("V3", "C92")
@pytest.mark.parametrize("kind", FactKind)
def test_a_notice_ends_at_once_and_says_nothing_else(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, kind: FactKind
) -> None:
    watching, before = Watching(follower), describe(follower)
    heard = []

    def hold(held: Held) -> None:
        issuer.revoke(kind, "new")
        held.tell(5)
        heard.append(knows(follower, issuer.facts[4]))
        assert describe(follower) == before
        assert watching.evicted == issuer.facts[4:]
        assert follower.status().age == 1
        clock.move(HOLD)

    issuer.hold = hold
    asked_at = clock.monotonic()
    ask(follower, issuer)
    assert heard == [True]
    assert watching.known == [True, True]  # by the notice, and by the page
    assert (follower.position, follower.proof.at) == (Rev(1, 5), asked_at)
    assert follower.status().failure is None


@pytest.mark.proves("C92", "F6")
def test_a_notice_never_makes_a_stale_view_fresh(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    clock.move(10)
    states = []

    def hold(held: Held) -> None:
        for number in range(5, 9):
            issuer.revoke(FactKind.TOKEN, f"new-{number}")
            held.tell(number)
            states.append((follower.status().state, follower.status().age))
        issuer.down = True

    issuer.hold = hold
    issuer.change_response = lambda response: response._replace(body=b"")
    ask(follower, issuer)
    assert states == [(FeedState.STALE, 11)] * 4
    status = follower.status()
    assert (status.state, status.age, status.position) == (FeedState.STALE, 11, Rev(1, 4))
    assert all(knows(follower, record) for record in issuer.facts)


@pytest.mark.proves("C91", "V3")
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("settled", [False, True])
def test_the_page_that_brings_what_was_told_is_taken_as_any(
    issuer: ScriptedIssuer,
    follower: Follower,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    *,
    settled: bool,
) -> None:
    monkeypatch.setattr(revocations, "MOST_RECENT", 2)
    view = follower.view
    assert view is not None

    def hold(held: Held) -> None:
        for number in range(5, 12):
            issuer.revoke(FactKind.ACCOUNT, f"new-{number % 3}")
            for _ in range(times):
                held.tell(number)
            if settled:
                view.settle()
        held.tell(5, 11)

    issuer.hold = hold
    ask(follower, issuer)
    assert (follower.position, follower.status().failure) == (Rev(1, 11), None)
    assert view.as_of == Rev(1, 11)
    view.settle()
    assert follower.status().facts == 4 + 3
    for tag, last in {record.tag: n for n, record in enumerate(issuer.facts, 1) if n > 4}.items():
        of_account = ((FactKind.ACCOUNT,), (tag,))
        assert view.find_killer(Marks((1 << 48) + last - 1, None, *of_account)) is not None
        assert view.find_killer(Marks((1 << 48) + last, None, *of_account)) is None


@pytest.mark.proves("F15", "V3")
def test_what_was_told_outlives_a_snapshot_without_it(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    told: list[Record] = []

    def hold(held: Held) -> None:
        issuer.revoke(FactKind.TOKEN, "told")
        held.tell(5)
        told.extend(issuer.facts[4:])
        issuer.go_back(4)  # a standby without it takes over
        issuer.begin_epoch()

    issuer.hold = hold
    ask(follower, issuer)
    for _ in range(3):
        follower.poll()
    assert follower.position == Rev(2, 5)
    assert follower.status().state is FeedState.FRESH
    assert told
    assert all(knows(follower, record) for record in told)


@pytest.mark.proves("V3")
def test_what_was_told_is_forgotten_in_its_time_and_the_page_changes_nothing(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    def hold(held: Held) -> None:
        issuer.revoke(FactKind.TOKEN, "short", life=10)
        issuer.revoke(FactKind.TOKEN, "long")
        held.tell(5, 6)
        clock.move(FORGET_EVERY)
        assert follower.view is not None
        follower.view.forget(int(clock.now()))

    issuer.hold = hold
    ask(follower, issuer)
    assert knows(follower, issuer.facts[5])
    clock.move(2 * FORGET_EVERY)
    follower.poll()
    assert not knows(follower, issuer.facts[4])
    assert knows(follower, issuer.facts[5])


# --- lies -----------------------------------------------------------------------------------------


Lie = Callable[[Held, ScriptedIssuer], bytes]


def told(held: Held, issuer: ScriptedIssuer) -> bytes:
    """The true line."""
    return issuer.line(5, 5, nonce=held.nonce)


def prove(notice: bytes, held: Held, issuer: ScriptedIssuer) -> bytes:
    return build_line(notice, begin_proofs(issuer.proof_key, held.nonce))


def _change(change: Callable[[bytes], bytes]) -> Lie:
    """The true line, changed on its way."""
    return lambda held, issuer: change(told(held, issuer))


def _write(change: Callable[[bytes], bytes]) -> Lie:
    """Another notice than the true one, and proven."""
    return lambda held, issuer: prove(
        change(bytes.fromhex(told(held, issuer).decode())[PROOF_BYTES:]), held, issuer
    )


def _tell(**changes: Any) -> Lie:
    return lambda held, issuer: issuer.line(5, 5, **{"nonce": held.nonce, **changes})


LIES: dict[str, Lie] = {
    "another proof key": _tell(proof_key=bytes([1]) * 32),
    "another nonce": _tell(nonce="n" * 32),
    "no proof": _change(lambda line: line[64:]),
    "an empty proof": _change(lambda line: b"0" * 64 + line[64:]),
    "a proof over other facts": lambda held, issuer: (
        told(held, issuer)[:64] + issuer.line(5, 5, nonce=held.nonce, number=6)[64:]
    ),
    "a proof cut": _change(lambda line: line[2:]),
    "a proof for answers": lambda held, issuer: (
        (
            base64url.decode(
                prove_answer(
                    issuer.proof_key,
                    held.nonce,
                    sha256(bytes.fromhex(told(held, issuer)[64:].decode())).digest(),
                )
            ).hex()
        ).encode()
        + told(held, issuer)[64:]
    ),
    "a proof of other letters": _change(lambda line: b"\xb2\xff" + line[2:]),
    "an epoch to come": _tell(epoch=2),
    "no epoch": _write(lambda notice: bytes(7) + b"\5" + notice[8:]),
    "no records": _tell(records=()),
    "too many": lambda held, issuer: issuer.line(
        5, 5, nonce=held.nonce, records=issuer.facts[4:5] * (MOST_RECORDS + 1)
    ),
    "no fact": _tell(number=0),
    "a number that no fact reaches": _tell(number=2**48 - 1),
    "the last number there is, and one more": lambda held, issuer: issuer.line(
        5, 5, nonce=held.nonce, number=2**48 - 1, records=issuer.facts[4:5] * 2
    ),
    "the last numbers there are, and one more": lambda held, issuer: issuer.line(
        5, 5, nonce=held.nonce, number=2**48 - 2, records=issuer.facts[4:5] * 3
    ),
    "half a position": _write(lambda notice: notice[:4]),
    "nothing proven": _write(lambda notice: b""),
    "a record cut": _write(lambda notice: notice[:-3]),
    "a record of no kind": _write(lambda notice: notice[:8] + bytes(21)),
    "an octet behind": _write(lambda notice: notice + b"\0"),
    "half an octet": _change(lambda line: line + b"0"),
    "letters behind": _change(lambda line: line + b"00"),
    "a carriage return": _change(lambda line: line + b"\r"),
    "a space": _change(lambda line: line[:64] + b" " + line[64:]),
    "a prefix": _change(lambda line: b"0x" + line),
    "not hexadecimal": _change(lambda line: b"g" + line[1:]),
    "octets as they are": _change(lambda line: bytes.fromhex(line.decode())),
    "nothing": lambda held, issuer: b"",
    "an answer": lambda held, issuer: prove(b'{"epoch": 1, "head": 5, "pages": []}', held, issuer),
}


@pytest.mark.proves("C91", "C92", "F6")
@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_refused_and_teaches_nothing(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, name: str
) -> None:
    watching, before = Watching(follower), describe(follower)
    issuer.revoke(FactKind.TOKEN, "new")
    heard: list[str] = []

    def hold(held: Held) -> None:
        heard.append("asked")
        held.send(LIES[name](held, issuer))
        heard.append("believed")

    issuer.hold = hold
    ask(follower, issuer)
    assert heard == ["asked"]
    assert describe(follower) == before
    assert watching.evicted == []
    assert not knows(follower, issuer.facts[4])
    status = follower.status()
    assert (status.age, status.failures, status.facts) == (1, 1, 4)
    assert status.failure == "issuer.test (malformed) is unavailable"
    # It asks again, without notices first, and takes what is true.
    issuer.hold = revoke_and_tell(issuer)
    for _ in range(2):
        ask(follower, issuer)
        clock.move(1)
    assert ["heard" in each for each in issuer.questions[-2:]] == [False, True]
    assert issuer.questions[-1]["heard"] == "5"  # nothing of the lie
    assert follower.position == Rev(1, 6)
    assert follower.status().failure is None


@pytest.mark.proves("C92", "F6", "F21")
def test_a_notice_of_the_last_question_says_nothing_to_this_one(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    kept: list[bytes] = []

    def hold(held: Held) -> None:
        if kept:
            held.send(kept[0])
        revoke_and_tell(issuer)(held)
        kept.extend(held.lines)

    issuer.hold = hold
    ask(follower, issuer)
    assert follower.status().failures == 0
    ask(follower, issuer)
    assert (follower.status().failures, follower.position) == (1, Rev(1, 5))


@pytest.mark.proves("C92", "F6", "F21")
def test_nor_does_the_answer_to_the_last_question(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    kept: list[FetchResponse] = []

    def answer(response: FetchResponse) -> FetchResponse:
        kept.append(response)
        return kept[0]

    issuer.change_response = answer
    ask(follower, issuer)
    before = describe(follower)
    assert follower.status().failure is None
    clock.move(1)
    ask(follower, issuer)
    assert follower.status().failure == "the answer is not proven to answer this question"
    assert describe(follower) == before


@pytest.mark.proves("C92", "F6")
def test_what_was_told_before_a_lie_stays(issuer: ScriptedIssuer, follower: Follower) -> None:
    def hold(held: Held) -> None:
        revoke_and_tell(issuer)(held)
        held.send(b"x")

    issuer.hold = hold
    ask(follower, issuer)
    assert follower.status().failures == 1
    assert (follower.position, follower.status().age) == (Rev(1, 4), 1)
    assert knows(follower, issuer.facts[4])


@pytest.mark.proves("C91", "C92", "F6")
def test_a_notice_is_no_answer(issuer: ScriptedIssuer, follower: Follower) -> None:
    """Proven for this question, but as a notice."""
    before = describe(follower)

    def hold(held: Held) -> None:
        revoke_and_tell(issuer)(held)
        line = held.lines[-1]
        issuer.change_response = lambda _: FetchResponse(200, {"content-type": MEDIA_TYPE}, line)

    issuer.hold = hold
    ask(follower, issuer)
    assert describe(follower) == before
    assert follower.status().failure == "the answer is not proven to answer this question"


@pytest.mark.proves("C91", "C92", "F6")
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("proof", ["none", "cut", "of the header alone"])
def test_an_answer_in_lines_is_proven_on_its_line(
    issuer: ScriptedIssuer, follower: Follower, proof: str, *, told: bool
) -> None:
    before = describe(follower)

    def change(response: FetchResponse) -> FetchResponse:
        body = response.body if not told else response.body.partition(b" ")[2]
        line = {"none": body, "cut": b"A " + body, "of the header alone": b" " + body}[proof]
        headers = {**response.headers, "content-type": MEDIA_TYPE}
        return response._replace(headers=headers, body=line)

    issuer.change_response = change
    if told:
        issuer.hold = revoke_and_tell(issuer)
    ask(follower, issuer)
    assert describe(follower) == before
    assert follower.status().failure is not None


@pytest.mark.proves("C92", "F6")
def test_lines_that_nobody_asked_for_are_not_taken(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.revoke(FactKind.TOKEN, "new")

    def change(response: FetchResponse) -> FetchResponse:
        line = issuer.line(5, 5, nonce=issuer.questions[-1]["nonce"])
        proof = response.headers["dojang-feed-proof"].encode()
        whole = b"%b\n%b %b" % (line, proof, response.body)
        return response._replace(headers={"content-type": MEDIA_TYPE}, body=whole)

    issuer.change_response = change
    follower.poll()
    assert follower.status().failure is not None
    assert not knows(follower, issuer.facts[4])


@pytest.mark.proves("C91", "F6")
@pytest.mark.parametrize(
    "order", [(), (5,), (7,), (5, 5, 6, 7), (7, 6, 5), (6, 5, 6), (5, 6, 7, 7, 6, 5)]
)
def test_notices_dropped_doubled_or_in_disorder_change_nothing_but_time(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, order: tuple[int, ...]
) -> None:
    watching = Watching(follower)

    def hold(held: Held) -> None:
        issuer.hold = lambda held: None
        for number in range(5, 8):
            issuer.revoke(FactKind.GRANT, f"new-{number}")
        for number in order:
            held.tell(number)
        for number in range(5, 8):
            assert knows(follower, issuer.facts[number - 1]) is (number in order)

    issuer.hold = hold
    asked_at = clock.monotonic()
    ask(follower, issuer)
    assert (follower.position, follower.proof.at) == (Rev(1, 7), asked_at)
    assert follower.exchange.feed.digest == issuer.digests[7]
    assert set(watching.evicted) == set(issuer.facts[4:])
    assert all(knows(follower, record) for record in issuer.facts)


@pytest.mark.proves("C91", "F6")
@pytest.mark.parametrize("first", [5, 6])
def test_a_notice_that_comes_late_takes_nothing_back(
    issuer: ScriptedIssuer, follower: Follower, first: int
) -> None:
    """Two facts about one account: the later one counts, and what is remembered longer stays."""
    issuer.revoke(FactKind.ACCOUNT, "alice", life=50)
    issuer.revoke(FactKind.ACCOUNT, "alice", life=5000)
    dead: list[bool] = []

    def hold(held: Held) -> None:
        held.tell(first)
        held.tell(11 - first)
        view, record = follower.view, issuer.facts[5]
        assert view is not None
        marks = Marks(pack_rev(Rev(1, 5)), None, (record.kind,), (record.tag,))
        dead.append(view.find_killer(marks) is FactKind.ACCOUNT)
        view.forget(int(issuer.clock.now()) + 1000)
        dead.append(view.find_killer(marks) is FactKind.ACCOUNT)

    issuer.hold = hold
    ask(follower, issuer)
    assert dead == [True, True]


@pytest.mark.proves("F21", "V3")
def test_a_notice_that_comes_again_makes_nothing_unheard(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    def hold(held: Held) -> None:
        for number in range(5, 8):
            issuer.revoke(FactKind.TOKEN, f"new-{number}")
        for number in (5, 6, 7, 5):
            held.tell(number)

    issuer.hold = hold
    issuer.change_answer = lambda answer: answer._replace(
        pages=(), rev=Rev(1, 4), digest=issuer.digests[4]
    )
    ask(follower, issuer)
    issuer.hold = lambda held: None
    ask(follower, issuer)
    assert [each["heard"] for each in issuer.questions[-2:]] == ["4", "7"]


@pytest.mark.proves("K6")
def test_what_is_told_is_settled_when_there_is_much_of_it(
    issuer: ScriptedIssuer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MOST_RECENT", 8)
    view = follower.view
    assert view is not None
    view.settle()

    def hold(held: Held) -> None:
        for number in range(5, 30):
            issuer.revoke(FactKind.TOKEN, f"new-{number}")
            held.tell(number)

    issuer.hold = hold
    ask(follower, issuer)
    patient_until = time.monotonic() + 10
    while len(view._recent) > 8:
        assert time.monotonic() < patient_until
        time.sleep(0.001)
    assert all(knows(follower, record) for record in issuer.facts)


@pytest.mark.proves("C92")
def test_without_a_view_there_is_nothing_to_tell(
    issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    follower = Follower(
        issuer.url, credentials=ClientSecretBasic("orders", "secret"), clock=clock, by_hand=True
    )
    issuer.hold = revoke_and_tell(issuer)
    with pytest.raises(Exception, match="malformed"):
        drive(follower.exchange.run(None, hold=HOLD, timeout=1.0, notices=True), issuer)
    assert follower.view is None


@pytest.mark.proves("C91", "C92")
@pytest.mark.parametrize("rev", [Rev(1, 1), Rev(1, 5), Rev(65_535, 2**48 - 2 - MOST_RECORDS)])
@pytest.mark.parametrize("count", [1, 2, MOST_RECORDS])
def test_a_line_says_what_was_written(issuer: ScriptedIssuer, rev: Rev, count: int) -> None:
    records = issuer.facts[:1] * count
    begun = begin_proofs(issuer.proof_key, "n" * 32)
    for _ in range(2):  # what was begun serves every line of a question
        line = build_line(build_notice(rev, records), begun)
        assert parse_notice(line, begun) == (pack_rev(rev), tuple(records))


@pytest.mark.proves("C92", "F21")
def test_a_line_is_bound_to_its_nonce_as_an_answer_is(issuer: ScriptedIssuer) -> None:
    line = issuer.line(1, 1, nonce="a" * 32)
    parse_notice(line, begin_proofs(issuer.proof_key, "a" * 32))
    for key, nonce in (
        (issuer.proof_key, "a" * 31),
        (issuer.proof_key, "a" * 32 + "\0"),
        (bytes(31) + b"\1", "a" * 32),
    ):
        with pytest.raises(InvalidFeed, match="not proven"):
            parse_notice(line, begin_proofs(key, nonce))


@pytest.mark.proves("C92")
def test_a_proof_is_as_the_reference_has_it(issuer: ScriptedIssuer) -> None:
    line = bytes.fromhex(issuer.line(1, 2, nonce="a" * 32).decode())
    said = hashlib.blake2b(digest_size=32, key=issuer.proof_key, person=b"dojang notice")
    said.update(b"a" * 32 + b"\0" + line[32:])
    assert line[:32] == said.digest()
    assert line[32:40] == b"\0\1" + b"\0\0\0\0\0\1"
    assert line[40:] == pack_records(issuer.facts[:2])


# --- what is said to have been heard --------------------------------------------------------------


@pytest.mark.proves("V3")
def test_it_says_what_it_has_heard_and_what_was_not_confirmed_is_told_again(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    def hold(held: Held) -> None:
        for _ in range(2):
            revoke_and_tell(issuer)(held)

    def cut(number: int) -> None:
        """Answers end there, as those do that others had first."""
        issuer.change_answer = lambda answer: answer._replace(
            rev=Rev(1, number),
            digest=issuer.digests[number],
            pages=(issuer.page(follower.position.number + 1, number),),
        )

    issuer.hold = hold
    cut(5)
    ask(follower, issuer)
    assert follower.position == Rev(1, 5)
    cut(6)
    issuer.hold = lambda held: None
    ask(follower, issuer)
    issuer.change_answer = lambda answer: answer
    ask(follower, issuer)
    heard = [(each["head"], each.get("heard")) for each in issuer.questions[-3:]]
    assert heard == [("4", "4"), ("5", "6"), ("6", "6")]


@pytest.mark.proves("V3", "F15")
def test_an_issuer_that_has_lost_what_it_told_makes_nothing_fresh(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    """It was not signed, so nobody can show it to the issuer: but the follower knows, until the
    issuer is as far again."""

    def hold(held: Held) -> None:
        for _ in range(3):
            revoke_and_tell(issuer, "lost")(held)
        issuer.go_back(4)

    issuer.hold = hold
    ask(follower, issuer)
    issuer.hold = lambda held: None
    for _ in range(3):
        ask(follower, issuer)
        assert follower.status().state is FeedState.WENT_BACK
        assert follower.proof.at == NEVER
    for number in range(3):
        issuer.revoke(FactKind.TOKEN, f"later-{number}")
    ask(follower, issuer)
    assert follower.proof.at > 0
    assert follower.position == Rev(1, 7)


@pytest.mark.proves("F21", "V3")
def test_a_notice_after_a_gap_has_what_is_missing_told_again(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    def hold(held: Held) -> None:
        revoke_and_tell(issuer)(held)
        issuer.revoke(FactKind.TOKEN, "not told")
        revoke_and_tell(issuer, "told")(held)

    issuer.hold = hold
    issuer.change_answer = lambda answer: answer._replace(
        pages=answer.pages[:0], rev=Rev(1, 4), digest=issuer.digests[4]
    )
    ask(follower, issuer)
    issuer.change_answer = lambda answer: answer
    issuer.hold = lambda held: None
    ask(follower, issuer)
    assert [each["heard"] for each in issuer.questions[-2:]] == ["4", "5"]


@pytest.mark.proves("F15", "C91")
def test_of_another_epoch_nothing_was_heard(issuer: ScriptedIssuer, follower: Follower) -> None:
    issuer.hold = revoke_and_tell(issuer)
    ask(follower, issuer)
    issuer.begin_epoch()
    issuer.hold = lambda held: None
    for _ in range(4):
        ask(follower, issuer)
    assert follower.position == Rev(2, 6)
    assert (issuer.questions[-1]["epoch"], issuer.questions[-1]["heard"]) == ("2", "6")
    # What belongs to the epoch before is refused now.
    before = describe(follower)
    issuer.hold = lambda held: held.tell(5, epoch=1)
    ask(follower, issuer)
    assert (follower.status().failures, describe(follower)) == (1, before)


@pytest.mark.proves("F15", "C92")
def test_an_issuer_in_doubt_is_asked_for_no_notices(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.go_back(2)
    issuer.revoke(FactKind.TOKEN, "another third")
    issuer.change_answer = lambda answer: answer._replace(snapshot=False, pages=())
    told: list[Held] = []
    issuer.hold = told.append
    ask(follower, issuer)
    assert follower.status().state is FeedState.WENT_BACK
    run = follower.exchange.run
    with pytest.raises(InvalidFeed):
        drive(run(None, hold=HOLD, timeout=1.0, notices=True), issuer)
    assert ["heard" in each for each in issuer.questions[-2:]] == [True, False]
    assert "witness" in issuer.questions[-1]
    assert follower.proof.at == NEVER
    assert len(told) == 1


# --- what holds notices back ----------------------------------------------------------------------


@pytest.mark.proves("V3")
def test_who_hears_no_sooner_than_it_is_answered_asks_for_answers(
    issuer: ScriptedIssuer,
    follower: Follower,
    clock: SettableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def buffer(held: Held) -> None:
        clock.move(HOLD)
        revoke_and_tell(issuer)(held)

    def pass_on(held: Held) -> None:
        revoke_and_tell(issuer)(held)
        clock.move(HOLD)

    def asks() -> bool:
        ask(follower, issuer)
        return "heard" in issuer.questions[-1]

    caplog.set_level(logging.INFO, "dojang.trust")
    for _ in range(2):  # one that comes early says that nothing holds them back
        issuer.hold = buffer
        for _ in range(MOST_LATE - 1):
            assert asks()
        issuer.hold = pass_on
        assert asks()
    issuer.hold = lambda held: clock.move(HOLD)  # no news says nothing
    issuer.hold = buffer
    assert all(asks() for _ in range(MOST_LATE - 1))
    issuer.hold = lambda held: clock.move(HOLD)
    assert asks()
    issuer.hold = buffer
    assert asks()
    deaf_at = clock.monotonic()
    while not asks():
        assert clock.monotonic() < deaf_at + DEAF_FOR
        clock.move(10)
    assert clock.monotonic() >= deaf_at + DEAF_FOR - 1
    assert sum("holds them back" in each.message for each in caplog.records) == 1
    assert all(asks() for _ in range(MOST_LATE - 1))  # and it counts anew
    assert not asks()
    assert follower.status().failures == 0


@pytest.mark.proves("V3", "F6")
def test_what_was_framed_anew_on_its_way_is_heard_with_its_answer(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    """Something between took all of it in, and sent it on in one piece."""
    watching = Watching(follower)

    def frame(response: FetchResponse) -> FetchResponse:
        told = b"".join(line + b"\n" for line in lines)
        lines.clear()
        return response._replace(body=told + response.body)

    def hold(held: Held) -> None:
        issuer.revoke(FactKind.TOKEN, f"new-{len(issuer.facts)}")
        held.lines.append(issuer.line(*[len(issuer.facts)] * 2, nonce=held.nonce))
        lines.extend(held.lines)

    lines: list[bytes] = []
    issuer.hold, issuer.change_response = hold, frame
    for count in range(1, MOST_LATE + 1):
        ask(follower, issuer)
        assert (follower.status().failure, follower.position) == (None, Rev(1, 4 + count))
        assert len(watching.evicted) == 2 * count
    ask(follower, issuer)
    assert "heard" not in issuer.questions[-1]


@pytest.mark.proves("C92", "F6")
@pytest.mark.parametrize("flaw", ["forged", "cut", "behind"])
def test_what_was_framed_anew_is_proven_as_what_was_not(
    issuer: ScriptedIssuer, follower: Follower, flaw: str
) -> None:
    issuer.revoke(FactKind.TOKEN, "new")
    before = describe(follower)

    def frame(response: FetchResponse) -> FetchResponse:
        line = issuer.line(5, 5, nonce=issuer.questions[-1]["nonce"])
        answer = response.headers["dojang-feed-proof"].encode() + b" " + response.body
        whole = {
            "forged": b"A" + line + b"\n" + answer,
            "cut": line[:-1] + b"\n" + answer,
            "behind": answer + b"\n" + line,
        }[flaw]
        return response._replace(headers={"content-type": MEDIA_TYPE}, body=whole)

    issuer.change_response = frame
    ask(follower, issuer)
    assert follower.status().failure == "a notice is none"
    assert describe(follower) == before
    assert not knows(follower, issuer.facts[4])


@pytest.mark.proves("V3")
def test_who_was_told_by_an_answer_alone_pauses_as_the_issuer_wants(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.change_answer = lambda answer: answer._replace(pause=0.1)
    issuer.revoke(FactKind.TOKEN, "new")
    assert follower.ask(Wire(issuer)) > 0
    assert issuer.questions[-1]["heard"] == "4"
    issuer.hold = revoke_and_tell(issuer)
    assert follower.ask(Wire(issuer)) == 0  # there is no crowd: it was told long before


# --- who asks for them ----------------------------------------------------------------------------


def test_another_transport_is_asked_without(issuer: ScriptedIssuer, follower: Follower) -> None:
    issuer.hold = revoke_and_tell(issuer)
    follower.ask(issuer)
    follower.ask(issuer)
    assert not any("heard" in each for each in issuer.questions)


@pytest.mark.proves("F6")
def test_who_needs_an_answer_at_once_asks_without(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.status["/feed"] = 503
    ask(follower, issuer)
    issuer.status.clear()
    ask(follower, issuer)
    ask(follower, issuer)
    asked = [(each["hold"], "heard" in each) for each in issuer.questions[-2:]]
    assert asked == [("0", False), ("500", True)]
