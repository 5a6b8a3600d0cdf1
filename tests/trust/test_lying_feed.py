"""Whatever comes instead of the truth, a follower is right or knows that it is old (C92, F6)."""

import json
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojang.fetch import FetchResponse
from dojang.jose import base64url
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import (
    PROOF_HEADER,
    Answer,
    InvalidFeed,
    Manifest,
    Page,
    Record,
    Tagger,
    build_answer,
    build_manifest,
    build_page,
    parse_answer,
    parse_manifest,
    parse_page,
)
from dojang.oauth.feed_notices import begin_proofs, parse_notice
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.testing import SettableClock
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.feed_status import FeedState
from dojang.trust.follower import Follower
from dojang.trust.marks import Marks
from tests.scripted_issuer import VIEW_KEY, Held, ScriptedIssuer, Wire, feed_key

TAGGER = Tagger(VIEW_KEY)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    """With facts known to the follower, and then facts that are not."""
    served = ScriptedIssuer(clock=clock)
    served.page_size = 2
    for number in range(4):
        served.revoke(FactKind.TOKEN, f"old-{number}")
    return served


@pytest.fixture
def follower(issuer: ScriptedIssuer, clock: SettableClock) -> Follower:
    """Fresh as of four facts, with six more to learn in three pages."""
    following = build(issuer)
    following.poll()
    clock.move(1)
    for number in range(6):
        issuer.revoke(FactKind.TOKEN, f"new-{number}")
    return following


def build(issuer: ScriptedIssuer) -> Follower:
    return Follower(
        issuer.url,
        credentials=ClientSecretBasic("orders", "secret"),
        transport=issuer,
        clock=issuer.clock,
        by_hand=True,
    )


def knows(follower: Follower, record: Record) -> bool:
    view = follower.view
    assert view is not None
    own = record.tag if record.kind is FactKind.TOKEN else None
    return view.find_killer(Marks(0, own, (record.kind,), (record.tag,))) is record.kind


def assert_old(follower: Follower, clock: SettableClock) -> None:
    """What was learned proves nothing: the view is as old as before."""
    status = follower.status()
    assert status.failure is not None
    assert status.age is None or status.age >= 1
    assert follower.proof.at != clock.monotonic()


def assert_mended(follower: Follower, issuer: ScriptedIssuer, clock: SettableClock) -> None:
    """With the truth, everything is known and fresh again."""
    issuer.change_answer = lambda answer: answer
    issuer.change_response = lambda response: response
    issuer.status.clear()
    status = follower.poll()
    if status.state is not FeedState.FRESH:  # a lease may have to be got first
        status = follower.poll()
    assert (status.state, status.failure) == (FeedState.FRESH, None)
    assert follower.proof.at == clock.monotonic()
    assert follower.position == issuer.position
    alive = [each for each in issuer.facts if each.forget_after > clock.now()]
    assert all(knows(follower, record) for record in alive)


Lie = Callable[[ScriptedIssuer, Answer], Answer]

_OTHER = SigningKey.generate("RS256", "feed-1")


def _drop(place: int) -> Lie:
    def lie(issuer: ScriptedIssuer, answer: Answer) -> Answer:
        pages = list(answer.pages)
        del pages[place]
        return answer._replace(pages=tuple(pages))

    return lie


def _replace(place: int, build_page: Callable[[ScriptedIssuer], str]) -> Lie:
    def lie(issuer: ScriptedIssuer, answer: Answer) -> Answer:
        pages = list(answer.pages)
        pages[place] = build_page(issuer)
        return answer._replace(pages=tuple(pages))

    return lie


def _forge(page: str) -> str:
    """The same page about another token."""
    head, payload, signature = page.split(".")
    claims = json.loads(base64url.decode(payload))
    records = bytearray(base64url.decode(claims["records"]))
    records[1] ^= 1
    claims["records"] = base64url.encode(bytes(records))
    return f"{head}.{base64url.encode(json.dumps(claims).encode())}.{signature}"


LIES: dict[str, Lie] = {
    "first dropped": _drop(0),
    "middle dropped": _drop(1),
    "duplicated": lambda _, answer: answer._replace(pages=answer.pages * 2),
    "reordered": lambda _, answer: answer._replace(pages=answer.pages[::-1]),
    "page cut": _replace(1, lambda issuer: issuer.page(7, 8)[:-40]),
    "records cut": _replace(1, lambda issuer: issuer.page(7, 8, records=(issuer.facts[6],))),
    "forged": lambda _, answer: answer._replace(pages=tuple(map(_forge, answer.pages))),
    "old pages": _replace(0, lambda issuer: issuer.page(3, 4)),
    "wrong epoch": _replace(0, lambda issuer: issuer.page(5, 6, epoch=2)),
    "wrong issuer": _replace(0, lambda issuer: issuer.page(5, 6, issuer="https://other.test")),
    "other key": _replace(0, lambda issuer: issuer.page(5, 6, key=_OTHER)),
    "unknown key": _replace(0, lambda issuer: issuer.page(5, 6, key=feed_key(3))),
    "gap": lambda issuer, answer: answer._replace(pages=(issuer.page(6, 10),)),
    "overlap": lambda issuer, answer: answer._replace(pages=(issuer.page(4, 10),)),
    "another history": _replace(0, lambda issuer: issuer.page(5, 6, before=bytes(32))),
    "no pages": lambda _, answer: answer._replace(pages=()),
    "one page fewer than said": lambda _, answer: answer._replace(pages=answer.pages[:-1]),
    "pages beyond what is said": lambda _, answer: answer._replace(rev=Rev(1, 9), digest=bytes(32)),
    "an older position": lambda _, answer: answer._replace(rev=Rev(1, 3), pages=()),
    "an older epoch": lambda _, answer: answer._replace(rev=Rev(0, 99), pages=()),
    "a new epoch without a snapshot": lambda _, answer: answer._replace(rev=Rev(2, 10)),
    "the same position, other facts": lambda _, answer: answer._replace(
        rev=Rev(1, 4), digest=bytes(32), pages=()
    ),
    "a pause without end": lambda _, answer: answer._replace(pause=3600.0),
    "other facts at the end": lambda _, answer: answer._replace(digest=bytes(32)),
}
NOT_A_LIE_BUT_LESS = {"one page fewer than said"}

# What becomes of the lines of a question, where those of another were seen; in "" are none.
TOLD: dict[str, Callable[[list[bytes], list[bytes]], list[bytes]]] = {
    "": lambda lines, before: [],
    "all": lambda lines, before: lines,
    "the last": lambda lines, before: lines[-1:],
    "doubled": lambda lines, before: lines * 2,
    "in disorder": lambda lines, before: lines[::-1],
    "cut": lambda lines, before: [*lines[:-1], lines[-1][:-1]] if lines else [],
    "forged": lambda lines, before: [line[:1] + line for line in lines],
    "of before": lambda lines, before: [*lines, *before],
}


@pytest.mark.proves("C91", "C92", "F6")
@pytest.mark.parametrize("name", sorted(LIES.keys() - NOT_A_LIE_BUT_LESS))
def test_a_lie_makes_the_view_old_and_nothing_else(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, name: str
) -> None:
    issuer.change_answer = lambda answer: LIES[name](issuer, answer)
    follower.poll()
    assert_old(follower, clock)
    assert all(knows(follower, record) for record in issuer.facts[:4])
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C91", "F6")
@pytest.mark.parametrize("rev", [Rev(2**16, 1), Rev(1, 2**48), Rev(-1, 1), Rev(1, -1)])
def test_what_names_a_position_that_there_is_not_is_none(issuer: ScriptedIssuer, rev: Rev) -> None:
    page = Page(*rev, rev.number, bytes(32), bytes(32), 0, (), tuple(issuer.facts[:1]))
    manifest = Manifest(rev, bytes(32), bytes(32), 0, ())
    answer = Answer(rev, bytes(32), (), False, "keys", 0.5)
    for parse in (
        lambda: parse_page(json.loads(build_page(page, issuer="a")), issuer="a"),
        lambda: parse_manifest(json.loads(build_manifest(manifest, issuer="a")), issuer="a"),
        lambda: parse_answer(json.dumps(build_answer(answer)).encode()),
    ):
        with pytest.raises(InvalidFeed, match=r"position|whole number"):
            parse()


@pytest.mark.proves("C91", "F6")
def test_what_is_signed_and_next_stays_whatever_follows_it(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    issuer.change_answer = lambda answer: LIES["page cut"](issuer, answer)
    follower.poll()
    assert follower.position == Rev(1, 6)
    assert knows(follower, issuer.facts[5])
    assert_old(follower, clock)


@pytest.mark.proves("C92", "F6")
def test_an_issuer_that_keeps_something_back_gives_no_proof(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    issuer.change_answer = lambda answer: LIES["one page fewer than said"](issuer, answer)
    before = follower.proof.at
    follower.poll()
    assert follower.position == Rev(1, 8)
    assert follower.proof.at == before
    assert_old(follower, clock)
    assert_mended(follower, issuer, clock)


def _another_proof(response: FetchResponse) -> FetchResponse:
    return response._replace(headers={PROOF_HEADER: base64url.encode(bytes(32))})


def _no_proof(response: FetchResponse) -> FetchResponse:
    return response._replace(headers={})


def _other_body(response: FetchResponse) -> FetchResponse:
    return response._replace(body=response.body.replace(b'"hold": 0.5', b'"hold": 0.4'))


def _cut(response: FetchResponse) -> FetchResponse:
    return response._replace(body=response.body[:-1])


@pytest.mark.proves("C92", "F6", "F21")
@pytest.mark.parametrize("change", [_another_proof, _no_proof, _other_body, _cut])
def test_an_answer_is_to_this_question_and_by_the_issuer(
    issuer: ScriptedIssuer,
    follower: Follower,
    clock: SettableClock,
    change: Callable[[FetchResponse], FetchResponse],
) -> None:
    issuer.change_response = change
    follower.poll()
    assert_old(follower, clock)
    assert follower.position == Rev(1, 4)
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C92", "F6", "F21")
def test_an_answer_of_yesterday_proves_nothing_today(
    issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    follower = build(issuer)
    kept: list[FetchResponse] = []

    def keep(response: FetchResponse) -> FetchResponse:
        kept.append(response)
        return response

    issuer.change_response = keep
    follower.poll()
    clock.move(1)
    issuer.revoke(FactKind.TOKEN, "since then")
    issuer.change_response = lambda _: kept[-1]
    follower.poll()
    assert_old(follower, clock)
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C92", "F6")
@pytest.mark.parametrize("lateness", [0.5, 2, 60])
def test_delay_is_age(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, lateness: float
) -> None:
    follower.need(2)
    issuer.lateness = lateness
    for _ in range(3):
        status = follower.poll()
        assert status.age == lateness
        assert status.state is (FeedState.FRESH if lateness < 2 else FeedState.STALE)


@pytest.mark.proves("C92", "F6")
@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_silence_makes_the_view_old(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, status: int
) -> None:
    issuer.status["/feed"] = status
    follower.poll()
    assert_old(follower, clock)
    clock.move(60)
    assert follower.status().state is FeedState.STALE
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C92", "F6")
def test_a_cut_connection_makes_the_view_old(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    issuer.down = True
    follower.poll()
    assert_old(follower, clock)
    issuer.down = False
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C92", "F15")
def test_an_issuer_of_an_earlier_epoch_went_back(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.change_answer = lambda answer: answer._replace(rev=answer.rev._replace(epoch=0))
    status = follower.poll()
    assert (status.state, status.age) == (FeedState.WENT_BACK, None)


@pytest.mark.proves("C92", "C116", "F15")
def test_an_issuer_that_went_back_is_shown_what_it_signed_until_it_is_mended(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    newest = issuer.page(9, 10)
    lost = issuer.facts[6:]
    issuer.go_back(6)
    issuer.revoke(FactKind.TOKEN, "another seventh")
    clock.move(1)
    for _ in range(3):
        # Nobody asked: it finds another history and tells of it by itself.
        issuer.change_answer = lambda answer: answer._replace(snapshot=False, pages=())
        status = follower.poll()
        assert (status.state, status.age) == (FeedState.WENT_BACK, None)
    assert [question.get("witness") for question in issuer.questions[-3:]] == [None, newest, newest]
    issuer.go_back(6)
    issuer.append(*lost)
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C116", "F15")
def test_another_history_is_shown_what_was_signed_before_it_is_believed(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    lost = issuer.facts[9]
    issuer.go_back(6)
    for number in range(20):
        issuer.revoke(FactKind.TOKEN, f"otherwise-{number}")
    asked = len(issuer.questions)
    follower.poll()
    assert "witness" in issuer.questions[asked + 1]
    assert knows(follower, lost)


@pytest.mark.proves("C91", "C116")
def test_an_issuer_that_signed_two_histories_is_believed_again_in_a_new_epoch(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    two = _replace(2, lambda issuer: issuer.page(9, 10, after=bytes(32)))
    issuer.change_answer = lambda answer: two(issuer, answer)
    assert follower.poll().state is FeedState.WENT_BACK
    issuer.change_answer = lambda answer: answer._replace(snapshot=False)
    assert follower.poll().state is FeedState.WENT_BACK
    issuer.begin_epoch()
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C91", "F6")
@pytest.mark.parametrize("flaw", ["older", "other chunks", "other issuer", "other key", "chunk"])
def test_a_snapshot_is_signed_whole_and_no_older(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock, flaw: str
) -> None:
    signed, chunks = issuer.snapshot()
    older = ScriptedIssuer(clock=clock)
    older.revoke(FactKind.TOKEN, "old-0")
    manifest = parse_manifest(json.loads(base64url.decode(signed.split(".")[1])), issuer=issuer.url)
    if flaw == "older":
        signed, chunks = older.snapshot()
    elif flaw == "other chunks":
        signed = issuer.sign(build_manifest(manifest._replace(chunks=bytes(32)), issuer=issuer.url))
    elif flaw == "other issuer":
        signed = issuer.sign(build_manifest(manifest, issuer="https://other.test"))
    elif flaw == "other key":
        signed = issuer.sign(build_manifest(manifest, issuer=issuer.url), key=_OTHER)
    names = [sha256(chunk).hexdigest() for chunk in chunks]

    def lie(response: FetchResponse) -> FetchResponse:
        if b'"manifest"' in response.body:
            return response._replace(
                body=json.dumps({"manifest": signed, "chunks": names}).encode()
            )
        if flaw == "chunk" and response.body in chunks:
            return response._replace(body=response.body[:-1] + bytes([response.body[-1] ^ 1]))
        return response

    issuer.remembered = 10
    issuer.change_response = lie
    # A signed word of the past is no sign that the issuer went back to it.
    assert follower.poll().state is not FeedState.WENT_BACK
    assert_old(follower, clock)
    assert all(knows(follower, record) for record in issuer.facts[:4])
    assert follower.position == Rev(1, 4)
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C91")
def test_only_a_key_that_was_introduced_takes_over(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    issuer.feed_keys = [feed_key(3)]
    follower.poll()
    follower.poll()
    assert_old(follower, clock)
    assert follower.position == Rev(1, 4)


@pytest.mark.proves("C91")
def test_the_key_that_was_introduced_takes_over(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()  # signed with the first: introduces the second
    for signer, standby in ((2, 3), (3, 1)):
        issuer.feed_keys = [feed_key(signer), feed_key(standby)]
        issuer.revoke(FactKind.TOKEN, f"signed with {signer}")
        issuer.lease = f"dojang_fl_{signer}"
        follower.poll()
        assert_mended(follower, issuer, clock)


@pytest.mark.proves("C91")
def test_a_manifest_introduces_the_next_key_where_nothing_happens(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    issuer.feed_keys = [feed_key(2), feed_key(3)]
    clock.move(3000)  # a lease comes due, and no page comes
    follower.poll()
    issuer.feed_keys = [feed_key(3), feed_key(1)]
    clock.move(3000)
    issuer.revoke(FactKind.TOKEN, "long after")
    follower.poll()
    assert_mended(follower, issuer, clock)


@pytest.mark.proves("C91")
def test_tags_under_another_key_are_not_taken_for_tags(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    clock.move(1)
    issuer.view_key = bytes(32)
    issuer.lease = "dojang_fl_2"
    follower.poll()
    follower.poll()
    assert_old(follower, clock)


@pytest.mark.proves("C91", "C92", "F6")
@settings(max_examples=40, deadline=None)
@given(
    lies=st.lists(
        st.tuples(
            st.sampled_from([*sorted(LIES), "", "", "wait", "lost"]), st.sampled_from(sorted(TOLD))
        ),
        max_size=12,
    ),
    size=st.integers(1, 3),
)
def test_whatever_the_order_of_lies_a_proof_is_true(lies: list[tuple[str, str]], size: int) -> None:
    clock = SettableClock()
    issuer = ScriptedIssuer(clock=clock)
    issuer.page_size = size
    follower = build(issuer)
    happened: list[tuple[float, Record]] = []
    before: list[bytes] = []  # lines of other questions
    for step, (name, told) in enumerate(lies):
        clock.move(1)
        issuer.revoke(FactKind.TOKEN, f"jti-{step}")
        happened.append((clock.monotonic(), issuer.facts[-1]))
        clock.move(1)
        if name == "wait":
            continue
        if name == "lost":
            issuer.remembered = len(issuer.facts)
        issuer.change_answer = _tell(issuer, name)
        issuer.hold = _hold(issuer, follower, told, before)
        for _ in range(2 if told else 0):  # the first may be needed at once
            follower.ask(Wire(issuer))
        if not told:
            follower.poll()
        for at, record in happened:
            assert at > follower.proof.at or knows(follower, record)
    issuer.revoke(FactKind.TOKEN, "last")
    clock.move(1)
    assert_mended(follower, issuer, clock)


def _hold(
    issuer: ScriptedIssuer, follower: Follower, told: str, before: list[bytes]
) -> Callable[[Held], None]:
    def hold(held: Held) -> None:
        proven_at, position = follower.proof.at, follower.position
        lines = [
            issuer.line(number, number, nonce=held.nonce)
            for number in range(len(issuer.facts) // 2, len(issuer.facts) + 1)
            if number
        ]
        sent = TOLD[told](list(lines), list(before))
        before[:] = lines
        try:
            for line in sent:
                held.send(line)
                assert line not in lines or knows(follower, _parse(issuer, held, line))
        finally:
            issuer.clock.move(0.5)
            assert (follower.proof.at, follower.position) == (proven_at, position)

    return hold


def _parse(issuer: ScriptedIssuer, held: Held, line: bytes) -> Record:
    _, records = parse_notice(line, begin_proofs(issuer.proof_key, held.nonce))
    return records[0]


def _tell(issuer: ScriptedIssuer, name: str) -> Callable[[Answer], Answer]:
    lie = LIES.get(name)

    def change(answer: Answer) -> Answer:
        try:
            return answer if lie is None else lie(issuer, answer)
        except IndexError:  # there are too few pages for this lie
            return answer

    return change
