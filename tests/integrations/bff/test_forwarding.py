"""What goes on to an upstream, and what comes back from it."""

import dataclasses
import logging
from typing import Any

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchResponse
from dojang.integrations.bff import Upstream
from tests.integrations.bff.stage import OWN, SESSION, UPSTREAM, Stage
from tests.server.people.world import ORDERS


@pytest.mark.proves("T2")
async def test_what_goes_along(stage: Stage) -> None:
    browser = await stage.meet()
    await browser.ask(
        "POST",
        "/api/orders/17?a=%2F..%2F&b=1",
        {
            **OWN,
            "authorization": "Bearer planted",
            "proxy-authorization": "Basic planted",
            "connection": "keep-alive, x-secret",
            "keep-alive": "1",
            "te": "trailers",
            "transfer-encoding": "chunked",
            "upgrade": "h2c",
            "host": "app.test",
            "x-forwarded-for": "10.0.0.1",
            "x-secret": "1",
            "content-type": "application/json",
            "accept": "application/json",
            "if-match": '"3"',
        },
        b'{"count":1}',
    )
    (request,) = stage.api.requests
    assert request.url == UPSTREAM + "/orders/17?a=%2F..%2F&b=1"
    assert (request.method, request.body) == ("POST", b'{"count":1}')
    headers = dict(request.headers)
    assert headers.pop("Authorization").startswith("Bearer ey")
    assert headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "if-match": '"3"',
    }


@pytest.mark.proves("T2")
async def test_what_comes_back(stage: Stage) -> None:
    browser = await stage.meet()
    stage.api.answer = lambda _: FetchResponse(
        201,
        {
            "content-type": "text/html",
            "set-cookie": "__Host-dojang-bff=planted",
            "access-control-allow-origin": "*",
            "location": "https://evil.example/",
            "cache-control": "public, max-age=600",
            "clear-site-data": '"cookies"',
            "connection": "close",
            "transfer-encoding": "chunked",
            "content-length": "999",
            "server": "orders",
            "etag": '"4"',
        },
        b"<script>",
    )
    answered = await browser.call("POST", "/api/orders")
    assert answered.status == 201
    assert dict(answered.headers) == {
        "content-type": "text/html",
        "etag": '"4"',
        "cache-control": "no-store",
        "pragma": "no-cache",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": "default-src 'none'; sandbox",
        "content-length": "8",
    }
    stage.api.answer = lambda _: FetchResponse(304, {"etag": '"4"'}, b"")
    assert (await browser.call("GET", "/api/orders")).status == 304
    stage.api.answer = lambda _: FetchResponse(403, {}, b"no")
    assert (await browser.call("GET", "/api/orders")).status == 403


@pytest.mark.proves("T2")
async def test_a_path_leads_nowhere_else(stage: Stage) -> None:
    browser = await stage.meet()
    for path in (
        "/api/../admin",
        "/api/orders/../../admin",
        "/api/%2e%2e/admin",
        "/api/%252e%252e/admin",
        "/api/.%2E/admin",
        "/api/./admin",
        "/api/..;/admin",
        "/api/..;a=b/admin",
        "/api/%2e%2e%3b/admin",
        "/api/a%255c..%255cadmin",
        "/api/%c0%ae%c0%ae/admin",
        "/api/%25252525252e/admin",
        "/api/a%0d%0ab",
        "/api//evil.example",
        "/api/a//b",
        "/api/a%2fb",
        "/api/a%5cb",
        "/api/a\\b",
        "/api/a%00",
        "/api/\xe9",
        "/api/a b",
        "/api/a?b=\xe9",
        "/api/a?b#c",
    ):
        refused = await browser.call("GET", path)
        assert (refused.status, refused.json) == (400, {"error": "bad_target"}), path
    for path in ("/apis", "/API/orders", "/a%70i/orders", "/", "/%2e/api/orders", "//api/x"):
        assert (await browser.call("GET", path)).status == 404, path
    assert (await browser.call("GET", "/api/a", accept="\xe9")).status == 400
    twice = {**OWN, "accept": "a/b", "Accept": "c/d"}
    assert (await browser.ask("GET", "/api/a", twice)).status == 400
    assert stage.api.requests == []
    for path in (
        "/api",
        "/api/",
        "/api/orders/",
        "/api/%ED%99%8D",
        "/api/...",
        "/api/a%20b",
        "/api/a;v=1",
    ):
        assert (await browser.call("GET", path)).status == 200, path


@pytest.mark.proves("T2")
async def test_limits(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    browser = await stage.meet()
    piece = b"x" * 600_000
    assert (await browser.ask("POST", "/api/orders", OWN, chunks=[piece, piece])).status == 413
    assert (await browser.ask("POST", "/logout", OWN, b"x" * 20_000)).status == 413
    assert (await browser.call("GET", "/api/orders")).status == 200
    assert stage.api.requests[-1].max_bytes == 8 * 1_048_576
    caplog.set_level(logging.DEBUG)
    for problem, status in (
        (FetchProblem.TOO_LARGE, 502),
        (FetchProblem.REDIRECT, 502),
        (FetchProblem.CONNECTION, 502),
        (FetchProblem.TIMEOUT, 504),
        (FetchProblem.BUSY, 503),
    ):
        stage.api.failure = FetchFailed("orders.internal", problem)
        failed = await browser.call("GET", "/api/orders?secret=1")
        assert (failed.status, failed.json) == (status, {"error": "upstream_unavailable"})
    assert "secret" not in caplog.text
    assert SESSION in browser.cookies


@pytest.mark.proves("T2")
async def test_every_upstream_has_tokens_of_its_own() -> None:
    upstreams = [
        Upstream(prefix="/api", url=UPSTREAM),
        Upstream(prefix="/api/me", url="https://me.internal", resource="https://issuer.test"),
        Upstream(prefix="/api/none", url="https://none.internal", resource="https://none.test"),
    ]
    stage = Stage(bff={"upstreams": upstreams})
    audience = stage.house.issuer.provider.userinfo_audience
    upstreams[1] = dataclasses.replace(upstreams[1], resource=audience)
    stage = Stage(bff={"upstreams": upstreams})
    browser = await stage.meet()
    stage.api.refuses = False
    await browser.call("GET", "/api/orders")
    await browser.call("GET", "/api/me/photo")
    await browser.call("GET", "/api/me/photo")
    assert [each.url for each in stage.api.requests[:2]] == [
        UPSTREAM + "/orders",
        "https://me.internal/photo",
    ]
    first, second, *_ = stage.api.tokens
    assert first != second
    assert stage.house.issuer.introspect(first[7:], audience=ORDERS)["active"] is True
    assert stage.house.issuer.introspect(second[7:], audience=ORDERS) == {"active": False}
    refused = await browser.call("GET", "/api/none/x")  # invalid_target: nobody is signed out
    assert (refused.status, refused.json) == (503, {"error": "unavailable"})
    assert (await browser.call("GET", "/api/orders")).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix": "api"},
        {"prefix": "/api/"},
        {"prefix": "/"},
        {"prefix": "/a/../b"},
        {"prefix": "/a?b"},
        {"url": "http://orders.internal"},
        {"url": "https://orders.internal/?a"},
        {"url": "https://user@orders.internal/"},
        {"headers": ["Cookie"]},
        {"headers": ["authorization"]},
        {"headers": ["a b"]},
        {"answer_headers": ["Set-Cookie"]},
    ],
)
def test_an_upstream_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Upstream(**{"prefix": "/api", "url": UPSTREAM, **changes})


@pytest.mark.parametrize(
    "settings",
    [
        {"upstreams": [Upstream(prefix="/api", url=UPSTREAM)] * 2},
        {"upstreams": [Upstream(prefix="/login", url=UPSTREAM)]},
        {"failed_path": "//evil.example"},
        {"signed_out_url": "http://app.test/"},
        {"same_site": "None"},
        {"cookie": "a;b"},
        {"failed_path": "/#failed"},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Stage(bff=settings)


async def test_more_headers_where_they_are_named() -> None:
    upstream = Upstream(
        prefix="/api", url=UPSTREAM, headers=["X-Tenant"], answer_headers=["X-Total"]
    )
    stage = Stage(bff={"upstreams": [upstream]})
    browser = await stage.meet()
    stage.api.answer = lambda _: FetchResponse(200, {"x-total": "3"}, b"")
    answered = await browser.call("HEAD", "/api/orders", **{"x-tenant": "blue"})
    assert answered.find("x-total") == "3"
    assert dict(stage.api.requests[0].headers)["x-tenant"] == "blue"


def test_a_redirect_uri_that_leads_elsewhere() -> None:
    for uri in (
        "https://app.test/other",
        "https://app.test/callback?a=b",
        "com.app.test:/callback",
    ):
        with pytest.raises(ValueError, match=r"\w"):
            Stage(redirect_uri=uri)
