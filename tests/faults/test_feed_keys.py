"""The keys that sign the feed rotate and leak, and whoever follows it goes on."""

import pytest

from dojang.resource import FeedState, Follower
from dojang.server.model import KeyUse
from dojang.server.rotation import tend_keys
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import ORDERS, open_issuer

FEED = {"use": "feed", "algorithm": "RS256"}
WHILE = 1800.0  # seconds


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_client("orders")
    issuer.add_resource(ORDERS, ["read"], introspectors=["orders"])
    return issuer


@pytest.fixture
def follower(issuer: Issuer) -> Follower:
    follower = Follower(
        issuer.url,
        credentials=issuer.credentials("orders"),
        transport=issuer.transport,
        clock=issuer.clock,
        by_hand=True,
    )
    assert follower.poll().state is FeedState.FRESH
    return follower


def wait_until(issuer: Issuer, follower: Follower, at: float) -> None:
    """The follower asks now and then, and nothing happens."""
    while issuer.clock.now() < at:
        issuer.clock.move(min(WHILE, at - issuer.clock.now()))
        run(tend_keys(issuer.provider))
        assert follower.poll().state is FeedState.FRESH


def find_signing(issuer: Issuer) -> str:
    (kid,) = [
        key["kid"]
        for key in issuer.perform("keys.list")["keys"]
        if (key["use"], key["state"]) == (KeyUse.FEED, "active")
    ]
    assert isinstance(kid, str)
    return kid


def revoke_something(issuer: Issuer, follower: Follower) -> None:
    before = follower.position
    issuer.perform("revoke.grant", grant="g")
    status = follower.poll()
    assert (status.state, status.failure) == (FeedState.FRESH, None)
    assert follower.position == before._replace(number=before.number + 1)


@pytest.mark.proves("C96", "C91", "K3")
def test_a_follower_of_a_feed_without_news_knows_each_key_before_it_signs(
    issuer: Issuer, follower: Follower
) -> None:
    """No page names the keys to come, because there is none."""
    signed = {find_signing(issuer)}
    for _ in range(4):
        at = issuer.perform("keys.rotate", **FEED)["takes_over_at"]
        wait_until(issuer, follower, max(at, issuer.clock.now() + 1))
        signed.add(find_signing(issuer))
    assert len(signed) == 5
    revoke_something(issuer, follower)


@pytest.mark.proves("C97", "C91", "K3")
def test_a_follower_goes_on_after_every_key_of_the_feed_leaked(
    issuer: Issuer, follower: Follower
) -> None:
    for _ in range(4):
        leaked = find_signing(issuer)
        issuer.revoke_key(leaked)
        assert find_signing(issuer) != leaked
        for _ in range(2):  # its lease has ended, and it joins again
            follower.poll()
        revoke_something(issuer, follower)
