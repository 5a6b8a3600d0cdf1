"""Redirect URIs: what may be registered, what is one of a client's, and where answers go."""

from __future__ import annotations

import pytest

from dojang.oauth.redirects import (
    BadRedirectUri,
    RedirectTarget,
    ResponseMode,
    build_location,
    check_redirect_uri,
    check_registered_redirect_uri,
)

CALLBACK = "https://app.example/callback?tenant=1"


def check(asked: str | None, *registered: str) -> RedirectTarget:
    return check_redirect_uri(asked, registered, mode=ResponseMode.QUERY, state="s")


@pytest.mark.proves("C23")
def test_the_registered_one_is_the_target() -> None:
    assert check(CALLBACK, "https://b.example", CALLBACK).uri == CALLBACK
    assert check(None, CALLBACK).uri == CALLBACK
    with pytest.raises(BadRedirectUri):
        check(None, CALLBACK, "https://b.example")
    with pytest.raises(BadRedirectUri):
        check(None)


HOSTILE = [
    "",
    "callback",
    "//app.example/callback?tenant=1",
    "https://app.example/callback",
    "https://app.example/callback?tenant=1&x=1",
    "https://app.example/callback?tenant=1#x",
    "https://app.example/callback?tenant=1/../../evil",
    "https://app.example/callback/../evil?tenant=1",
    "https://app.example/callback/%2e%2e/evil?tenant=1",
    "https://app.example/Callback?tenant=1",
    "https://app.example./callback?tenant=1",
    "https://app.example:443/callback?tenant=1",
    "https://app.example:8443/callback?tenant=1",
    "https://APP.example/callback?tenant=1",
    "https://user@app.example/callback?tenant=1",
    "https://app.example@evil.example/callback?tenant=1",
    "https://app.example\\@evil.example/callback?tenant=1",
    "https://app.example.evil.example/callback?tenant=1",
    "https://evil.example/https://app.example/callback?tenant=1",
    "https://аpp.example/callback?tenant=1",
    "http://app.example/callback?tenant=1",
    "HTTPS://app.example/callback?tenant=1",
    "https:/app.example/callback?tenant=1",
    "https:app.example/callback?tenant=1",
    " https://app.example/callback?tenant=1",
    "https://app.example/callback?tenant=1 ",
    "https://app.example/callback?tenant=1\n",
    "https://app.example/callback?tenant=1\0",
    "https://app.example/callback?tenant=1%0d%0aLocation:%20https://evil.example",
    "javascript:alert(1)//app.example/callback?tenant=1",
    "data:text/html,<script>alert(1)</script>",
]


@pytest.mark.proves("C23")
@pytest.mark.parametrize("asked", HOSTILE)
def test_nothing_that_looks_like_it_is_it(asked: str) -> None:
    with pytest.raises(BadRedirectUri):
        check(asked, CALLBACK)


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "registered,asked",
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
        ("http://[::1]/cb?x=1", "http://[::1]:65535/cb?x=1"),
    ],
)
def test_the_port_of_a_loopback_address_may_differ(registered: str, asked: str) -> None:
    assert check(asked, registered).uri == asked


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "registered,asked",
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/other"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x"),
        ("http://127.0.0.1/cb", "http://127.0.0.2:1/cb"),
        ("http://127.0.0.1/cb", "http://localhost:1/cb"),
        ("http://localhost/cb", "http://localhost:1/cb"),
        ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:x/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
        ("http://127.0.0.1/cb", "http://127.1:1/cb"),
        ("http://127.0.0.1/cb", "http://2130706433:1/cb"),
        ("http://127.0.0.1/cb", "HTTP://127.0.0.1:1/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:01/cb"),
        ("https://app.example/cb", "https://app.example:444/cb"),
    ],
)
def test_nothing_else_of_it_may(registered: str, asked: str) -> None:
    with pytest.raises(BadRedirectUri):
        check(asked, registered)


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "uri,native",
    [
        ("https://app.example/cb", False),
        ("https://app.example/cb?x=1", True),
        ("http://127.0.0.1/cb", False),
        ("http://[::1]:8080/cb", True),
        ("http://localhost:3000/cb", False),
        ("com.example.app:/cb", True),
        ("com.example.app://cb", True),
    ],
)
def test_what_may_be_registered(uri: str, native: bool) -> None:
    check_registered_redirect_uri(uri, native=native)


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "uri,native",
    [
        ("http://app.example/cb", True),
        ("com.example.app:/cb", False),
        ("myapp:/cb", True),
        ("javascript:alert(1)", True),
        ("data:text/html,x", True),
        ("file:///etc/passwd", True),
        ("https://app.example/#x", False),
        ("https://*.example/cb", False),
        ("https://user:x@app.example/cb", False),
        ("https:///cb", False),
        ("https://app.example:x/cb", False),
        ("http://127.0.0.1:0/cb", True),
        ("/cb", False),
        ("https://app.example/\\cb", False),
        ("https://app.example/c b", False),
        ("https://예.example/cb", False),
        ("https://app.example/" + "a" * 2048, False),
        ("", False),
    ],
)
def test_what_may_not(uri: str, native: bool) -> None:
    with pytest.raises(ValueError, match=r"redirect URI|scheme"):
        check_registered_redirect_uri(uri, native=native)


@pytest.mark.proves("C27")
def test_an_answer_is_added_to_what_stands_there() -> None:
    answer = {"code": "a b&c", "iss": "https://op.example"}
    query = "code=a+b%26c&iss=https%3A%2F%2Fop.example"
    assert build_location(check(CALLBACK, CALLBACK), answer) == f"{CALLBACK}&{query}"
    plain = "com.example.app:/cb"
    assert build_location(check(plain, plain), answer) == f"{plain}?{query}"
