"""Histories that spin found in a design that lacked a rule, played by the real parts."""

import json
from functools import partial

import pytest

from dojang.jose import base64url, json_object
from dojang.oauth.errors import Unavailable
from dojang.resource import Expect, FeedState, Hybrid, Introspection, Local, Refusal
from dojang.server.epochs import plan_restore
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.model.channel import WithoutKeySet
from tests.server.follower import ORDERS, copy_database, open_feed, put_in_place


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_feed(Issuer())
    issuer.add_client("shop", {ORDERS: ["read"]})
    issuer.revoke_client("shop")
    return issuer


def restore(issuer: Issuer) -> None:
    plan = partial(
        plan_restore,
        issuer=issuer.url,
        encryption_key=issuer.provider.state.keys._encryption_key,
        clock=issuer.clock,
        actor="local:root",
        source="backup.db",
    )
    run(issuer.provider.store.begin_epoch(plan))


@pytest.mark.proves("F15", "V3")
def test_a_follower_goes_on_after_a_restore(issuer: Issuer) -> None:
    follower = issuer.follow(ORDERS)
    assert follower.poll().state is FeedState.FRESH
    restore(issuer)
    issuer.clock.move(1)
    follower.poll()  # its lease is from before
    status = follower.poll()
    assert (status.state, status.age) == (FeedState.FRESH, 0.0)
    assert follower.position == issuer.provider.state.position.rev


@pytest.mark.proves("F15", "C116")
def test_a_database_of_before_a_restore_put_back_is_noticed(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    before = copy_database(issuer)
    follower = issuer.follow(ORDERS)
    follower.poll()
    restore(issuer)
    follower.poll()
    follower.poll()
    assert issuer.introspect(token, audience=ORDERS) == {"active": False}
    put_in_place(issuer, before)
    follower.poll()  # its lease is from the epoch that was lost
    follower.poll()
    assert follower.poll().state is FeedState.WENT_BACK
    with pytest.raises(Unavailable):
        issuer.introspect(token, audience=ORDERS)


@pytest.mark.proves("K6", "C97")
def test_a_key_that_leaked_ends_with_its_fact_whatever_position_a_token_names(
    issuer: Issuer,
) -> None:
    """Whoever holds the key writes any `rev` into a token, and keeps services from the key set."""
    transport = WithoutKeySet(issuer.transport)
    follower = issuer.follow(ORDERS)
    verifier = Hybrid(
        introspection=Introspection(
            credentials=issuer.introspector(ORDERS),
            transport=issuer.transport,
            clock=issuer.clock,
        ),
        local=Local(transport=transport, clock=issuer.clock),
        follow=follower,
    ).build(Expect(issuer=issuer.url, audience=ORDERS, algorithms=["ES256"]))
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    claims = json.loads(base64url.decode(token.split(".")[1]))
    claims["rev"] = [60_000, 1]
    signer = issuer.provider.state.keys.at(int(issuer.clock.now())).signers["ES256"]
    forged = signer.sign(json_object.dump(claims))
    follower.poll()
    assert verifier.verify(forged).client_id == "shop"
    transport.cut = True
    issuer.revoke_key()
    assert follower.poll().state is FeedState.FRESH
    with pytest.raises(Refusal):
        verifier.verify(forged)
    assert follower.view is not None
    follower.view.export()  # the fact is in a table now
    with pytest.raises(Refusal):
        verifier.verify(forged)
