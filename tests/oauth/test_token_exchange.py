"""What is read of a token exchange, whatever it says."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.token_exchange import (
    ACCESS_TOKEN,
    JWT,
    MOST_ACTORS,
    is_traceable,
    parse_actors,
    parse_exchange_request,
)

NAMES = (
    *("subject_token", "subject_token_type", "requested_token_type", "audience", "resource"),
    *("actor_token", "actor_token_type", "scope"),
)
VALUES = st.sampled_from(["", "a", ACCESS_TOKEN, JWT, ACCESS_TOKEN.upper(), "\x00", "한국"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["sub", "act", "jti", "kid"]), inside, max_size=3)
    ),
)


@pytest.mark.proves("C54")
@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_a_request_is_whole_or_refused(form: dict[str, str]) -> None:
    try:
        asked = parse_exchange_request(form)
    except OAuthError as refused:
        assert refused.code in (ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_TARGET)  # noqa: PT017
        return
    assert asked.subject_token == form["subject_token"]
    assert asked.subject_type == form["subject_token_type"]
    assert {asked.subject_type, asked.wanted_type} <= {ACCESS_TOKEN, JWT}
    assert not {"actor_token", "actor_token_type"} & form.keys()
    assert {form.get("resource", asked.target), form.get("audience", asked.target)} == {
        asked.target
    }


@pytest.mark.proves("C54")
@given(ANYTHING)
@example({"sub": "a", "act": {"sub": "b", "act": {"sub": None}}})
def test_actors_are_texts_whatever_is_written(act: Any) -> None:
    actors = parse_actors({"act": act})
    assert all(isinstance(each, str) for each in actors)
    if actors:
        assert actors[0] == act["sub"]


@pytest.mark.proves("C54")
def test_of_a_chain_without_end_some_are_read() -> None:
    act: dict[str, Any] = {"sub": "first"}
    for number in range(100):
        act = {"sub": f"{number}", "act": act}
    assert len(parse_actors({"act": act})) == MOST_ACTORS


@pytest.mark.proves("C54")
@given(ANYTHING)
def test_ancestors_are_all_named_or_nothing_is_known_of_them(ancestors: Any) -> None:
    if is_traceable({"ancestors": ancestors}):
        assert ancestors == []  # no other that is made here has all four names
    assert is_traceable({})
