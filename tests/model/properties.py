"""What must be true of the revocation plane after every step, whatever has happened."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine, invariant

from dojang.oauth.feed import Tagger
from dojang.oauth.revocation_fact import FactKind, Rev, pack_rev
from dojang.resource import Refusal, RefusalReason, WhenStale
from dojang.trust.marks import Marks
from tests.model.expected import Expected, Token
from tests.model.plane import Plane

BOUND = 2.0  # seconds that the service lets its view be old
MOST_TOKENS = 6  # that are looked at
SMALL_SKEW = 3.0  # seconds: within the leeway of every verifier


class Properties(RuleBasedStateMachine):
    """S1 to S4, and no good token refused outside of an outage. Times are of the boot clock.

    `down`: the issuer does not answer. `troubled_until`: an outage is over, and not yet each pause
    that it led to. `settled_at`: what was said in it is not remembered any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plane = Plane()
        self.expected = Expected()
        self.down = False
        self.troubled_until = self.settled_at = 0.0
        self.furthest = Rev(0, 0)

    def teardown(self) -> None:
        self.plane.close()

    @property
    def now(self) -> float:
        return self.plane.clock.monotonic()

    @invariant()
    def never_goes_back(self) -> None:
        assert self.plane.follower.position >= self.furthest
        self.furthest = self.plane.follower.position

    @invariant()
    def tokens_are_what_they_ought_to_be(self) -> None:
        for token in list(self.expected.tokens.values())[-MOST_TOKENS:]:
            self.check_introspection(token)
            self.check_service(token, bound=None, when_stale=None)
            self.check_service(token, bound=0.0, when_stale=WhenStale.REFUSE)
            self.check_service(token, bound=BOUND, when_stale=WhenStale.REFUSE)

    def check_introspection(self, token: Token) -> None:
        active = self.plane.introspect(token.text)
        if not self.plane.provider.state.is_whole:
            assert active is None
        if active is True:
            assert self.expected.dead_at(token) is None  # S3
        if active is False:
            assert not self.expected.is_good(token, self.now)
        if active is None:
            assert self.down or self.expected.forked

    def check_service(
        self, token: Token, *, bound: float | None, when_stale: WhenStale | None
    ) -> None:
        age = self.now - self.plane.follower.proof.at
        decided = self.count_decided()
        doubted = token.text in self.plane.verifier._inactive  # only the server says otherwise
        wrong = self.plane.verify(token.text, bound=bound, when_stale=when_stale)
        limit = BOUND if bound is None else bound
        refuses = when_stale is WhenStale.REFUSE and limit > 0  # with none the server is asked
        if wrong is None:
            dead_at = self.expected.dead_at(token)
            assert dead_at is None or self.now - dead_at < limit  # S1
            assert dead_at is None or dead_at >= self.plane.follower.proof.at
            assert not token.refused  # S2
            assert age < limit or not refuses
            relied = age < limit and not doubted
            assert (self.count_decided() > decided) == relied  # else the server was asked
        elif isinstance(wrong, Refusal):
            token.refused = token.refused or wrong.reason is RefusalReason.REVOKED
            assert not self._may_rely_on(token), wrong
        else:
            assert age >= limit or self._lacks_key(token)
            troubled = self.down or self.expected.forked or self.now < self.troubled_until
            assert refuses or troubled or not self._may_rely_on(token), wrong

    def _may_rely_on(self, token: Token) -> bool:
        """Whether no service may refuse it: it is good, and the clock and the keys are right."""
        return (
            self.expected.is_good(token, self.now + 2 * SMALL_SKEW)
            and self.now >= self.settled_at  # what was said of it meanwhile is kept for a little
            and abs(self.plane.skew) <= SMALL_SKEW
            and not self._lacks_key(token)
        )

    def _lacks_key(self, token: Token) -> bool:
        keys = self.plane.verifier._keys.keys
        return keys is None or token.kid not in keys.kids

    def count_decided(self) -> int:
        status = self.plane.verifier.feed_status()
        assert status is not None
        return status.decided

    def check_knowledge(self, head: Rev) -> None:
        """What was proven is all that the server knew when it was asked, and nothing else (S4)."""
        follower = self.plane.follower
        assert follower.position >= head
        assert follower.view is not None
        assert self.find_digest() in (None, follower._feed.digest)
        tagger = Tagger(self.plane.view_key)
        for fact in self.plane.database._facts:
            if fact.rev <= follower.position and fact.forget_after > self.plane.issuer.clock.now():
                tag = tagger.tag(fact.kind, fact.identifier)
                own = tag if fact.kind is FactKind.TOKEN else None
                marks = Marks(pack_rev(fact.rev) - 1, own, (fact.kind,), (tag,))
                assert follower.view.find_killer(marks) is fact.kind

    def find_head(self) -> Rev:
        return self.plane.database._head.position.rev

    def find_digest(self) -> bytes | None:
        """What the server's record of facts has where the follower is; None where it ends before,
        or has forgotten."""
        position = self.plane.follower.position
        present = self.plane.database
        head = present._head.position
        if head.rev == position:
            return head.digest
        digests = [fact.digest for fact in present._facts if fact.rev == position]
        return digests[0] if digests else None
