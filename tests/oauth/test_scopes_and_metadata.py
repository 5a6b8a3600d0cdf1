"""Scope lists, and what authorization servers say of themselves."""

import json
from typing import Any

import pytest

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.metadata import (
    InvalidMetadata,
    ServerMetadata,
    build_metadata,
    find_metadata_paths,
    find_resource_metadata_url,
    parse_metadata,
)
from dojang.oauth.scopes import build_scope, parse_scope
from dojang.oauth.urls import check_issuer, is_loopback, parse_url

ISSUER = "https://issuer.example"


@pytest.mark.parametrize(
    "text, names",
    [("", ()), ("a", ("a",)), ("b a b", ("b", "a")), ("orders:read !#", ("orders:read", "!#"))],
)
def test_scopes_are_read_in_order_and_once(text: str, names: tuple[str, ...]) -> None:
    assert parse_scope(text) == names
    assert parse_scope(build_scope(names)) == names


@pytest.mark.parametrize("text", [" ", "a  b", " a", "a ", 'a"b', "a\\b", "a\tb", "ü", "a\n"])
def test_malformed_scopes_are_refused(text: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        parse_scope(text)
    assert refusal.value.code is ErrorCode.INVALID_SCOPE
    with pytest.raises(ValueError, match="scope"):
        build_scope([text])


def metadata(**changes: Any) -> bytes:
    document = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", **changes}
    return json.dumps(
        {name: value for name, value in document.items() if value is not None}
    ).encode()


@pytest.mark.proves("C94")
def test_what_a_server_says_is_read_back() -> None:
    said = ServerMetadata(
        issuer=ISSUER,
        token_endpoint=f"{ISSUER}/token",
        jwks_uri=f"{ISSUER}/jwks",
        grant_types_supported=("client_credentials",),
    )
    document = build_metadata(said)
    assert document.keys() == {"issuer", "token_endpoint", "jwks_uri", "grant_types_supported"}
    assert parse_metadata(json.dumps(document).encode(), issuer=ISSUER) == said


@pytest.mark.proves("C94", "C125")
@pytest.mark.parametrize(
    "document",
    [
        metadata(issuer=None),
        metadata(issuer=ISSUER + "/"),
        metadata(issuer="https://ISSUER.example"),
        metadata(issuer=[ISSUER]),
        metadata(token_endpoint="http://issuer.example/token"),
        metadata(token_endpoint="https://user@issuer.example/token"),
        metadata(token_endpoint="javascript:alert(1)"),
        metadata(jwks_uri=7),
        metadata(scopes_supported="a"),
        metadata(grant_types_supported=[1]),
        b"[]",
        b"<html>",
        b'{"issuer":"%s","issuer":"%s"}' % (ISSUER.encode(), ISSUER.encode()),
        metadata(extra="x" * 70_000),
    ],
    ids=range(14),
)
def test_metadata_that_is_wrong_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidMetadata):
        parse_metadata(document, issuer=ISSUER)


@pytest.mark.proves("C94")
@pytest.mark.parametrize(
    "wrong",
    [
        ServerMetadata(issuer="http://issuer.example"),
        ServerMetadata(issuer=ISSUER, jwks_uri="http://a.example"),
    ],
)
def test_only_https_is_served(wrong: ServerMetadata) -> None:
    with pytest.raises(ValueError, match="https"):
        build_metadata(wrong)


def test_metadata_has_two_places_for_an_issuer_with_a_path() -> None:
    assert find_metadata_paths("https://issuer.example/tenant") == (
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
        "/tenant/.well-known/oauth-authorization-server",
    )
    assert len(find_metadata_paths(ISSUER)) == 2


@pytest.mark.parametrize(
    "resource, url",
    [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/b", "https://a.example/.well-known/oauth-protected-resource/b"),
        ("https://a.example/b?c=d", "https://a.example/.well-known/oauth-protected-resource/b?c=d"),
    ],
)
def test_metadata_of_a_resource_has_its_place(resource: str, url: str) -> None:
    assert find_resource_metadata_url(resource) == url


@pytest.mark.parametrize(
    "host, loopback",
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_loopback_is_literal(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "url",
    [
        "",
        "issuer",
        "https://",
        "https:///a",
        "https://a b",
        "https://a\\b",
        "https://a#b",
        "https://a:0",
        "https://a:99999",
        "https://a:x",
        "https://u@a",
        "https://[::1",
        "https://ü",
    ],
)
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        parse_url(url)


def test_an_issuer_has_no_query() -> None:
    check_issuer("https://issuer.example/tenant")
    for wrong in ("https://issuer.example?", "https://issuer.example?a=b"):
        with pytest.raises(ValueError, match="query"):
            check_issuer(wrong)
