"""`WWW-Authenticate`, written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.challenge import build_challenge, find_challenge, parse_challenges

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
NAMES = st.from_regex(r"[a-z_]{1,20}", fullmatch=True)


@pytest.mark.proves("C74")
@given(st.dictionaries(NAMES, PRINTABLE, max_size=6))
def test_what_is_written_is_read(parameters: dict[str, str]) -> None:
    (challenge,) = parse_challenges(build_challenge("Bearer", parameters))
    assert (challenge.scheme, dict(challenge.parameters)) == ("Bearer", parameters)


@given(st.text(max_size=200))
def test_any_text_is_read_or_left(text: str) -> None:
    assert len(parse_challenges(text)) <= len(text)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "주문", "\x7f", "a\tb"])
def test_nothing_ends_the_header_early(value: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        build_challenge("Bearer", {"realm": value})


@pytest.mark.parametrize(
    "header, schemes",
    [
        ("Bearer", ["Bearer"]),
        ("Bearer realm=a, error=invalid_token", ["Bearer"]),
        ('Basic realm="a, b", Bearer error="invalid_token"', ["Basic", "Bearer"]),
        ('Negotiate, DPoP algs="ES256", Bearer', ["Negotiate", "DPoP", "Bearer"]),
        ("Negotiate YWJj==, Bearer", ["Negotiate", "Bearer"]),
        (" , Bearer realm = x ,, ", ["Bearer"]),
        ('Bearer realm="open', ["Bearer"]),
        ("", []),
        ('"', []),
    ],
)
def test_several_challenges_stand_in_one_header(header: str, schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(header)] == schemes


def test_schemes_and_names_have_no_case() -> None:
    found = find_challenge(parse_challenges('Basic realm="a", bEARER ERROR="x\\"y"'), "Bearer")
    assert found is not None
    assert found.parameters == {"error": 'x"y'}
    assert find_challenge((), "Bearer") is None


def test_a_huge_header_is_read_in_part() -> None:
    assert len(parse_challenges("Bearer, " * 100_000)) <= 8192
