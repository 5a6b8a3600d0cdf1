"""Token requests, references to tokens, and the order of facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.revocation_fact import Fact, FactKind, Rev, kills
from dojang.oauth.token import build_token_response, parse_token_request
from dojang.oauth.token_reference import parse_token_reference

REVS = st.builds(Rev, st.integers(0, 3), st.integers(0, 5))


@pytest.mark.proves("C51")
def test_a_token_request_is_what_was_said() -> None:
    form = {"grant_type": "client_credentials", "resource": "urn:a", "scope": "b", "x": "y"}
    asked = parse_token_request(form)
    assert (asked.grant_type, asked.resource, asked.scope) == ("client_credentials", "urn:a", "b")
    assert asked.parameters == form
    bare = parse_token_request({"grant_type": "anything"})
    assert (bare.resource, bare.scope) == (None, None)


@pytest.mark.parametrize("parse", [parse_token_request, parse_token_reference])
@pytest.mark.proves("C52")
def test_what_is_missing_is_an_invalid_request(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(OAuthError) as refused:
        parse({"x": "y"})
    assert refused.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.proves("C53", "C52")
def test_a_token_response_has_four_members_and_no_cache() -> None:
    answer = build_token_response("abc", expires_in=60, scope="a b")
    assert answer.body == (
        b'{"access_token":"abc","token_type":"Bearer","expires_in":60,"scope":"a b"}'
    )
    assert (b"cache-control", b"no-store") in answer.headers


@given(REVS, REVS)
@pytest.mark.proves("K6")
def test_a_fact_kills_what_came_before_it(at: Rev, rev: Rev) -> None:
    fact = Fact(at, FactKind.TOKEN, "x", 0, 0, b"")
    earlier = (rev.epoch, rev.number) < (at.epoch, at.number)
    assert kills(fact, rev) == earlier
    assert not kills(fact, at)
