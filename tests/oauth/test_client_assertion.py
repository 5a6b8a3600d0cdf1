"""The rules for the claims of a client assertion, at their edges."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.client_assertion import (
    ALGORITHMS,
    CLOCK_AHEAD,
    LONGEST_LIFE,
    AssertionRefused,
    check_client_assertion,
)

NOW = 1_800_000_000
GOOD: dict[str, Any] = {
    "iss": "robot",
    "sub": "robot",
    "aud": "https://issuer.test",
    "exp": NOW + 60,
    "jti": "one",
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)
)


def check(**changes: Any) -> int:
    checked = check_client_assertion(
        GOOD | changes, client_id="robot", issuer="https://issuer.test", now=NOW
    )
    assert (checked.client_id, checked.jti) == ("robot", changes.get("jti", "one"))
    return checked.expires_at


def find_reason(**changes: Any) -> str:
    with pytest.raises(AssertionRefused) as refused:
        check(**changes)
    return refused.value.reason


@pytest.mark.proves("C48")
def test_a_jti_is_remembered_past_the_last_moment_of_its_assertion() -> None:
    assert check() == NOW + 61
    assert check(exp=NOW + 60.9) == NOW + 61
    assert check(exp=NOW + 0.001) == NOW + 1


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"iss": "other"}, "assertion_subject"),
        ({"sub": "other"}, "assertion_subject"),
        ({"iss": "other", "sub": "other"}, "assertion_subject"),
        ({"aud": ["https://issuer.test"]}, "assertion_audience"),
        ({"aud": "https://issuer.test/token"}, "assertion_audience"),
        ({"exp": NOW}, "assertion_expired"),
        ({"exp": None}, "assertion_expired"),
        ({"exp": NOW + LONGEST_LIFE + CLOCK_AHEAD + 1}, "assertion_lives_too_long"),
        ({"exp": "soon"}, "assertion_time_malformed"),
        ({"exp": True}, "assertion_time_malformed"),
        ({"iat": NOW + CLOCK_AHEAD + 1}, "assertion_from_the_future"),
        ({"nbf": NOW + CLOCK_AHEAD + 1}, "assertion_from_the_future"),
        ({"nbf": "now"}, "assertion_time_malformed"),
        ({"jti": ""}, "assertion_without_jti"),
        ({"jti": "x" * 256}, "assertion_without_jti"),
        ({"jti": 1}, "assertion_without_jti"),
    ],
    ids=str,
)
@pytest.mark.proves("C48", "C49")
def test_each_rule_has_its_word(changes: dict[str, Any], reason: str) -> None:
    assert find_reason(**changes) == reason


@pytest.mark.proves("C48", "C49")
def test_the_edges_are_inside() -> None:
    check(exp=NOW + LONGEST_LIFE + CLOCK_AHEAD, iat=NOW + CLOCK_AHEAD, nbf=NOW + CLOCK_AHEAD)
    check(jti="x" * 255)


@given(st.dictionaries(st.sampled_from([*GOOD, "iat", "nbf"]), SCALARS))
@pytest.mark.proves("C48")
def test_any_claims_are_checked_or_refused(changes: dict[str, Any]) -> None:
    try:
        until = check(**changes)
    except AssertionRefused:
        return
    assert NOW < until <= NOW + LONGEST_LIFE + CLOCK_AHEAD + 1


@pytest.mark.proves("C48")
def test_no_shared_secret_signs_an_assertion() -> None:
    assert not {"none", "HS256", "HS384", "HS512"} & ALGORITHMS
