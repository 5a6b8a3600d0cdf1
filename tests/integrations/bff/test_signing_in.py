"""Into the application and out of it, and everything that must not get in."""

import logging
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from dojang.integrations.bff import Lifetimes
from dojang.integrations.bff.vault import name_session
from tests.integrations.bff.stage import (
    ORIGIN,
    OWN,
    SESSION,
    SIGN_IN,
    UPSTREAM,
    Browser,
    Stage,
    read_query,
)
from tests.web.pages.visitor import Visitor


@pytest.mark.proves("T2")
async def test_somebody_signs_in_and_calls_an_api(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = stage.browse()
    assert await browser.tell() == {"signed_in": False}
    assert (await browser.call("GET", "/api/orders")).json == {"error": "signed_out"}
    arrived = await stage.sign_in(browser, login="/login?return_to=/orders%3Fpage=2")
    assert (arrived.status, arrived.location) == (303, "/orders?page=2")
    told = await browser.tell()
    assert told["signed_in"] is True
    assert told["claims"]["name"] == "홍길동"
    assert told["claims"].keys() == {"sub", "name"}
    assert told["ends_at"] == int(stage.clock.now()) + 28_800
    answered = await browser.call("GET", "/api/orders?page=2")
    assert (answered.status, answered.json) == (200, {"orders": []})
    assert stage.api.requests[0].url == "https://orders.internal/v1/orders?page=2"
    left = await browser.call("POST", "/logout")
    assert left.status == 200
    secrets = stage.list_secrets()
    assert len(secrets) == 3
    kept = await stage.bff._parts.vault.find((await stage.meet()).cookies[SESSION], use=False)
    assert kept is not None
    secrets = stage.list_secrets()
    assert not [secret for secret in secrets if secret in repr(kept) + repr(kept.session.access)]
    shown = "".join(map(repr, browser.seen)) + caplog.text + repr((stage.bff, stage.sessions))
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.proves("T2")
async def test_the_cookie_is_out_of_reach(stage: Stage) -> None:
    browser = stage.browse()
    left = await browser.ask("GET", "/login")
    (sign_in,) = left.cookies
    assert sign_in.startswith(SIGN_IN)
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(sign_in.split("; "))
    arrived = await browser.ask("GET", stage.visit(left.location))
    dropped, kept = arrived.cookies
    assert dropped.startswith(SIGN_IN)
    assert "Max-Age=0" in dropped
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(kept.split("; "))
    assert re.fullmatch(SESSION + r"=[\w-]{43}", kept.split(";")[0])
    assert "Domain" not in kept
    assert arrived.find("cache-control") == "no-store"
    assert arrived.find("referrer-policy") == "no-referrer"
    strict = Stage(bff={"same_site": "Strict"})
    browser = await strict.meet()
    kept = browser.seen[-1].cookies[-1]
    assert "SameSite=Strict" in kept


RETURN_TO = {
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "evil",
    "",
    "/\n/evil.example",
    "/\t/evil.example",
    "/ /evil.example",
    "/ä",
    "/" + "x" * 1024,
    "///evil.example",
}


@pytest.mark.proves("T2")
async def test_nobody_is_led_elsewhere(stage: Stage) -> None:
    browser = stage.browse()
    for path in sorted(RETURN_TO - {""}):
        refused = await browser.ask("GET", f"/login?return_to={quote(path)}")
        assert refused.status == 400, path
        assert refused.cookies == []
    twice = await browser.ask("GET", "/login?return_to=/a&return_to=//evil.example")
    assert twice.status == 400
    for query in ("prompt=none", "login_hint=" + "x" * 257, "ui_locales=" + "en+" * 9):
        assert (await browser.ask("GET", "/login?" + query)).status == 400
    assert (await browser.ask("GET", "/login", {"sec-fetch-dest": "image"})).status == 403


@pytest.mark.proves("T2", "C121")
async def test_an_answer_for_another_browser(stage: Stage) -> None:
    """CSRF at the callback: the attacker's answer, opened in the victim's browser."""
    attacker, victim, bystander = stage.browse(), stage.browse(), stage.browse()
    callback = await stage.go(attacker)
    await victim.ask("GET", "/login")
    for browser in (victim, bystander):
        refused = await browser.ask("GET", callback)
        assert refused.status == 303
        assert refused.location == "/?sign_in_error=no_sign_in"
        assert SESSION not in browser.cookies
    assert stage.line.tokens == 0
    own = next(name for name in victim.cookies if name.startswith(SIGN_IN))
    theirs = next(name for name in attacker.cookies if name.startswith(SIGN_IN))
    victim.cookies[theirs] = victim.cookies[own]  # sealed for another state
    refused = await victim.ask("GET", callback)
    assert refused.location == "/?sign_in_error=sign_in_refused"
    assert stage.line.tokens == 0
    assert (await attacker.ask("GET", callback)).location == "/"


@pytest.mark.proves("T2", "C121")
async def test_an_answer_counts_once(stage: Stage) -> None:
    browser = stage.browse()
    callback = await stage.go(browser)
    kept = dict(browser.cookies)
    assert (await browser.ask("GET", callback)).location == "/"
    assert (await browser.ask("GET", callback)).location == "/?sign_in_error=no_sign_in"
    browser.cookies |= kept  # whoever kept the cookie has no code any more
    assert (await browser.ask("GET", callback)).location == "/?sign_in_error=sign_in_refused"


async def test_several_tabs_sign_in_at_once(stage: Stage) -> None:
    browser = stage.browse()
    callbacks = [await stage.go(browser, login=f"/login?return_to=/{tab}") for tab in "abc"]
    landed = [(await browser.ask("GET", each)).location for each in reversed(callbacks)]
    assert landed == ["/c", "/b", "/a"]
    for _ in range(9):
        await browser.ask("GET", "/login")
    assert len([name for name in browser.cookies if name.startswith(SIGN_IN)]) <= 5


@pytest.mark.proves("T2", "C122")
async def test_an_answer_of_another_issuer_or_with_an_error(stage: Stage) -> None:
    browser = stage.browse()
    state = read_query(await stage.go(browser))["state"]
    for query, error in (
        (f"state={state}&code=x&iss=https%3A%2F%2Fevil.example", "sign_in_refused"),
        (f"state={state}&code=x", "sign_in_refused"),
        ("code=x&iss=https%3A%2F%2Fissuer.test", "no_sign_in"),
    ):
        kept = dict(browser.cookies)
        refused = await browser.ask("GET", "/callback?" + query)
        assert refused.location == f"/?sign_in_error={error}"
        browser.cookies = kept
    denied = f"state={state}&error=access_denied&iss=https%3A%2F%2Fissuer.test"
    assert (await browser.ask("GET", "/callback?" + denied)).location.endswith("=access_denied")
    assert (await browser.ask("GET", "/callback?state=a&state=b")).status == 400
    assert SESSION not in browser.cookies


@pytest.mark.proves("T2")
async def test_every_sign_in_has_a_new_session(stage: Stage) -> None:
    """Fixation: what the browser showed before is worth nothing, and ends."""
    browser = stage.browse()
    browser.cookies[SESSION] = planted = "A" * 43
    await stage.sign_in(browser)
    first = browser.cookies[SESSION]
    assert first != planted
    await stage.sign_in(browser)
    second = browser.cookies[SESSION]
    assert second not in (first, planted)
    for old in (planted, first):
        other = stage.browse()
        other.cookies[SESSION] = old
        assert await other.tell() == {"signed_in": False}
    assert (await browser.tell())["signed_in"] is True


@pytest.mark.proves("T2")
async def test_the_former_session_ends_though_a_strict_cookie_is_not_shown() -> None:
    stage = Stage(bff={"same_site": "Strict"})
    browser = await stage.meet()
    first = browser.cookies[SESSION]
    callback = await stage.go(browser)
    del browser.cookies[SESSION]  # as a browser does that comes from another site
    await browser.ask("GET", callback)
    browser.cookies[SESSION] = first
    assert await browser.tell() == {"signed_in": False}


@pytest.mark.proves("T2")
async def test_a_cookie_that_was_changed(stage: Stage) -> None:
    browser = await stage.meet()
    good = browser.cookies[SESSION]
    for bad in (good[:-1], good + "A", good[:-1] + ("A" if good[-1] != "A" else "B"), "", "é"):
        browser.cookies[SESSION] = bad.encode().decode("latin-1") if bad == "é" else bad
        assert await browser.tell() == {"signed_in": False}
    browser.cookies[SESSION] = good
    twice = await browser.call("GET", "/session", cookie=f"{SESSION}={good}")
    assert twice.json == {"signed_in": False}
    for name in list(browser.cookies):
        browser.cookies[name] = good
    sealed = await stage.go(browser)
    (name,) = [each for each in browser.cookies if each.startswith(SIGN_IN)]
    browser.cookies[name] = browser.cookies[name][:-6] + "AAAAAA"
    assert (await browser.ask("GET", sealed)).location == "/?sign_in_error=no_sign_in"


@pytest.mark.proves("T2")
async def test_a_session_ends_without_use_and_in_any_case() -> None:
    stage = Stage(bff={"lifetimes": Lifetimes(idle=600, absolute=1500)})
    browser = await stage.meet()
    for _ in range(2):
        stage.clock.move(500)
        assert (await browser.tell())["signed_in"] is True  # which does not count as use
        assert (await browser.call("GET", "/api/orders")).status == 200
    stage.clock.move(499)
    assert (await browser.call("GET", "/api/orders")).status == 200
    stage.clock.move(1)
    refused = await browser.call("GET", "/api/orders")
    assert (refused.status, refused.json) == (401, {"error": "signed_out"})
    assert refused.cookies == []  # another tab may have a new one by now
    browser = await stage.meet()
    stage.clock.move(300)
    assert (await browser.tell())["signed_in"] is True
    stage.clock.move(300)
    assert await browser.tell() == {"signed_in": False}


async def test_claims_come_from_the_userinfo_endpoint_where_the_id_token_lacks_them() -> None:
    scopes = ("openid", "profile", "email")
    claims = ("name", "email", "phone_number")
    stage = Stage(scopes=scopes, claims=(), resource=None, bff={"claims": claims})
    browser = await stage.meet()
    told = (await browser.tell())["claims"]
    assert told.keys() == {"sub", "name", "email"}


async def test_a_provider_that_is_away(stage: Stage) -> None:
    browser = stage.browse()
    with stage.house.issuer.down():
        away = await browser.ask("GET", "/login")
    assert (away.status, away.location) == (303, "/?sign_in_error=unavailable")
    callback = await stage.go(browser)
    with stage.house.issuer.down():
        away = await browser.ask("GET", callback)
    assert away.location == "/?sign_in_error=unavailable"


@pytest.mark.proves("T2")
async def test_a_session_that_ended_while_it_began(stage: Stage) -> None:
    """The provider told of a logout before the answer of its token endpoint was kept."""
    browser, visitor = stage.browse(), Visitor(stage.house.issuer)
    callback = await stage.go(browser, visitor)
    sid = stage.house.find_session_of(visitor).session_id
    name = name_session(stage.house.issuer.url, sid)
    await stage.sessions.end_all(name, at=int(stage.clock.now()), remember=60)
    assert (await browser.ask("GET", callback)).location == "/?sign_in_error=signed_out"
    assert await browser.tell() == {"signed_in": False}


async def test_it_is_mounted_anywhere() -> None:
    stage = Stage()
    browser = Browser(stage.bff, root_path="/bff")
    left = await browser.ask("GET", "/bff/login")
    await browser.ask("GET", "/bff" + stage.visit(left.location))
    assert (await browser.call("GET", "/bff/session")).json["signed_in"] is True
    assert (await browser.call("GET", "/bff/api/orders")).status == 200
    assert (
        await browser.call("GET", "/api/orders")
    ).status == 200  # its server took the prefix off
    assert (await browser.call("GET", "/bff/nothing")).status == 404
    assert (await browser.call("POST", "/bff/session")).status == 405


async def test_it_is_mounted_in_an_application(stage: Stage) -> None:
    app = FastAPI()
    app.mount("/bff", stage.bff)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        assert (await client.get("/bff/session")).status_code == 403
        left = await client.get("/bff/login?return_to=/orders")
        assert left.status_code == 303
        callback = stage.visit(left.headers["location"])
        arrived = await client.get("/bff" + callback)
        assert arrived.headers["location"] == "/orders"
        assert (await client.get("/bff/session", headers=OWN)).json()["signed_in"] is True
        answered = await client.get("/bff/api/%ED%99%8D?a=%2F", headers=OWN)
        assert answered.json() == {"orders": []}
        assert (await client.get("/bff/nothing", headers=OWN)).status_code == 404
    assert stage.api.requests[0].url == UPSTREAM + "/%ED%99%8D?a=%2F"


@pytest.mark.proves("T2")
async def test_only_on_this_very_machine_is_the_cookie_plain() -> None:
    uri = "http://127.0.0.1:8000/callback"
    stage = Stage(client={"redirect_uris": (uri,)}, redirect_uri=uri, bff={"cookie": "shop"})
    left = await stage.browse().ask("GET", "/login")
    assert left.cookies[0].startswith("shop-sign-in-")
    assert "Secure" not in left.cookies[0]
    assert "HttpOnly" in left.cookies[0]
    with pytest.raises(ValueError, match="https"):
        Stage(redirect_uri="http://app.test/callback")


async def test_what_else_asgi_brings(stage: Stage) -> None:
    sent: list[str] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await stage.bff({"type": "lifespan"}, receive, send)
    messages.append({"type": "websocket.connect"})
    await stage.bff({"type": "websocket", "path": "/api/orders"}, receive, send)
    messages.append({"type": "http.disconnect"})
    scope = {"type": "http", "method": "GET", "path": "/login", "headers": []}
    await stage.bff(scope, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
