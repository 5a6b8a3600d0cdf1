"""Forms, Basic credentials and error answers as values."""

from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import (
    MAX_PARAMETER_BYTES,
    MAX_PARAMETERS,
    NO_STORE,
    Request,
    build_error,
    build_json,
    parse_basic,
    parse_form,
    parse_parameters,
)
from tests.server.front_door import basic_raw

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def make_request(body: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request("POST", "/token", b"", headers, body, "127.0.0.1")


def find_reason(encoded: bytes) -> str:
    with pytest.raises(OAuthError) as refused:
        parse_parameters(encoded)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    return refused.value.reason


@given(st.dictionaries(TEXTS, TEXTS.filter(bool), max_size=10))
@pytest.mark.proves("C52")
def test_what_is_encoded_comes_back(parameters: dict[str, str]) -> None:
    assert parse_parameters(urlencode(parameters).encode()) == parameters


@given(st.binary(max_size=200))
@pytest.mark.proves("C52")
def test_any_bytes_are_parameters_or_an_invalid_request(encoded: bytes) -> None:
    try:
        found = parse_parameters(encoded)
    except OAuthError as refused:
        assert refused.code is ErrorCode.INVALID_REQUEST  # noqa: PT017
    else:
        assert all(found.values())


@pytest.mark.parametrize(
    "encoded, expected",
    [
        (b"", {}),
        (b"&&&", {}),
        (b"a=1&&b=2&", {"a": "1", "b": "2"}),
        (b"a=", {}),
        (b"a", {}),
        (b"a=1=2", {"a": "1=2"}),
        (b"a=x+y", {"a": "x y"}),
        (b"a=%2B", {"a": "+"}),
        (b"a=%C3%A9", {"a": "\N{LATIN SMALL LETTER E WITH ACUTE}"}),
        (b"%61=1", {"a": "1"}),
        (b"=1", {"": "1"}),
    ],
)
@pytest.mark.proves("C52")
def test_forms_are_read_as_the_standard_says(encoded: bytes, expected: dict[str, str]) -> None:
    assert parse_parameters(encoded) == expected


@pytest.mark.parametrize(
    "encoded, reason",
    [
        (b"a=1&a=2", "repeated_parameter"),
        (b"a=1&a=1", "repeated_parameter"),
        (b"a=&a=1", "repeated_parameter"),
        (b"a=1&%61=2", "repeated_parameter"),
        (b"a+b=1&a%20b=2", "repeated_parameter"),
        (b"a=%", "form_malformed"),
        (b"a=%4", "form_malformed"),
        (b"a=%4g", "form_malformed"),
        (b"%zz=1", "form_malformed"),
        (b"a=%C3", "form_malformed"),
        (b"a=%ED%A0%80", "form_malformed"),
        (b"a=\xc3\xa9", "form_malformed"),
    ],
)
@pytest.mark.proves("C52", "C112")
def test_a_form_that_could_be_read_in_two_ways_is_refused(encoded: bytes, reason: str) -> None:
    assert find_reason(encoded) == reason


@pytest.mark.proves("C112")
def test_parameters_are_bounded() -> None:
    many = b"&".join(b"p%d=1" % number for number in range(MAX_PARAMETERS))
    assert len(parse_parameters(many)) == MAX_PARAMETERS
    assert find_reason(many + b"&x=1") == "too_many_parameters"
    assert find_reason(b"&" * 5000) == "too_many_parameters"
    long = b"a=" + b"x" * (MAX_PARAMETER_BYTES - 2)
    assert parse_parameters(long)
    assert find_reason(long + b"x") == "parameter_too_long"


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/x-www-form-urlencoded",
        b"application/x-www-form-urlencoded; charset=utf-8",
        b"Application/X-WWW-Form-Urlencoded ;charset=utf-8",
    ],
)
@pytest.mark.proves("C52")
def test_a_form_says_that_it_is_one(media_type: bytes) -> None:
    assert parse_form(make_request(b"a=1", (b"content-type", media_type))) == {"a": "1"}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-type", b""),),
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"application/x-www-form-urlencodedx"),),
        ((b"content-type", b"text/plain; application/x-www-form-urlencoded"),),
        ((b"content-type", b"application/x-www-form-urlencoded"),) * 2,
    ],
)
@pytest.mark.proves("C52")
def test_anything_else_is_no_form(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(OAuthError) as refused:
        parse_form(make_request(b"a=1", *headers))
    assert refused.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.proves("C46")
def test_a_header_that_may_stand_once_stands_once() -> None:
    one = make_request(b"", (b"authorization", b"a"))
    assert one.header(b"authorization") == b"a"
    assert one.header(b"dpop") is None
    with pytest.raises(OAuthError, match="more than once"):
        make_request(b"", *one.headers, (b"authorization", b"a")).header(b"authorization")


@given(TEXTS, TEXTS)
@pytest.mark.proves("C47")
def test_basic_credentials_come_back(client_id: str, secret: str) -> None:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    assert parse_basic(basic_raw(pair)[1]) == (client_id, secret)


@given(st.binary(max_size=60))
@pytest.mark.proves("C47")
def test_any_header_is_credentials_or_an_invalid_client(value: bytes) -> None:
    for header in (value, b"Basic " + value, basic_raw(value)[1]):
        try:
            parse_basic(header)
        except OAuthError as refused:
            assert refused.code is ErrorCode.INVALID_CLIENT  # noqa: PT017


@pytest.mark.parametrize(
    "value",
    [
        b"Basic YT!pi",
        b"Basic YTpi*",
        b"Basic YT\npi",
        b"Basic YT pi",
        b"Basic YTpiOmM",
        b"Basic YTpiOmM==",
        basic_raw(b"a%zz:b")[1],
        basic_raw(b"a:b%")[1],
        basic_raw(b"a:%4")[1],
        basic_raw(b"a:%ff")[1],
    ],
)
@pytest.mark.proves("C47")
def test_credentials_have_one_spelling(value: bytes) -> None:
    with pytest.raises(OAuthError) as refused:
        parse_basic(value)
    assert (refused.value.code, refused.value.reason) == (
        ErrorCode.INVALID_CLIENT,
        "basic_malformed",
    )


@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC"])
@pytest.mark.proves("C47")
def test_the_scheme_has_no_case(scheme: bytes) -> None:
    assert parse_basic(scheme + b" YTpi") == ("a", "b")
    assert parse_basic(scheme + b" YTpiOmM=") == ("a", "b:c")


@pytest.mark.parametrize(
    "code, status",
    [
        (ErrorCode.INVALID_REQUEST, 400),
        (ErrorCode.INVALID_CLIENT, 401),
        (ErrorCode.INVALID_GRANT, 400),
        (ErrorCode.UNAUTHORIZED_CLIENT, 400),
        (ErrorCode.UNSUPPORTED_GRANT_TYPE, 400),
        (ErrorCode.INVALID_SCOPE, 400),
        (ErrorCode.INVALID_TARGET, 400),
        (ErrorCode.INVALID_TOKEN, 401),
        (ErrorCode.INSUFFICIENT_SCOPE, 403),
        (ErrorCode.SERVER_ERROR, 500),
        (ErrorCode.TEMPORARILY_UNAVAILABLE, 503),
    ],
)
@pytest.mark.proves("C52")
def test_an_error_has_two_faces(code: ErrorCode, status: int) -> None:
    answer = build_error(OAuthError(code, "What the peer sees.", reason="operators_only"))
    assert answer.status == status
    expected = b'{"error":"%s","error_description":"What the peer sees."}' % code.encode()
    assert answer.body == expected
    assert b"operators_only" not in answer.body
    assert set(NO_STORE) <= set(answer.headers)


def test_more_headers_come_after_the_usual_ones() -> None:
    answer = build_json(200, {"a": 1}, (b"x", b"y"))
    assert answer.headers[-1] == (b"x", b"y")
    assert (b"content-type", b"application/json") in answer.headers
