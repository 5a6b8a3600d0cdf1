"""A follower against an issuer that tells the truth, in its own time, and in other people's."""

from collections.abc import Sequence

import pytest

from dojang.jose.keys import KeySet
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.testing import SettableClock
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.feed_status import FeedState
from dojang.trust.follower import Follower
from dojang.trust.marks import Marks
from dojang.trust.remote_keys import FixedKeys
from tests.scripted_issuer import VIEW_KEY, ScriptedIssuer, feed_key

TAGGER = Tagger(VIEW_KEY)


class Watching:
    """Notes what it is told, and what the follower says of itself at that moment."""

    def __init__(self, follower: Follower, keys: KeySet) -> None:
        self.keys = FixedKeys(keys)
        self.evicted: list[Record] = []
        self.all = 0
        self.proven_at: list[float] = []
        self.known: list[bool] = []
        self._follower = follower
        follower.watch(self)

    def evict(self, records: Sequence[Record]) -> None:
        self.evicted += records
        self.proven_at.append(self._follower.proof.at)
        self.known.append(revoked(self._follower, records[-1].tag))

    def evict_all(self) -> None:
        self.all += 1
        self.proven_at.append(self._follower.proof.at)


def revoked(follower: Follower, tag: bytes) -> bool:
    view = follower.view
    assert view is not None
    return view.find_killer(Marks(0, tag, (), ())) is FactKind.TOKEN


def knows(follower: Follower, name: str) -> bool:
    return revoked(follower, TAGGER.tag(FactKind.TOKEN, name))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    return ScriptedIssuer(clock=clock)


@pytest.fixture
def follower(issuer: ScriptedIssuer) -> Follower:
    return build(issuer)


def build(issuer: ScriptedIssuer, *, name: str | None = None) -> Follower:
    return Follower(
        issuer.url,
        credentials=ClientSecretBasic("orders", "secret"),
        name=name,
        transport=issuer,
        clock=issuer.clock,
        by_hand=True,
    )


@pytest.mark.proves("C91", "V3")
def test_learns_what_was_there_and_what_comes(issuer: ScriptedIssuer, follower: Follower) -> None:
    issuer.revoke(FactKind.TOKEN, "before")
    status = follower.poll()
    assert (status.state, status.age, status.position) == (FeedState.FRESH, 0, Rev(1, 1))
    assert knows(follower, "before")
    assert not knows(follower, "after")
    issuer.revoke(FactKind.TOKEN, "after")
    issuer.revoke(FactKind.SESSION, "session")
    status = follower.poll()
    assert (status.position, status.facts) == (Rev(1, 3), 3)
    assert knows(follower, "after")


@pytest.mark.proves("C92")
def test_age_counts_from_before_the_question_left(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    issuer.lateness = 60
    issuer.revoke(FactKind.TOKEN, "late")
    status = follower.poll()
    assert knows(follower, "late")
    assert (status.age, status.state) == (60, FeedState.STALE)


@pytest.mark.proves("C92", "V3")
def test_a_fact_is_known_and_told_before_it_is_proven(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    watching = Watching(follower, KeySet([]))
    follower.poll()
    first = follower.proof.at
    clock.move(1)
    issuer.page_size = 1
    issuer.revoke(FactKind.TOKEN, "one")
    issuer.revoke(FactKind.TOKEN, "two")
    follower.poll()
    assert watching.all == 1
    assert [each.tag for each in watching.evicted] == [
        TAGGER.tag(FactKind.TOKEN, "one"),
        TAGGER.tag(FactKind.TOKEN, "two"),
    ]
    assert watching.known == [True, True]
    assert watching.proven_at == [float("-inf"), first, first]
    assert follower.proof.at == first + 1


def test_much_that_was_missed_comes_in_several_answers(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    follower.poll()
    issuer.page_size = 2
    for number in range(10):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
    # As an issuer does that tells at most so much in one answer.
    issuer.change_answer = lambda answer: answer._replace(pages=answer.pages[:2])
    proofs = []
    while follower.position.number < 10:
        asked = len(issuer.questions)
        follower.poll()
        proofs.append(len(issuer.questions) - asked)
    assert proofs == [3]
    assert knows(follower, "jti-9")


def test_a_snapshot_leads_on_where_pages_do_not(issuer: ScriptedIssuer, follower: Follower) -> None:
    follower.poll()
    for number in range(5):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
    issuer.remembered = 5
    status = follower.poll()
    assert (status.state, status.position) == (FeedState.FRESH, Rev(1, 5))
    assert all(knows(follower, f"jti-{number}") for number in range(5))


@pytest.mark.proves("F15")
def test_an_issuer_that_wants_a_snapshot_taken_is_shown_first_what_it_signed(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.revoke(FactKind.TOKEN, "one")
    follower.poll()
    issuer.revoke(FactKind.TOKEN, "two")
    issuer.remembered = 2
    snapshots = issuer.count("/feed/snapshot")
    follower.poll()
    witnesses = ["witness" in question for question in issuer.questions]
    assert witnesses == [False, False, False, True, False]
    assert issuer.count("/feed/snapshot") == snapshots + 1


@pytest.mark.proves("C116", "F15")
def test_a_new_epoch_keeps_the_facts_of_the_old(issuer: ScriptedIssuer, follower: Follower) -> None:
    issuer.revoke(FactKind.TOKEN, "kept")
    issuer.revoke(FactKind.TOKEN, "lost by the issuer")
    follower.poll()
    issuer.go_back(1)
    issuer.begin_epoch()
    status = follower.poll()
    assert (status.state, status.position) == (FeedState.FRESH, Rev(2, 2))
    assert knows(follower, "kept")
    assert knows(follower, "lost by the issuer")


def test_forgets_by_the_time_of_the_issuer(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    issuer.revoke(FactKind.TOKEN, "spent", life=60)
    follower.poll()
    clock.move(59)
    follower.poll()
    assert follower.status().facts == 1
    clock.move(360)  # times in a snapshot are rounded up
    assert follower.poll().facts == 0


@pytest.mark.proves("F12")
def test_a_wall_clock_that_was_wrong_forgets_nothing(
    issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    wrong = SettableClock(clock.now() + 86_400)
    follower = Follower(
        issuer.url,
        credentials=ClientSecretBasic("orders", "secret"),
        transport=issuer,
        clock=wrong,
        by_hand=True,
    )
    issuer.revoke(FactKind.TOKEN, "alive", life=3600)
    follower.poll()
    wrong.move(120)
    follower.poll()
    assert knows(follower, "alive")


@pytest.mark.proves("F12")
def test_the_time_of_the_issuer_never_goes_back(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    at = follower.time_offset
    clock.move(30)
    clock.move(-3600)
    issuer.revoke(FactKind.TOKEN, "jti")
    follower.poll()
    assert follower.time_offset == at


def test_proves_who_it_is_and_says_its_name(issuer: ScriptedIssuer) -> None:
    build(issuer, name="orders-1:4711").poll()
    ((form, headers),) = issuer.joins
    assert form == {"name": "orders-1:4711"}
    assert headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("name", ["", "two words", "ü", "x" * 65])
def test_a_name_is_plain(issuer: ScriptedIssuer, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        build(issuer, name=name)


def test_a_lease_that_ended_is_followed_by_another(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    follower.poll()
    issuer.lease = "dojang_fl_2"
    assert follower.poll().failure is not None
    assert follower.poll().state is FeedState.FRESH
    assert len(issuer.joins) == 2


def test_a_lease_is_renewed_before_it_ends(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    clock.move(3000)
    assert follower.poll().failure is None
    assert len(issuer.joins) == 2


def test_a_lease_serves_on_where_no_other_is_to_be_had(
    issuer: ScriptedIssuer, follower: Follower, clock: SettableClock
) -> None:
    follower.poll()
    issuer.status["/feed/join"] = 503
    clock.move(3000)
    assert follower.poll().state is FeedState.FRESH
    assert follower.poll().state is FeedState.FRESH
    assert issuer.count("/feed/join") == 2


def test_an_issuer_without_a_feed_is_asked_again_later(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    issuer.offered = False
    assert follower.poll().state is FeedState.NOT_OFFERED
    assert not follower.offered
    issuer.offered = True
    assert follower.poll().state is FeedState.FRESH
    assert follower.offered


@pytest.mark.proves("C96")
def test_reports_the_keys_that_every_verifier_holds(
    issuer: ScriptedIssuer, follower: Follower
) -> None:
    first, second = (feed_key(number).verifying_key() for number in (1, 2))
    watching = [Watching(follower, KeySet(keys)) for keys in ([first, second], [first])]
    follower.poll()
    assert issuer.questions[-1]["kids"] == "feed-1"
    watching[1].keys.keys = None
    follower.poll()
    assert "kids" not in issuer.questions[-1]


class CountedKeys(FixedKeys):
    """Counts how often it is to look."""

    refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1


@pytest.mark.proves("C96", "C97")
def test_who_comes_to_a_conversation_has_its_keys_refreshed(follower: Follower) -> None:
    early, late = CountedKeys(KeySet([])), CountedKeys(KeySet([]))
    first = Watching(follower, KeySet([]))
    first.keys = early
    follower.watch(first)
    assert early.refreshed == 0  # nobody has said anything yet
    follower.poll()
    assert early.refreshed == 1
    second = Watching(follower, KeySet([]))
    second.keys = late
    follower.watch(second)
    follower.poll()
    assert (early.refreshed, late.refreshed) == (1, 1)


@pytest.mark.proves("C117")
def test_shows_no_secret(issuer: ScriptedIssuer, follower: Follower) -> None:
    follower.poll()
    told = f"{follower!r} {follower.status()!r} {follower._exchange._lease!r}"
    for secret in (issuer.lease, "secret", issuer.proof_key.hex(), repr(VIEW_KEY)):
        assert secret not in told
