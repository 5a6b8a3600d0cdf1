"""Order, not clocks, decides: fact n ends the matching tokens that carry rev < n, and no others."""

from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from dojang.server.administration import OperationRefused
from dojang.server.model import TokenFormat
from dojang.testing import Issuer, TokenRefused
from dojang.testing.inline import run
from tests.server.front_door import ORDERS, basic_of, decode_jwt, open_issuer, post

OPAQUE = "urn:opaque"
CLIENTS = ("alpha", "beta")


class Issued(NamedTuple):
    """What the model knows of a token: when it was issued, counted in steps, and its ids."""

    step: int
    client_id: str
    audience: str
    kid: str
    dies_at: float


class Facts(RuleBasedStateMachine):
    """Issue, revoke, disable, enable and rotate in any order, at clocks that jump. The model is a
    list of what was revoked at which step; the answer is asked of introspection."""

    @initialize()
    def open(self) -> None:
        self.issuer = open_issuer()
        self.step = 0
        self.tokens: dict[str, Issued] = {}
        self.ended: dict[str, int] = {}  # token, client, grant or kid: the step it was revoked at
        self.enabled = dict.fromkeys(CLIENTS, True)
        self.issuer.add_resource(ORDERS, ["read"])
        self.issuer.add_resource(OPAQUE, ["read"], token_format=TokenFormat.OPAQUE)
        for client_id in CLIENTS:
            self.issuer.add_client(client_id, {ORDERS: ["read"], OPAQUE: ["read"]})
        self.services = {
            audience: self.issuer.introspector(audience).client_id for audience in (ORDERS, OPAQUE)
        }

    clients = st.sampled_from(CLIENTS)
    audiences = st.sampled_from([ORDERS, OPAQUE])

    @rule(client_id=clients, audience=audiences)
    def issue(self, client_id: str, audience: str) -> None:
        self.step += 1
        view = self.issuer.provider.state.keys.at(int(self.issuer.clock.now()))
        assert view.seals is not None
        kid = view.seals.active.kid if audience == OPAQUE else view.signers["ES256"].kid
        try:
            token = self.issuer.token(scopes=["read"], audience=audience, client_id=client_id)
        except TokenRefused as refused:
            assert (refused.error, self.enabled[client_id]) == ("invalid_client", False)  # noqa: PT017
            return
        assert self.enabled[client_id]
        dies_at = int(self.issuer.clock.now()) + 600
        self.tokens[token] = Issued(self.step, client_id, audience, kid, dies_at)

    def pick(self, data: st.DataObject) -> str | None:
        return data.draw(st.sampled_from(sorted(self.tokens))) if self.tokens else None

    @rule(data=st.data(), by_owner=st.booleans())
    def revoke_token(self, data: st.DataObject, by_owner: bool) -> None:
        token = self.pick(data)
        if token is None:
            return
        issued = self.tokens[token]
        self.step += 1
        if not by_owner:
            if self.issuer.clock.now() < issued.dies_at and issued.kid not in self.ended:
                self.issuer.revoke(token)
                self.ended[token] = self.step
        elif self.enabled[issued.client_id]:
            header = basic_of(self.issuer, issued.client_id)
            assert post(self.issuer, "/revoke", {"token": token}, header).status == 200
            self.ended[token] = self.step

    @rule(client_id=clients)
    def revoke_client(self, client_id: str) -> None:
        self.step += 1
        self.issuer.revoke_client(client_id)
        self.ended[client_id] = self.step

    @rule(client_id=clients, audience=audiences)
    def revoke_grant(self, client_id: str, audience: str) -> None:
        self.step += 1
        client = run(self.issuer.provider.store.find_client(client_id))
        assert client is not None
        (grant,) = [each for each in client.grants if each.resource == audience]
        self.issuer.perform("revoke.grant", grant=grant.grant_id)
        self.ended[f"{client_id} at {audience}"] = self.step

    @rule(client_id=clients)
    def disable(self, client_id: str) -> None:
        self.step += 1
        self.issuer.disable_client(client_id)
        self.enabled[client_id] = False
        self.ended[client_id] = self.step

    @rule(client_id=clients)
    def enable(self, client_id: str) -> None:
        self.issuer.enable_client(client_id)
        self.enabled[client_id] = True

    @rule(data=st.data())
    def revoke_key(self, data: st.DataObject) -> None:
        token = self.pick(data)
        kid = self.tokens[token].kid if token else ""
        keys = {key["kid"]: key["state"] for key in self.issuer.perform("keys.list")["keys"]}
        if keys.get(kid) not in (None, "gone", "revoked"):
            self.step += 1
            self.issuer.revoke_key(kid)
            self.ended[kid] = self.step

    @rule()
    def rotate(self) -> None:
        with suppress(OperationRefused):  # one is under way
            self.issuer.rotate_keys()

    @rule(seconds=st.sampled_from([0.3, 1, 200, -1, -0.5]))
    def move_clock(self, seconds: float) -> None:
        self.issuer.clock.move(seconds)

    @rule()
    def maintain(self) -> None:
        run(self.issuer.provider.maintain())

    def is_alive(self, token: str, issued: Issued) -> bool:
        names = (
            token,
            issued.client_id,
            f"{issued.client_id} at {issued.audience}",
            issued.kid,
        )
        return (
            self.issuer.clock.now() < issued.dies_at
            and self.enabled[issued.client_id]
            and not any(self.ended.get(name, -1) > issued.step for name in names)
        )

    @rule()
    def every_token_is_as_the_model_says(self) -> None:
        for token, issued in self.tokens.items():
            service = self.services[issued.audience]
            header = basic_of(self.issuer, service)
            answer = post(self.issuer, "/introspect", {"token": token}, header)
            active = answer.body != b'{"active":false}'
            assert active == self.is_alive(token, issued), issued

    def teardown(self) -> None:
        if hasattr(self, "issuer"):
            self.every_token_is_as_the_model_says()
            assert self.issuer.perform("audit.verify")["intact"] is True


@pytest.mark.proves("C87", "K6")
def test_facts_end_what_came_before_them_and_nothing_else() -> None:
    run_state_machine_as_test(Facts, settings=settings(max_examples=50, stateful_step_count=30))


def read_rev(token: str) -> list[Any]:
    rev = decode_jwt(token)[1]["rev"]
    assert isinstance(rev, list)
    return rev


@pytest.mark.proves("K6", "C66")
def test_a_token_carries_the_position_it_was_allowed_at() -> None:
    issuer = open_issuer()
    first = issuer.token(scopes=["read"], audience=ORDERS)
    assert read_rev(first) == [1, 0]
    issuer.revoke(first)
    assert read_rev(issuer.token(scopes=["read"], audience=ORDERS)) == [1, 1]


@pytest.mark.proves("K6")
def test_a_token_of_the_same_second_survives_a_revocation_before_it() -> None:
    """No grain of a clock: what came before the fact dies and what came after lives."""
    issuer = open_issuer()
    tokens = []
    for _ in range(5):
        tokens.append(issuer.token(scopes=["read"], audience=ORDERS))
        issuer.revoke_client()
        tokens.append(issuer.token(scopes=["read"], audience=ORDERS))
        active = [issuer.introspect(token, audience=ORDERS)["active"] for token in tokens]
        assert active == [False] * (len(tokens) - 1) + [True]


@pytest.mark.proves("K6")
def test_a_clock_set_back_revives_nothing() -> None:
    issuer: Issuer = open_issuer()
    token = issuer.token(scopes=["read"], audience=ORDERS)
    issuer.clock.move(300)
    issuer.revoke(token)
    issuer.clock.move(-3000)
    assert issuer.introspect(token, audience=ORDERS) == {"active": False}
