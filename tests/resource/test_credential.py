"""Where a token is read from, and where it never is."""

import pytest

from dojang.resource import (
    BearerHeader,
    CookieToken,
    HeaderToken,
    Refusal,
    RefusalReason,
    RequestHead,
    TokenPlace,
    parse_presented,
)

Headers = list[tuple[bytes, bytes]]


def present(
    headers: Headers,
    *places: TokenPlace,
    method: str = "GET",
    query: bytes = b"",
    websocket: bool = False,
) -> str:
    head = RequestHead(method, query, headers, websocket=websocket)
    return parse_presented(head, places or (BearerHeader(),)).value


def refused(
    headers: Headers,
    *places: TokenPlace,
    method: str = "GET",
    query: bytes = b"",
    websocket: bool = False,
) -> RefusalReason:
    with pytest.raises(Refusal) as refusal:
        present(headers, *places, method=method, query=query, websocket=websocket)
    return refusal.value.reason


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + token)


@pytest.mark.proves("R2", "C71")
@pytest.mark.parametrize("value", [b"Bearer abc", b"bearer abc", b"BEARER   abc", b"Bearer abc "])
def test_the_header_is_where_a_token_is(value: bytes) -> None:
    assert present([(b"authorization", value)]) == "abc"


@pytest.mark.proves("R3")
@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic YTpi")], [(b"x", b"y")]])
def test_none_is_none(headers: Headers) -> None:
    refusal = refused(headers)
    assert refusal is RefusalReason.NO_CREDENTIALS


@pytest.mark.proves("C71", "R2")
@pytest.mark.parametrize(
    "query", [b"access_token=abc", b"a=b&access_token=abc", b"access%5Ftoken=x", b"access_token"]
)
@pytest.mark.parametrize("headers", [[], [bearer(b"abc")]])
def test_the_query_is_always_refused(query: bytes, headers: Headers) -> None:
    assert refused(headers, query=query) is RefusalReason.TOKEN_IN_QUERY


def test_a_query_may_speak_of_tokens() -> None:
    assert present([bearer(b"abc")], query=b"q=access_token&access_token_type=x") == "abc"


@pytest.mark.proves("C71")
@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-token", b"abc")],
        [(b"cookie", b"token=abc")],
        [(b"proxy-authorization", b"Bearer abc")],
    ],
)
def test_other_places_are_not_looked_at_unless_named(headers: Headers) -> None:
    assert refused(headers) is RefusalReason.NO_CREDENTIALS


@pytest.mark.proves("C72")
@pytest.mark.parametrize(
    "headers, places",
    [
        ([bearer(b"a"), bearer(b"b")], ()),
        ([bearer(b"a"), bearer(b"a")], ()),
        ([bearer(b"a"), (b"authorization", b"Basic YTpi")], ()),
        ([bearer(b"a"), (b"x-token", b"b")], (BearerHeader(), HeaderToken("X-Token"))),
        ([bearer(b"a"), (b"x-token", b"b")], (HeaderToken("X-Token"),)),
        ([(b"x-token", b"a"), (b"x-token", b"b")], (HeaderToken("X-Token"),)),
        ([(b"cookie", b"t=a; t=b")], (CookieToken("t"),)),
        ([(b"cookie", b"t=a"), (b"cookie", b"t=b")], (CookieToken("t"),)),
        ([(b"cookie", b"t=a"), bearer(b"b")], (CookieToken("t"),)),
    ],
)
def test_two_tokens_are_a_bad_request(headers: Headers, places: tuple[TokenPlace, ...]) -> None:
    assert refused(headers, *places) is RefusalReason.TWO_TOKENS


@pytest.mark.parametrize("value", [b"", b"a b", b"a,b", b"a\x00", b"\xc3\xa9", b"=a", b'"a"'])
def test_a_malformed_token_is_a_bad_request(value: bytes) -> None:
    refusal = refused([bearer(value)])
    assert refusal is RefusalReason.MALFORMED_CREDENTIALS
    assert Refusal(refusal).status == 400


@pytest.mark.proves("C71", "R2")
def test_another_header_is_a_named_choice() -> None:
    assert present([(b"x-token", b"abc")], HeaderToken("X-Token")) == "abc"
    assert refused([bearer(b"abc")], HeaderToken("X-Token")) is RefusalReason.NO_CREDENTIALS


COOKIE = (b"cookie", b"a=b; token=abc; c=d")
ORIGINS = CookieToken("token", origins=["https://app.example"])


@pytest.mark.proves("C71", "R2")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_cookie_is_a_named_choice(method: str) -> None:
    assert present([COOKIE], CookieToken("token"), method=method) == "abc"


@pytest.mark.proves("C71")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "get", "WEBSOCKET"])
@pytest.mark.parametrize(
    "headers, allowed",
    [
        ([], False),
        ([(b"sec-fetch-site", b"same-origin")], True),
        ([(b"sec-fetch-site", b"same-site")], False),
        ([(b"sec-fetch-site", b"cross-site")], False),
        ([(b"sec-fetch-site", b"none")], False),
        ([(b"origin", b"https://app.example")], True),
        ([(b"origin", b"https://app.example.evil")], False),
        ([(b"origin", b"null")], False),
        ([(b"origin", b"https://app.example")] * 2, False),
        ([(b"sec-fetch-site", b"cross-site"), (b"origin", b"https://app.example")], True),
    ],
)
def test_a_cookie_on_an_unsafe_method_comes_from_the_right_origin(
    method: str, headers: Headers, allowed: bool
) -> None:
    websocket = method == "WEBSOCKET"
    method = "GET" if websocket else method
    if allowed:
        assert present([COOKIE, *headers], ORIGINS, method=method, websocket=websocket) == "abc"
    else:
        found = refused([COOKIE, *headers], ORIGINS, method=method, websocket=websocket)
        assert found is RefusalReason.FOREIGN_ORIGIN


@pytest.mark.proves("C22")
def test_a_presented_token_does_not_show_itself() -> None:
    head = RequestHead("GET", b"", [bearer(b"canary")])
    assert "canary" not in repr(parse_presented(head))
