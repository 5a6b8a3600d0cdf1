"""Requests that a stranger's page has the browser make."""

import pytest

from tests.integrations.bff.stage import ORIGIN, OWN, SESSION, Stage

ATTEMPTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a form": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a form of an old browser": {"origin": "https://evil.example"},
    "a form without origin": {"origin": "null"},
    "the header, from another origin": {"dojang-bff": "1", "origin": "https://evil.example"},
    "the header, from another site": {"dojang-bff": "1", "sec-fetch-site": "cross-site"},
    "the header, from a sister": {"dojang-bff": "1", "sec-fetch-site": "same-site"},
    "the header, typed in": {"dojang-bff": "1", "sec-fetch-site": "none"},
    "the header, from nowhere": {"dojang-bff": "1", "origin": "null"},
    "another port": {"dojang-bff": "1", "origin": ORIGIN + ":8443"},
    "plain http": {"dojang-bff": "1", "origin": "http://app.test"},
    "another value": {"dojang-bff": "0", "sec-fetch-site": "same-origin", "origin": ORIGIN},
    "own origin, but no header": {"sec-fetch-site": "same-origin", "origin": ORIGIN},
    "own origin, other site": {"dojang-bff": "1", "sec-fetch-site": "cross-site", "origin": ORIGIN},
}


@pytest.mark.proves("T2")
@pytest.mark.parametrize("name", ATTEMPTS)
async def test_a_stranger_changes_nothing(stage: Stage, name: str) -> None:
    browser = await stage.meet()
    for method, path in (
        ("POST", "/logout"),
        ("GET", "/session"),
        *((method, "/api/orders") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
        ("OPTIONS", "/api/orders"),
    ):
        refused = await browser.ask(method, path, ATTEMPTS[name])
        assert (refused.status, refused.json) == (403, {"error": "foreign"}), (method, path)
        assert not [key for key, _ in refused.headers if key.startswith("access-control")]
    assert stage.api.requests == []
    assert (await browser.tell())["signed_in"] is True


@pytest.mark.proves("T2")
async def test_without_any_sign_of_where_it_comes_from(stage: Stage) -> None:
    browser = await stage.meet()
    bare = {"dojang-bff": "1"}
    assert (await browser.ask("POST", "/api/orders", bare)).status == 403
    assert (await browser.ask("GET", "/api/orders", bare)).status == 200
    by_origin = {"dojang-bff": "1", "origin": ORIGIN}
    assert (await browser.ask("POST", "/api/orders", by_origin)).status == 200
    by_site = {"dojang-bff": "1", "sec-fetch-site": "same-origin"}
    assert (await browser.ask("POST", "/api/orders", by_site)).status == 200


async def test_only_own_methods(stage: Stage) -> None:
    browser = await stage.meet()
    for method in ("TRACE", "CONNECT", "OPTIONS", "get"):
        assert (await browser.call(method, "/api/orders")).status == 405
    for method, path in (("POST", "/login"), ("POST", "/callback"), ("GET", "/logout")):
        assert (await browser.call(method, path)).status == 405
    assert (await browser.ask("GET", "/backchannel-logout", OWN)).status == 405
    assert SESSION in browser.cookies
