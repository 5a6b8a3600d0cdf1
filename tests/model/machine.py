"""The rules of histories of the revocation plane, and what must be true after every step."""

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dojang.fetch import FetchRequest, FetchResponse, Transport
from dojang.jose import base64url
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import Tagger
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.resource import FeedState, Refusal, RefusalReason, WhenStale
from dojang.resource.answers import LONGEST_NEGATIVE
from dojang.server.admin.errors import OperationRefused
from dojang.storage.memory import MemoryStore
from dojang.testing import TokenRefused
from dojang.testing.inline import run
from dojang.trust.feed_exchange import NEVER
from dojang.trust.revocations import Marks, pack_rev
from tests.model.channel import FAULTS, Channel, deliver
from tests.model.expected import Database, Expected, Token
from tests.model.plane import API, CLIENTS, Plane

BOUND = 2.0  # seconds that the service lets its view be old
MOST_TOKENS = 6  # that are looked at
RECOVERS_IN = 90.0  # seconds after an outage, until every breaker is closed and every pause over
SMALL_SKEW = 3.0  # seconds: within the leeway of every verifier
CALM_POLLS = 5


class RevocationPlane(RuleBasedStateMachine):
    """S1 to S4, L1 and L2, and no good token refused outside of an outage."""

    @initialize()
    def begin(self) -> None:
        self.plane = Plane()
        self.expected = Expected()
        self.copies: list[tuple[MemoryStore, Database]] = []
        self.whole: MemoryStore | None = None  # the right database, while an old one is in place
        self.down = False
        self.troubled_until = self.settled_at = 0.0
        self.furthest = Rev(0, 0)
        for client in CLIENTS:
            self.issue(client)
        self.back_up()
        self._poll(deliver)

    @property
    def now(self) -> float:
        return self.plane.clock.monotonic()

    # --- tokens given and taken back ------------------------------------------------------------

    @rule(client=st.sampled_from(CLIENTS))
    def issue(self, client: str) -> None:
        try:
            text = self.plane.issuer.token(scopes=["read"], audience=API, client_id=client)
        except Unavailable:
            assert self.down or self.expected.forked
            return
        except TokenRefused:
            assert self.expected.forked or client in self.expected.database.disabled
            return
        assert self.expected.forked or client not in self.expected.database.disabled
        head, payload, _ = text.split(".")
        claims = json.loads(base64url.decode(payload))
        kid = json.loads(base64url.decode(head))["kid"]
        lives = claims["exp"] - self.plane.issuer.clock.now()
        ends_at = self.now + lives
        self.expected.issue(Token(text, client, claims["grant"], claims["jti"], kid, ends_at))

    @rule(data=st.data(), what=st.sampled_from(["jti", "client", "grant", "account", "kid", "all"]))
    def revoke(self, data: st.DataObject, what: str) -> None:
        token = data.draw(st.sampled_from(sorted(self.expected.tokens.values(), key=_by_jti)))
        operation, which = {
            "jti": ("revoke.token", {"jti": token.jti}),
            "client": ("revoke.client", {"client_id": token.client}),
            "grant": ("revoke.grant", {"grant": token.grant}),
            "account": ("revoke.account", {"subject": token.client}),
            "kid": ("keys.revoke", {"kid": token.kid}),
            "all": ("revoke.everything", {}),
        }[what]
        name = "client" if what == "account" else what
        ends = {} if what == "all" else {name: str(getattr(token, name))}
        self._perform(operation, which, ends)

    @rule(client=st.sampled_from(CLIENTS), enabled=st.booleans())
    def enable_or_disable(self, client: str, enabled: bool) -> None:
        if not enabled:
            if self._perform("client.disable", {"client_id": client}, {"client": client}):
                self.expected.database.disabled.add(client)
        elif self._perform("client.enable", {"client_id": client}, None):
            self.expected.database.disabled.discard(client)

    @rule()
    def rotate_keys(self) -> None:
        self._perform("keys.rotate", {"algorithm": "ES256"}, None)

    def _perform(
        self, operation: str, parameters: dict[str, Any], ends: dict[str, str] | None
    ) -> bool:
        """Whether it was acknowledged; then the tokens that `ends` describes are dead."""
        try:
            self.plane.issuer.perform(operation, **parameters)
        except (OperationRefused, Unavailable):
            return False
        if ends is not None:
            self.expected.end(self.now, **ends)
        return True

    # --- time and processes ---------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 2.0, 3.0, 31.0, 400.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.plane.move(seconds)

    @rule(skew=st.sampled_from([0.0, 0.0, SMALL_SKEW, -SMALL_SKEW, 3600.0, -3600.0]))
    def set_clock(self, skew: float) -> None:
        self.plane.set_clock(skew)

    @rule()
    def maintain(self) -> None:
        try:
            run(self.plane.provider.maintain())
        except Unavailable:
            assert self.expected.forked

    @rule()
    def restart_server(self) -> None:
        self.plane.start_server(self.plane.copy_database())

    @rule()
    def restart_service(self) -> None:
        self.plane.start_service()
        self.furthest = Rev(0, 0)
        for token in self.expected.tokens.values():
            token.refused = False

    @rule()
    def stop_answering(self) -> None:
        self.plane.issuer.transport._refusing = self.down = True

    @precondition(lambda self: self.down)
    @rule()
    def answer_again(self) -> None:
        self.plane.issuer.transport._refusing = self.down = False
        self.troubled_until = self.now + RECOVERS_IN

    # --- databases ------------------------------------------------------------------------------

    @precondition(lambda self: not self.expected.forked and len(self.copies) < 3)
    @rule()
    def back_up(self) -> None:
        self.copies.append((self.plane.copy_database(), self.expected.copy()))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """By hand, with no word to anybody."""
        store, known = data.draw(st.sampled_from(self.copies))
        present = self.plane.copy_database()
        if store._head == present._head or self.expected.forked:
            return
        self.whole = present
        self.plane.start_server(deepcopy(store))
        self.expected.put_back(known)

    @precondition(lambda self: self.whole is not None)
    @rule()
    def put_right(self) -> None:
        """The database that an old one was put in the place of is back, if that wrote nothing."""
        assert self.whole is not None
        before = [store._head for store, _ in self.copies]
        if self.plane.copy_database()._head in before:
            self.plane.start_server(self.whole)
            self.expected.undo(self.now)
            self.whole = None
            self.troubled_until = self.now + RECOVERS_IN
            self.settled_at = self.now + LONGEST_NEGATIVE

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        store, known = data.draw(st.sampled_from(self.copies))
        self._begin_epoch(deepcopy(store), known)

    def _begin_epoch(self, store: MemoryStore, known: Database) -> None:
        self.plane.begin_epoch(store)
        self.plane.start_server(store)
        self.expected.begin_epoch(known, self.now)
        self.whole = None
        self.troubled_until = self.now + RECOVERS_IN

    # --- the feed -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.5]))
    def ask(self, seconds: float) -> None:
        self.plane.move(seconds)
        self._poll(deliver)

    @rule(data=st.data())
    def revoke_and_ask(self, data: st.DataObject) -> None:
        self.revoke(data, data.draw(st.sampled_from(["jti", "client"])))
        self._poll(deliver)

    @rule(fault=st.sampled_from(sorted(FAULTS)))
    def ask_over_a_bad_channel(self, fault: str) -> None:
        """The first request of an exchange, or its answer, does not arrive as it was sent."""

        def channel(transport: Transport, request: FetchRequest) -> FetchResponse:
            return FAULTS[fault](transport, request, self.plane.feed.heard.get(request.url, ()))

        self._poll(channel)

    @rule(data=st.data(), seconds=st.sampled_from([1.0, 2.0, 60.0]))
    def ask_and_be_overtaken(self, data: st.DataObject, seconds: float) -> None:
        """The answer is long under way, and other things happen meanwhile."""

        def delay(transport: Transport, request: FetchRequest) -> FetchResponse:
            response = transport.send(request)
            self.revoke(data, data.draw(st.sampled_from(["jti", "client"])))
            self.plane.move(seconds)
            return response

        self._poll(delay)

    def _poll(self, channel: Channel) -> None:
        feed, follower = self.plane.feed, self.plane.follower
        before, asked_at, head = follower.proof.at, self.now, self._find_head()
        feed.channel = channel
        status = self.plane.poll()
        feed.channel = deliver
        proven_at = follower.proof.at
        assert proven_at in (before, asked_at, NEVER) or proven_at > asked_at
        if status.failure is None and proven_at >= asked_at:
            self._check_knowledge(head)

    def _check_knowledge(self, head: Rev) -> None:
        """What was proven is all that the server knew when it was asked, and nothing else (S4)."""
        follower = self.plane.follower
        assert follower.position >= head
        assert follower.view is not None
        assert self._find_digest() in (None, follower._feed.digest)
        tagger = Tagger(self.plane.view_key)
        for fact in self.plane.copy_database()._facts:
            if fact.rev <= follower.position and fact.forget_after > self.plane.issuer.clock.now():
                tag = tagger.tag(fact.kind, fact.identifier)
                own = tag if fact.kind is FactKind.TOKEN else None
                marks = Marks(pack_rev(fact.rev) - 1, own, (fact.kind,), (tag,))
                assert follower.view.find_killer(marks) is fact.kind

    def _find_head(self) -> Rev:
        return self.plane.copy_database()._head.position.rev

    def _find_digest(self) -> bytes | None:
        """What the server's record of facts has where the follower is; None where it ends before,
        or has forgotten."""
        position = self.plane.follower.position
        present = self.plane.copy_database()
        head = present._head.position
        if head.rev == position:
            return head.digest
        digests = [fact.digest for fact in present._facts if fact.rev == position]
        return digests[0] if digests else None

    @rule()
    def calm(self) -> None:
        """Faults end, operators mend what is broken: what must happen at last (L1, L2)."""
        if self.down:
            self.answer_again()
        if self.expected.forked:
            self.tell()
            self._begin_epoch(self.plane.copy_database(), self.expected.copy())
        self.plane.set_clock(0.0)
        self.plane.move(RECOVERS_IN)
        for _ in range(CALM_POLLS):
            self._poll(deliver)
        status = self.plane.follower.status()
        assert (status.state, status.age) == (FeedState.FRESH, 0.0), status
        assert self.plane.follower.position == self.plane.provider.state.position.rev
        for client in set(CLIENTS) - self.expected.database.disabled:
            self.issue(client)
            *_, token = self.expected.tokens.values()
            decided = self._count_decided()
            assert self.plane.verify(token.text) is None
            assert self._count_decided() == decided + 1  # by the view: nobody was asked

    def _count_decided(self) -> int:
        status = self.plane.verifier.feed_status()
        assert status is not None
        return status.decided

    def teardown(self) -> None:
        if hasattr(self, "plane"):
            self.plane.close()

    # --- what must be true ----------------------------------------------------------------------

    @invariant()
    def never_goes_back(self) -> None:
        assert self.plane.follower.position >= self.furthest
        self.furthest = self.plane.follower.position

    @precondition(lambda self: self.expected.forked and not self.down)
    @rule()
    def tell(self) -> None:
        """A follower that has seen what was lost says so, and nothing is issued any more."""
        seen = self._has_seen_more()
        self.plane.move(RECOVERS_IN)
        for _ in range(3):  # with a lease of the epoch before it has to get another first
            self._poll(deliver)
        assert self.plane.provider.state.is_whole != seen

    def _has_seen_more(self) -> bool:
        follower, head = self.plane.follower, self.plane.copy_database()._head.position
        if not self.plane.provider.state.is_whole or follower.position > head.rev:
            return True
        return follower.position.epoch == head.epoch and self._find_digest() not in (
            None,
            follower._feed.digest,
        )

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
        decided = self._count_decided()
        wrong = self.plane.verify(token.text, bound=bound, when_stale=when_stale)
        limit = BOUND if bound is None else bound
        refuses = when_stale is WhenStale.REFUSE and limit > 0  # with none the server is asked
        if wrong is None:
            dead_at = self.expected.dead_at(token)
            assert dead_at is None or self.now - dead_at < limit  # S1
            assert not token.refused  # S2
            assert age < limit or not refuses
            assert (self._count_decided() > decided) == (age < limit)  # else the server was asked
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


def _by_jti(token: Token) -> str:
    return token.jti
