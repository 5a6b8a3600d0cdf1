"""F3: keys rotate, on command and on schedule, while every verifier holds a key set of another age,
followers come, go and get stuck, keys leak, and operators try to remove keys early. At no step is
a valid token refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.server.administration import OperationRefused
from dojang.server.key_plans import CLOSE
from dojang.server.lifetimes import JWKS_MAX_AGE, LEEWAY
from dojang.server.model import TokenFormat
from dojang.server.rotation import tend_keys
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.fleet import SimulatedFollower, fetch_keys
from tests.server.front_door import decode_jwt, open_issuer

POLLED, FOLLOWED, OPAQUE = "urn:polled", "urn:followed", "urn:opaque"
ALGORITHMS: Final = {POLLED: "ES256", FOLLOWED: "ES384"}
LINES: Final = [
    {"use": "access_token", "algorithm": "ES256"},
    {"use": "access_token", "algorithm": "ES384"},
    {"use": "seal", "algorithm": "A256GCM"},
]
SLOTS: Final = {POLLED: 0, FOLLOWED: 1, OPAQUE: 2}
LIFETIME: Final = 3600
ALL_SEE: Final = JWKS_MAX_AGE + LEEWAY
QUARTER: Final = 91 * 86_400
STEP: Final = 60.0


class Poller:
    """A verifier that knows of nothing but the key set, which it keeps as long as it may: it never
    asks early, and not for a key that it does not know."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.fetch()

    def fetch(self) -> None:
        self.keys = fetch_keys(self.issuer)
        self.fetched_at = self.issuer.clock.now()

    def poll(self) -> None:
        if self.issuer.clock.now() >= self.fetched_at + JWKS_MAX_AGE:
            self.fetch()


class Token:
    """One that stands for all of its key and audience, and lives as long as the last of them."""

    def __init__(self, text: str, audience: str, kid: str) -> None:
        self.text = text
        self.audience = audience
        self.kid = kid
        self.until = 0.0


class Caches(RuleBasedStateMachine):
    @initialize(ages=st.lists(st.integers(0, JWKS_MAX_AGE), min_size=1, max_size=4))
    def open(self, ages: list[int]) -> None:
        self.issuer = open_issuer()
        for audience, algorithm in ALGORITHMS.items():
            only = audience == FOLLOWED
            self.issuer.add_resource(
                audience, ["x"], access_token_lifetime=LIFETIME, algorithm=algorithm,
                followers_only=only,
            )  # fmt: skip
        self.issuer.add_resource(
            OPAQUE, ["x"], access_token_lifetime=LIFETIME, token_format=TokenFormat.OPAQUE
        )
        # The keys of the second resource were made for it just now: nobody has held them longer.
        self.issuer.clock.move(ALL_SEE)
        self.pollers: list[Poller] = []
        for age in sorted(ages, reverse=True):
            self.pollers.append(Poller(self.issuer))
            self.pollers[-1].fetched_at -= age
        self.names = count()
        self.followers: list[SimulatedFollower] = []
        self.stuck: set[str] = set()
        self.live: dict[tuple[str, str], Token] = {}
        self.limits: dict[str, int] = {}
        self.leaks: dict[str, float] = {}  # keys that sign since an emergency: their age counts
        self.proven: set[tuple[str, KeySet]] = set()
        self.seen: object = None
        self.quarters = 0
        self.come(1)

    @property
    def now(self) -> float:
        return self.issuer.clock.now()

    def list_keys(self) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = self.issuer.perform("keys.list")["keys"]
        return keys

    @rule(number=st.integers(1, 2))
    def come(self, number: int) -> None:
        for _ in range(number):
            self.followers.append(SimulatedFollower(self.issuer, f"f{next(self.names)}"))

    @rule(which=st.integers(0, 9))
    def go(self, which: int) -> None:
        if self.followers:
            self.followers.pop(which % len(self.followers))

    @rule(which=st.integers(0, 9))
    def get_stuck(self, which: int) -> None:
        """It is there, and fetches no key set any more."""
        if self.followers:
            self.stuck.add(self.followers[which % len(self.followers)].name)

    @rule()
    def get_well(self) -> None:
        self.stuck.clear()
        for follower in self.followers:
            follower.fetch()

    @rule(asked=st.sampled_from(LINES))
    def rotate(self, asked: dict[str, Any]) -> None:
        try:
            self.issuer.perform("keys.rotate", **asked)
        except OperationRefused as refused:
            assert refused.status == 409  # noqa: PT017  one is under way

    @rule(asked=st.sampled_from(LINES[:2]), seconds=st.sampled_from([1, 61, 200, 299]))
    def rotate_in_a_row(self, asked: dict[str, Any], seconds: int) -> None:
        """The second time the standby is young."""
        self.rotate(asked)
        self.wait(seconds)
        self.rotate(asked)
        self.wait(61)

    @rule(asked=st.sampled_from(LINES))
    def leak(self, asked: dict[str, Any]) -> None:
        """An emergency: the key that signs is revoked, and the standby signs."""
        kid = self.find_signing(asked)
        self.issuer.revoke_key(kid)
        self.live = {place: token for place, token in self.live.items() if token.kid != kid}
        replacement = self.find_signing(asked)
        (self.leaks[replacement],) = (
            key["published_at"] for key in self.list_keys() if key["kid"] == replacement
        )

    def find_signing(self, asked: dict[str, Any], keys: list[dict[str, Any]] | None = None) -> str:
        (kid,) = (
            key["kid"]
            for key in keys or self.list_keys()
            if key["algorithm"] == asked["algorithm"]
            and key["state"] == "active"
            and key["use"] == asked["use"]
        )
        assert isinstance(kid, str)
        return kid

    @rule(which=st.integers(0, 20))
    def remove(self, which: int) -> None:
        """An operator is in a hurry."""
        keys = [key for key in self.list_keys() if key["use"] != "feed"]
        key = keys[which % len(keys)]
        needed = {token.kid for token in self.live.values()}
        try:
            self.issuer.perform("keys.remove", kid=key["kid"])
        except OperationRefused as refused:
            assert refused.status == 409  # noqa: PT017
        else:
            assert key["kid"] not in needed
            assert key["state"] in {"gone", "revoked"}

    @rule()
    def clear(self) -> None:
        run(self.issuer.provider.maintain())

    @rule(seconds=st.sampled_from([1, 59, 61, 299, 301, 361, 1800, 3601, 4000]))
    def wait(self, seconds: int) -> None:
        for step in self.find_steps(self.now + seconds):
            self.step(step)

    @precondition(lambda self: self.quarters == 0)  # it makes an RSA key
    @rule()
    def let_a_quarter_pass(self) -> None:
        """Long enough for every line to be due; nobody looks meanwhile."""
        self.quarters += 1
        self.live.clear()
        self.step(QUARTER)
        self.wait(2)

    def find_steps(self, end: float) -> Iterator[float]:
        """Seconds, one by one where a takeover is close."""
        while self.now < end:
            dates = [key["active_from"] for key in self.list_keys() if key["state"] == "upcoming"]
            nearest = min((date - self.now for date in dates if date), default=QUARTER)
            step = 1.0 if nearest <= CLOSE + 2 else min(STEP, nearest - CLOSE - 1)
            yield min(step, end - self.now)

    def step(self, seconds: float) -> None:
        """Time passes; followers ask and fetch, then the leader looks, then pollers poll."""
        self.issuer.clock.move(seconds)
        for follower in self.followers:
            if follower.name in self.stuck:
                follower.report()
            else:
                follower.fetch()
        run(tend_keys(self.issuer.provider))
        for poller in self.pollers:
            poller.poll()
        self.check()

    @invariant()
    def every_valid_token_is_taken(self) -> None:
        if hasattr(self, "live"):
            self.check()

    def check(self) -> None:
        """Whatever lives is looked at anew when anything has changed, time aside."""
        keys = self.list_keys()
        self.note_limits(keys)
        for audience in (*ALGORITHMS, OPAQUE):
            kid = self.find_signing(LINES[SLOTS[audience]], keys)
            token = self.live.get((kid, audience)) or Token(
                self.issuer.token(scopes=["x"], audience=audience), audience, kid
            )
            assert audience == OPAQUE or decode_jwt(token.text)[0]["kid"] == kid
            token.until = self.now + LIFETIME
            self.live[kid, audience] = token
        self.live = {
            place: token for place, token in self.live.items() if self.now < token.until + LEEWAY
        }
        seen = (
            sorted(self.live),
            [(key["kid"], key["state"]) for key in keys],
            [(poller, poller.keys.kids) for poller in self.pollers],
            [(follower, follower.kids) for follower in self.followers],
        )
        if seen != self.seen:
            self.seen = seen
            self.check_tokens()

    def check_tokens(self) -> None:
        published = fetch_keys(self.issuer)
        for token in self.live.values():
            assert self.has_key(token)
            if token.audience == OPAQUE:
                continue
            assert self.is_good(token, published)
            published_at = self.leaks.get(token.kid, 0.0)
            if token.audience == POLLED and self.now >= published_at + ALL_SEE:
                assert all(self.is_good(token, poller.keys) for poller in self.pollers)
            for follower in self.followers:
                if token.kid not in follower.kids and self.now > published_at:
                    # Only one that got stuck, and only after its time, or in an emergency.
                    assert follower.name in self.stuck
                    assert token.kid in self.leaks or self.now >= self.limits[token.kid]

    def has_key(self, token: Token) -> bool:
        """Whether the issuer itself still proves the token, its own expiry aside."""
        parse = self.issuer.provider.state.tokens.parse
        return parse(token.text, now=int(self.now)) is not None

    def note_limits(self, keys: list[dict[str, Any]]) -> None:
        for key in keys:
            if key["active_by"] is not None:
                self.limits[key["kid"]] = key["active_by"]
            elif key["state"] == "active" and key["kid"] not in self.leaks:
                # It took over between two looks: it could only if nobody lacked it.
                self.limits.setdefault(key["kid"], key["active_from"])

    def is_good(self, token: Token, keys: KeySet) -> bool:
        """Whether a verifier with `keys` takes the signature; proven once for each set."""
        if token.kid not in keys.kids:
            return False
        if (token.kid, keys) not in self.proven:
            algorithm = ALGORITHMS[token.audience]
            JwtVerifier(keys, algorithms=[algorithm], types=["at+jwt"]).verify(token.text)
            self.proven.add((token.kid, keys))
        return True


@pytest.mark.proves("F3", "K3", "C96")
def test_no_valid_token_is_refused_at_any_step_of_a_rotation() -> None:
    steps = settings(
        max_examples=30,
        stateful_step_count=25,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making it shorter takes minutes
    )
    run_state_machine_as_test(Caches, settings=steps)
