"""The rules of histories: all that may befall the revocation plane."""

import json
from collections.abc import Callable, Collection
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from dojang.fetch import FetchRequest, FetchResponse, Transport
from dojang.jose import base64url
from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.resource import FeedState, FeedStatus
from dojang.resource.answers import LONGEST_NEGATIVE
from dojang.server.admin.errors import OperationRefused
from dojang.storage.memory import MemoryStore
from dojang.testing import TokenRefused
from dojang.testing.inline import run
from dojang.trust.feed_exchange import NEVER
from tests.model.channel import FAULTS, LIES, NOTICES, Channel, deliver, find_pages, retell
from tests.model.expected import Database, Token
from tests.model.plane import API, CLIENTS
from tests.model.properties import BOUND, SMALL_SKEW, Properties

RECOVERS_IN = 90.0  # seconds after an outage, until every breaker is closed and every pause over
CALM_POLLS = 5
LATEST_REV = [60_000, 1]
KINDS = ["jti", "client", "grant", "account", "session", "kid", "all"]
MOST_COPIES = 3  # of databases


class RevocationPlane(Properties):
    """What may happen in any order, and what must happen at last (L1, L2)."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[tuple[MemoryStore, Database]] = []
        self.whole: MemoryStore | None = None  # the right database, while an old one is in place
        self.lines: list[bytes] = []  # that were told in the last question that was held
        self.strangers = False  # keys of the feed that a service may not know have come back

    @initialize()
    def begin(self) -> None:
        for client in CLIENTS:
            self.issue(client)
        self.back_up()
        self._poll(deliver)

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
        self.expected.issue(self._read(text))

    def _read(self, text: str, *, forged: bool = False) -> Token:
        head, payload, _ = text.split(".")
        claims = json.loads(base64url.decode(payload))
        kid = json.loads(base64url.decode(head))["kid"]
        ends_at = self.now + claims["exp"] - self.plane.issuer.clock.now()
        names = claims["client_id"], claims["grant"], claims["jti"]
        return Token(text, *names, kid, ends_at, forged=forged)

    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        """A key has leaked, and who has it writes what he likes."""
        self._forge(data)

    def _forge(self, data: st.DataObject) -> Token:
        token = data.draw(st.sampled_from(list(self.expected.tokens.values())))
        claims = json.loads(base64url.decode(token.text.split(".")[1]))
        claims |= {"jti": f"forged {len(self.expected.tokens)}", "rev": LATEST_REV}
        forged = self._read(self.plane.sign(claims), forged=True)
        self.expected.issue(forged)
        return forged

    @rule(data=st.data(), cut=st.booleans(), warm=st.booleans())
    def revoke_a_leaked_key(self, data: st.DataObject, cut: bool, warm: bool) -> None:
        """Whoever has it may also keep the service from hearing of other keys."""
        forged = self._forge(data)
        if warm:
            self.plane.verify(forged.text)
        self.plane.key_set.cut = cut
        self._perform("keys.revoke", {"kid": forged.kid}, {"kid": forged.kid})
        self.plane.move(0.5)
        self._poll(deliver)

    @rule(data=st.data(), what=st.sampled_from(KINDS))
    def revoke(self, data: st.DataObject, what: str) -> None:
        token = data.draw(st.sampled_from(list(self.expected.tokens.values())))
        operation, which = {
            "jti": ("revoke.token", {"jti": token.jti}),
            "client": ("revoke.client", {"client_id": token.client}),
            "grant": ("revoke.grant", {"grant": token.grant}),
            "account": ("revoke.account", {"subject": token.client}),
            "session": ("revoke.session", {"session": token.client}),
            "kid": ("keys.revoke", {"kid": token.kid}),
            "all": ("revoke.everything", {}),
        }[what]
        if what == "session":  # nobody's
            self._perform(operation, which, None)
            return
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

    @rule(cut=st.booleans())
    def cut_off_the_key_set(self, cut: bool) -> None:
        self.plane.key_set.cut = cut

    # --- databases ------------------------------------------------------------------------------

    @precondition(lambda self: not self.expected.forked and len(self.copies) < MOST_COPIES)
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
        self.strangers |= self.plane.changes_feed_keys(store)
        self.plane.start_server(deepcopy(store))
        self.expected.put_back(known)

    @precondition(lambda self: self.whole is not None)
    @rule()
    def put_right(self) -> None:
        """The database that an old one was put in the place of is back, if that wrote nothing."""
        assert self.whole is not None
        before = [store._head for store, _ in self.copies]
        if self.plane.database._head in before:
            self.plane.start_server(self.whole)
            self.expected.undo(self.now)
            self.whole = None
            self.troubled_until = self.now + RECOVERS_IN
            self.settled_at = self.now + LONGEST_NEGATIVE

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """A copy, by the command, as it should be done."""
        store, known = data.draw(st.sampled_from(self.copies))
        self._restore(deepcopy(store), known)

    def _restore(self, store: MemoryStore, known: Database) -> None:
        self.strangers |= self.plane.changes_feed_keys(store)
        self.plane.restore(store)
        self._begin_epoch(known)

    @precondition(lambda self: self.copies and not self.expected.forked)
    @rule(data=st.data())
    def fail_over(self, data: st.DataObject) -> None:
        """A standby that may lack commits takes over."""
        store, known = data.draw(st.sampled_from(self.copies))
        if not self.plane.may_take_over(store):
            return
        self.strangers |= self.plane.changes_feed_keys(store)
        self.plane.fail_over(deepcopy(store), lossless=False)
        self._begin_epoch(known, kept=self.plane.find_heirs(store))

    def _begin_epoch(self, known: Database, *, kept: Collection[str] = ()) -> None:
        """Nothing of before is good."""
        self.expected.begin_epoch(known, self.now, kept=kept)
        self.whole = None
        self.troubled_until = self.now + RECOVERS_IN

    @precondition(lambda self: not self.expected.forked)
    @rule()
    def fail_over_without_loss(self) -> None:
        """A standby that has every commit takes over: tokens live on."""
        self.plane.fail_over(self.plane.copy_database(), lossless=True)

    @precondition(lambda self: not self.expected.forked)
    @rule(data=st.data())
    def fail_over_amid_a_revocation(self, data: st.DataObject) -> None:
        """It was committed and is told, but a standby without it takes over before it is
        acknowledged. Who has heard of it does not forget it."""
        token = data.draw(st.sampled_from(list(self.expected.tokens.values())))
        standby = self.plane.copy_database()
        if self._perform("revoke.token", {"jti": token.jti}, None):
            token.doomed = True
            self._poll(deliver)
            self.check_service(token, bound=None, when_stale=None)
            self.plane.fail_over(standby, lossless=True)

    # --- the feed -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.5]))
    def ask(self, seconds: float) -> None:
        self.plane.move(seconds)
        self._poll(deliver)

    @rule(data=st.data())
    def revoke_and_ask(self, data: st.DataObject) -> None:
        self.revoke(data, data.draw(st.sampled_from(["jti", "client"])))
        self._poll(deliver)

    @rule(fault=st.sampled_from(sorted(FAULTS)), spared=st.sampled_from([0, 0, 1, 2, 3]))
    def ask_over_a_bad_channel(self, fault: str, spared: int) -> None:
        """A request of an exchange, or its answer, does not arrive as it was sent."""

        def channel(transport: Transport, request: FetchRequest) -> FetchResponse:
            return FAULTS[fault](transport, request, self.plane.feed.heard.get(request.url, ()))

        self._poll(channel, spared)

    @rule(data=st.data(), seconds=st.sampled_from([0.0, BOUND]))
    def ask_and_be_lulled(self, data: st.DataObject, seconds: float) -> None:
        """Something has happened, and what is heard is the "nothing new" of before."""

        def replay(transport: Transport, request: FetchRequest) -> FetchResponse:
            heard = self.plane.feed.heard.get(request.url)
            return heard[-1] if heard else transport.send(request)

        for _ in range(2):
            self._poll(deliver)
        self.revoke(data, data.draw(st.sampled_from(["jti", "client"])))
        self.plane.move(seconds)
        self._poll(replay)

    @rule(data=st.data(), lie=st.sampled_from(sorted(LIES)))
    def ask_a_liar(self, data: st.DataObject, lie: str) -> None:
        """Answers are proven and pages are not what was signed: somebody has the proof key."""

        def channel(transport: Transport, request: FetchRequest) -> FetchResponse:
            transport.send(request)
            self.revoke(data, data.draw(st.sampled_from(["jti", "client"])))
            response, proof_key = transport.send(request), self.plane.proof_key
            pages = find_pages(response)
            if not pages or proof_key is None:
                return response
            heard = self.plane.feed.heard.get(request.url, ())
            told = [page for each in heard for page in find_pages(each)]
            return retell(response, request, proof_key, LIES[lie](pages, told))

        self.revoke(data, "jti")
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

    @rule(data=st.data(), told=st.sampled_from(sorted(NOTICES)), answered=st.booleans())
    def hear(self, data: st.DataObject, told: str, answered: bool) -> None:
        """Something happens while a question is held, and is told, or what somebody makes of it."""

        def hold(transport: Transport, request: FetchRequest) -> FetchResponse:
            if request.hear is None:
                return transport.send(request)
            proven_at, position = self.plane.follower.proof.at, self.plane.follower.position
            token = data.draw(st.sampled_from(list(self.expected.tokens.values())))
            revoked = self._perform("revoke.token", {"jti": token.jti}, {"jti": token.jti})
            lines, before = self.plane.build_lines(request), self.lines
            self.lines = lines
            self.plane.move(0.5)
            for line in NOTICES[told](lines, before):
                if not request.hear(line):
                    return FAULTS["lost"](transport, request, ())
                assert self.plane.follower.position == position
                assert self.plane.follower.proof.at == proven_at
            believed = lines and told not in ("none", "of before", "changed")
            if revoked and believed and not token.forged:  # of what is forged keys alone say
                assert self.plane.verify(token.text) is not None
            self.plane.move(0.5)
            return transport.send(request) if answered else FAULTS["lost"](transport, request, ())

        self._poll(deliver)
        self._poll(hold, ask=self.plane.ask)

    def _poll(
        self, channel: Channel, spared: int = 0, ask: Callable[[], FeedStatus] | None = None
    ) -> None:
        feed, follower = self.plane.feed, self.plane.follower
        before, asked_at, head = follower.proof.at, self.now, self.find_head()
        feed.channel, feed.spared = channel, spared
        status = (ask or self.plane.poll)()
        feed.channel, feed.spared = deliver, 0
        proven_at = follower.proof.at
        assert proven_at in (before, asked_at, NEVER) or proven_at > asked_at
        if status.failure is None and proven_at >= asked_at:
            self.check_knowledge(head)

    @rule()
    def calm(self) -> None:
        """Faults end, operators mend what is broken: what must happen at last (L1, L2)."""
        if self.down:
            self.answer_again()
        if self.expected.forked:
            self.tell()
            self._restore(self.plane.copy_database(), self.expected.copy())
        self.plane.key_set.cut = False
        if self.strangers:  # what is left to do by hand (docs/how-to/backup-and-restore.md)
            self.restart_service()
            self.strangers = False
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
            decided = self.count_decided()
            wrong = self.plane.verify(token.text)
            assert wrong is None, wrong
            assert self.count_decided() == decided + 1  # by the view: nobody was asked

    @precondition(lambda self: self.expected.forked and not self.down)
    @rule()
    def tell(self) -> None:
        """A follower that has seen what was lost says so, and nothing is issued any more."""
        seen = self._has_seen_more()
        self.plane.move(RECOVERS_IN)
        for _ in range(3):  # with a lease of the epoch before it has to get another first
            self._poll(deliver)
        assert self.plane.provider.state.is_whole != seen or self.strangers

    def _has_seen_more(self) -> bool:
        follower, head = self.plane.follower, self.plane.database._head.position
        if not self.plane.provider.state.is_whole or follower.position > head.rev:
            return True
        return follower.position.epoch == head.epoch and self.find_digest() not in (
            None,
            follower._feed.digest,
        )
