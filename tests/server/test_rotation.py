"""The life of keys: no token is refused because of a rotation, and only a leaked key's tokens die.

K3 and C96 ask for more (schedules, early removal, emergencies with followers); what stands here is
what a rotation by command and a revocation keep true at every moment.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dojang.jose.errors import InvalidToken
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.server.administration import OperationRefused
from dojang.server.lifetimes import JWKS_MAX_AGE
from dojang.server.model import KeyUse, TokenFormat
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import ORDERS, decode_jwt, get, open_issuer, read

LINES = (KeyUse.ACCESS_TOKEN, KeyUse.SEAL, KeyUse.FEED)
RATE = {"use": KeyUse.ACCESS_TOKEN, "algorithm": "ES256"}
SEAL = {"use": KeyUse.SEAL, "algorithm": "A256GCM"}


def fetch_keys(issuer: Issuer) -> KeySet:
    return KeySet.parse(get(issuer, "/.well-known/jwks.json").body)


def list_keys(issuer: Issuer, state: str, use: KeyUse = KeyUse.ACCESS_TOKEN) -> list[str]:
    keys = issuer.perform("keys.list")["keys"]
    return [key["kid"] for key in keys if (key["state"], key["use"]) == (state, use)]


def verifies(keys: KeySet, token: str) -> bool:
    try:
        JwtVerifier(keys, algorithms=["ES256"], types=["at+jwt"]).verify(token)
    except InvalidToken:
        return False
    return True


class Rotations(RuleBasedStateMachine):
    """A verifier that refreshes its key set as rarely as the cache headers allow; an issuer whose
    keys rotate, are revoked and are cleared away; tokens of both formats."""

    @initialize()
    def open(self) -> None:
        self.issuer = open_issuer()
        self.issuer.add_resource(ORDERS, ["read"], access_token_lifetime=3600)
        self.issuer.add_resource(
            "urn:o", ["read"], access_token_lifetime=3600, token_format=TokenFormat.OPAQUE
        )
        self.live: dict[str, float] = {}
        self.dead: set[str] = set()
        self.kid_of: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        self.keys = fetch_keys(self.issuer)
        self.fetched_at = self.issuer.clock.now()
        self.emergency = False

    @rule(opaque=st.booleans())
    def issue(self, opaque: bool) -> None:
        use = KeyUse.SEAL if opaque else KeyUse.ACCESS_TOKEN
        (signing,) = list_keys(self.issuer, "active", use)
        token = self.issuer.token(scopes=["read"], audience="urn:o" if opaque else ORDERS)
        if not opaque:
            assert decode_jwt(token)[0]["kid"] == signing
        self.kid_of[token] = signing
        self.live[token] = self.issuer.clock.now() + 3600

    @rule(asked=st.sampled_from([RATE, SEAL]))
    def rotate(self, asked: dict[str, Any]) -> None:
        try:
            self.issuer.perform("keys.rotate", **asked)
        except OperationRefused as refused:
            assert refused.status == 409  # noqa: PT017  one is under way
        self.check_standby()

    @rule(
        state=st.sampled_from(["upcoming", "active", "retained"]),
        use=st.sampled_from(LINES),
        which=st.integers(0, 3),
    )
    def revoke(self, state: str, use: KeyUse, which: int) -> None:
        kids = list_keys(self.issuer, state, use)
        if not kids:
            return
        kid = kids[which % len(kids)]
        self.issuer.revoke_key(kid)
        killed = {token for token in self.live if self.kid_of[token] == kid}
        self.dead |= killed
        for token in killed:
            del self.live[token]
        self.emergency = True
        self.check_standby()

    @rule(seconds=st.sampled_from([1, 59, JWKS_MAX_AGE, 360, 3599, 3660, 7200]))
    def wait(self, seconds: int) -> None:
        self.issuer.clock.move(seconds)

    @rule()
    def clear(self) -> None:
        run(self.issuer.provider.maintain())

    @precondition(lambda self: self.live or self.dead)
    @rule()
    def check_tokens(self) -> None:
        """At the issuer, and at a verifier with the oldest set it may hold."""
        now = self.issuer.clock.now()
        self.live = {token: until for token, until in self.live.items() if now < until}
        stale = now >= self.fetched_at + JWKS_MAX_AGE
        if stale or self.emergency:
            self.refresh()
        for token in self.live:
            opaque = token.startswith("dojang_at_")
            told = self.issuer.introspect(token, audience="urn:o" if opaque else ORDERS)
            assert told["active"] is True
            assert opaque or verifies(self.keys, token)
        for token in self.dead:
            opaque = token.startswith("dojang_at_")
            told = self.issuer.introspect(token, audience="urn:o" if opaque else ORDERS)
            assert told == {"active": False}
            assert opaque or not verifies(self.keys, token)

    def check_standby(self) -> None:
        for use in LINES:
            keys = [key for key in self.issuer.perform("keys.list")["keys"] if key["use"] == use]
            assert len([key for key in keys if key["state"] == "active"]) == 1
            assert [key for key in keys if key["state"] == "upcoming" and not key["active_from"]]

    @invariant()
    def one_key_signs_and_a_standby_is_published(self) -> None:
        self.check_standby()
        published = {key["kid"] for key in read(get(self.issuer, "/.well-known/jwks.json"))["keys"]}
        assert published == {
            kid
            for state in ("upcoming", "active", "retained")
            for kid in list_keys(self.issuer, state)
        }


@pytest.mark.proves("K6", "K2", "C95")
def test_no_token_is_refused_because_keys_rotate() -> None:
    run_state_machine_as_test(Rotations, settings=settings(max_examples=40, stateful_step_count=30))


@pytest.mark.proves("K2")
def test_a_new_key_signs_only_after_every_verifier_may_have_seen_it() -> None:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.clock.move_to(issuer.rotate_keys())  # the first standby is old: at once
    held = fetch_keys(issuer)  # a verifier fetches just before the next one is made
    at = issuer.rotate_keys()
    published = fetch_keys(issuer).kids
    while issuer.clock.now() < at + 1:
        token = issuer.token(scopes=["read"], audience=ORDERS)
        if issuer.clock.now() % JWKS_MAX_AGE == 0:
            held = fetch_keys(issuer)
        assert verifies(held, token)
        issuer.clock.move(1)
    assert decode_jwt(issuer.token(scopes=["read"], audience=ORDERS))[0]["kid"] in published


@pytest.mark.proves("K2")
def test_a_second_rotation_waits_for_the_first() -> None:
    issuer = open_issuer()
    issuer.rotate_keys()
    at = issuer.rotate_keys()
    assert at > issuer.clock.now()
    with pytest.raises(OperationRefused, match="under way"):
        issuer.rotate_keys()
    issuer.clock.move_to(at)
    issuer.rotate_keys()


@pytest.mark.proves("K6")
def test_revoking_the_standby_in_the_middle_of_a_rotation_leaves_one() -> None:
    issuer = open_issuer()
    issuer.rotate_keys()
    at = issuer.rotate_keys()
    standby = [
        key["kid"]
        for key in issuer.perform("keys.list")["keys"]
        if key["state"] == "upcoming"
        and key["active_from"] is None
        and key["use"] == KeyUse.ACCESS_TOKEN
    ]
    assert len(standby) == 1
    issuer.revoke_key(standby[0])
    issuer.clock.move_to(at)
    assert len(list_keys(issuer, "active")) == 1
    assert len(list_keys(issuer, "upcoming")) == 1


@pytest.mark.proves("K6")
def test_a_key_that_is_gone_or_unknown_cannot_be_revoked() -> None:
    issuer = open_issuer()
    (active,) = list_keys(issuer, "active")
    issuer.revoke_key(active)
    for kid in (active, "unknown"):
        with pytest.raises(OperationRefused, match="no live key"):
            issuer.revoke_key(kid)


@pytest.mark.proves("K2")
def test_each_algorithm_and_use_has_keys_of_its_own() -> None:
    issuer = open_issuer()
    issuer.add_resource("urn:rsa", ["x"], algorithm="PS256")
    issuer.add_resource("urn:ec", ["x"], algorithm="ES384")
    issuer.add_resource("urn:ec2", ["x"], algorithm="ES384")
    keys = issuer.perform("keys.list")["keys"]
    kinds = sorted((key["use"], key["algorithm"]) for key in keys)
    assert kinds == sorted(
        [
            *[("access_token", name) for name in ("ES256", "ES384", "PS256")] * 2,
            *[("seal", "A256GCM")] * 2,
            *[("feed", "RS256")] * 2,
        ]
    )
    before = {key["kid"]: key["state"] for key in keys}
    assert len(before) == len(keys)
    issuer.rotate_keys("ES384")
    after = issuer.perform("keys.list")["keys"]
    changed = {key["algorithm"] for key in after if before.get(key["kid"]) != key["state"]}
    assert changed <= {"ES384"}


@pytest.mark.proves("K1")
def test_a_clock_that_was_set_back_brings_the_old_keys_back() -> None:
    issuer = open_issuer()
    token = issuer.token(scopes=["read"], audience=ORDERS)
    issuer.rotate_keys()
    issuer.clock.move(7300)
    assert issuer.introspect(token, audience=ORDERS) == {"active": False}
    issuer.clock.move(-7290)
    assert issuer.introspect(token, audience=ORDERS)["active"] is True


@pytest.mark.parametrize("use", [KeyUse.ACCESS_TOKEN, KeyUse.SEAL])
@pytest.mark.proves("K6", "C115")
def test_a_node_whose_clock_is_behind_signs_with_the_key_that_took_over(use: KeyUse) -> None:
    """Another node activates a key by its own clock; here that moment has not come yet."""
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_resource("urn:o", ["read"], token_format=TokenFormat.OPAQUE)
    audience = "urn:o" if use is KeyUse.SEAL else ORDERS
    (active,) = list_keys(issuer, "active", use)
    before = issuer.token(scopes=["read"], audience=audience)
    issuer.revoke_key(active)
    issuer.clock.move(-5)
    assert list_keys(issuer, "active", use) == []
    assert issuer.introspect(before, audience=audience) == {"active": False}
    token = issuer.token(scopes=["read"], audience=audience)
    assert issuer.introspect(token, audience=audience)["active"] is True
    assert run(issuer.provider.ready()) == []
