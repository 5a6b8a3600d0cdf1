"""The same token request, sent again: allowed as long as what allowed it stands."""

from __future__ import annotations

import pytest

from dojang.oauth.http import Response
from dojang.testing import Issuer
from tests.server.front_door import (
    GRANT,
    NOW,
    ORDERS,
    Header,
    basic,
    basic_of,
    open_issuer,
    post,
    read,
    refusal,
)


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    return issuer


def ask(issuer: Issuer, credentials: Header) -> Response:
    return post(issuer, "/token", GRANT, credentials)


@pytest.mark.proves("A3")
def test_each_answer_is_a_token_of_its_own(issuer: Issuer) -> None:
    credentials = basic_of(issuer, "shop")
    tokens = {read(ask(issuer, credentials))["access_token"] for _ in range(5)}
    assert len(tokens) == 5
    assert all(issuer.introspect(token, audience=ORDERS)["active"] for token in tokens)


@pytest.mark.proves("C45", "C50")
def test_another_secret_is_another_request(issuer: Issuer) -> None:
    secret = issuer.credentials("shop").secret
    assert ask(issuer, basic("shop", secret)).status == 200
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret.swapcase()):
        assert refusal(ask(issuer, basic("shop", wrong))) == (401, "invalid_client")
    assert refusal(post(issuer, "/token", GRANT)) == (401, "invalid_client")


@pytest.mark.proves("C46")
def test_an_empty_header_is_a_second_way_to_authenticate(issuer: Issuer) -> None:
    issuer.perform(
        "client.add",
        client_id="poster",
        authentication="client_secret_post",
        grants=[{"resource": ORDERS, "scopes": ["read"]}],
    )
    secret = issuer.perform("client.rotate_secret", client_id="poster")["client_secret"]
    form = {**GRANT, "client_id": "poster", "client_secret": secret}
    assert post(issuer, "/token", form).status == 200
    empty = (b"authorization", b"")
    assert refusal(post(issuer, "/token", form, empty)) == (400, "invalid_request")


@pytest.mark.proves("C87", "K6")
@pytest.mark.parametrize("operation", ["client.disable", "client.rotate_secret"])
def test_a_change_of_the_client_is_seen_at_once(issuer: Issuer, operation: str) -> None:
    credentials = basic_of(issuer, "shop")
    assert ask(issuer, credentials).status == 200
    issuer.perform(operation, client_id="shop")
    assert refusal(ask(issuer, credentials)) == (401, "invalid_client")


@pytest.mark.proves("C50")
def test_a_secret_ends_when_it_is_said_to(issuer: Issuer) -> None:
    credentials = basic_of(issuer, "shop")
    issuer.perform("client.rotate_secret", client_id="shop", overlap=100)
    for at, status in ((0, 200), (50, 200), (99, 200), (100, 401), (101, 401), (50, 200)):
        issuer.clock.move_to(NOW + at)
        assert ask(issuer, credentials).status == status


@pytest.mark.proves("K6")
def test_a_token_for_a_repeated_request_outlives_only_what_came_before_it(issuer: Issuer) -> None:
    credentials = basic_of(issuer, "shop")
    before = read(ask(issuer, credentials))["access_token"]
    issuer.revoke_client("shop")
    after = read(ask(issuer, credentials))["access_token"]
    assert issuer.introspect(before, audience=ORDERS) == {"active": False}
    assert issuer.introspect(after, audience=ORDERS)["active"] is True
