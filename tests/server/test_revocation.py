"""Revocation: RFC 7009. A client takes back its own token, and is told when that is durable."""

import pytest

from dojang.server.model import TokenFormat
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import (
    NOW,
    ORDERS,
    basic_of,
    header_of,
    open_issuer,
    post,
    refusal,
)


@pytest.fixture(params=TokenFormat)
def issuer(request: pytest.FixtureRequest) -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"], token_format=request.param)
    issuer.add_client("shop", {ORDERS: ["read"]})
    issuer.add_client("rival", {ORDERS: ["read"]})
    return issuer


def revoke_as(issuer: Issuer, client_id: str, token: str) -> int:
    answer = post(issuer, "/revoke", {"token": token}, basic_of(issuer, client_id))
    assert header_of(answer, b"cache-control") == b"no-store"
    if answer.status == 200:
        assert answer.body == b""
    return answer.status


def make(issuer: Issuer, client_id: str = "shop") -> str:
    return issuer.token(scopes=["read"], audience=ORDERS, client_id=client_id)


def is_active(issuer: Issuer, token: str) -> bool:
    return bool(issuer.introspect(token, audience=ORDERS)["active"])


def count_facts(issuer: Issuer) -> int:
    return run(issuer.provider.store.position()).head


@pytest.mark.proves("C89", "K6")
def test_a_client_revokes_one_token_and_keeps_the_others(issuer: Issuer) -> None:
    first, second = make(issuer), make(issuer)
    assert revoke_as(issuer, "shop", first) == 200
    assert [is_active(issuer, token) for token in (first, second)] == [False, True]
    assert is_active(issuer, make(issuer))


@pytest.mark.parametrize("junk", ["junk", "dojang_at_AAAA", "a.b.c", "\x00", "€", "x" * 8000])
@pytest.mark.proves("C89")
def test_an_unknown_token_needs_no_revoking(issuer: Issuer, junk: str) -> None:
    assert revoke_as(issuer, "shop", junk) == 200
    assert count_facts(issuer) == 0


@pytest.mark.proves("C89")
def test_a_dead_token_costs_no_fact(issuer: Issuer) -> None:
    revoked, expired = make(issuer), make(issuer)
    for _ in range(3):
        assert revoke_as(issuer, "shop", revoked) == 200
    assert count_facts(issuer) == 1
    issuer.clock.move(600)
    assert revoke_as(issuer, "shop", expired) == 200
    assert count_facts(issuer) == 1


@pytest.mark.proves("C90")
def test_a_client_revokes_its_own_tokens_only(issuer: Issuer) -> None:
    token = make(issuer)
    answer = post(issuer, "/revoke", {"token": token}, basic_of(issuer, "rival"))
    assert refusal(answer) == (400, "invalid_grant")
    assert count_facts(issuer) == 0
    assert is_active(issuer, token)


@pytest.mark.proves("C90")
def test_the_audience_of_a_token_cannot_revoke_it(issuer: Issuer) -> None:
    token = make(issuer)
    service = issuer.introspector(ORDERS).client_id
    answer = post(issuer, "/revoke", {"token": token}, basic_of(issuer, service))
    assert refusal(answer) == (400, "invalid_grant")
    assert is_active(issuer, token)


@pytest.mark.proves("C89")
def test_the_token_is_named(issuer: Issuer) -> None:
    answer = post(issuer, "/revoke", {"token": ""}, basic_of(issuer, "shop"))
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.proves("C89", "F7")
def test_without_the_store_nothing_is_confirmed(issuer: Issuer) -> None:
    token = make(issuer)
    assert is_active(issuer, token)
    form, header = {"token": token}, basic_of(issuer, "shop")
    with issuer.without_database():
        answer = post(issuer, "/revoke", form, header)
        unknown = post(issuer, "/revoke", {"token": "junk"}, header)
    for refused in (answer, unknown):
        assert refused.status == 503
        assert header_of(refused, b"retry-after") is not None
    assert is_active(issuer, token)
    assert post(issuer, "/revoke", form, header).status == 200
    assert not is_active(issuer, token)


@pytest.mark.proves("C89")
def test_a_fact_and_its_record_are_written_together(issuer: Issuer) -> None:
    token = make(issuer)
    revoke_as(issuer, "shop", token)
    last = issuer.perform("audit.list", limit=1000)["records"][-1]
    assert (last["actor"], last["action"], last["at"]) == ("shop", "token.revoke", NOW)
    assert token not in str(last)
    assert issuer.perform("audit.verify")["intact"] is True


@pytest.mark.proves("C89")
def test_a_fact_outlives_its_token_and_is_then_forgotten(issuer: Issuer) -> None:
    token = make(issuer)
    revoke_as(issuer, "shop", token)
    view = issuer.provider.state.revocations
    issuer.clock.move(599)
    run(issuer.provider.maintain())
    assert len(view) == 1
    assert not is_active(issuer, token)
    issuer.clock.move(3600)
    run(issuer.provider.maintain())
    assert len(view) == 0
    assert count_facts(issuer) == 1  # numbers are never given again
    assert not is_active(issuer, token)
