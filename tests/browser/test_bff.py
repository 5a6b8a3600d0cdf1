"""A backend for browsers, in a browser: what scripts can see, and what strangers can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.shop_front import LIFE, ShopFront, open_shop_front
from tests.browser.stage import PASSWORD, Stage

CALL = """async ([path, method]) => {
    const answered = await fetch(path, {method, headers: {"Dojang-Bff": "1"}})
    return [answered.status, await answered.text()]
}"""
ATTEMPTS = """async (address) => {
    const seen = []
    for (const [path, method] of [["/session", "GET"], ["/api/shelf", "GET"], ["/logout", "POST"]])
        for (const headers of [{}, {"Dojang-Bff": "1"}])
            for (const mode of ["cors", "no-cors"])
                try {
                    const answered = await fetch(address + "/bff" + path,
                        {method, mode, headers, credentials: "include"})
                    seen.push(answered.type === "opaque" ? "opaque" : await answered.text())
                } catch { seen.push("refused") }
    return seen
}"""
POST_FORM = """(address) => {
    const form = document.createElement("form")
    form.method = "POST"
    form.action = address + "/bff/logout"
    document.body.append(form)
    form.submit()
}"""


@pytest.fixture(scope="module")
def front(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopFront]:
    certificate = tmp_path_factory.mktemp("tls") / "certificate.pem"
    with open_shop_front(stage, certificate) as opened:
        yield opened


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context(ignore_https_errors=True)
    opened.set_default_timeout(15_000)
    yield opened
    opened.close()


def sign_in(page: Page, front: ShopFront, username: str) -> None:
    page.goto(front.address + "/bff/login?return_to=/shelf%23top")
    if page.locator("#username").count():
        page.fill("#username", username)
        page.fill("#password", PASSWORD)
        page.click("#submit")
    if page.locator("#allow").count():
        page.click("#allow")
    expect(page.locator("#front")).to_be_visible()
    assert page.url == front.address + "/shelf#top"


def call(page: Page, path: str, method: str = "GET") -> tuple[int, str]:
    status, text = page.evaluate(CALL, ["/bff" + path, method])
    return status, text


def find_session(context: BrowserContext, front: ShopFront) -> Any:
    (found,) = [each for each in context.cookies(front.address) if "bff" in each["name"]]
    return found


@pytest.mark.proves("T2")
def test_scripts_see_no_token(
    stage: Stage, front: ShopFront, context: BrowserContext, username: str
) -> None:
    page = context.new_page()
    bodies: list[str] = []
    page.on("response", lambda got: bodies.append(repr(got.all_headers()) + got.url))
    page.on("request", lambda sent: bodies.append(repr(sent.all_headers()) + sent.url))
    sign_in(page, front, username)
    status, text = call(page, "/session")
    assert status == 200
    assert '"name":"홍길동"' in text
    assert call(page, "/api/shelf")[0] == 200
    cookie = find_session(context, front)
    assert cookie["name"] == "__Host-dojang-bff"
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert len(cookie["value"]) == 43
    seen = page.evaluate(
        "[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"
    )
    assert seen == ["", "{}", "{}"]
    shown = "".join(bodies) + text
    assert "eyJ" not in shown
    assert "dojang_rt_" not in shown


@pytest.mark.proves("T2")
def test_three_tabs_refresh_at_once(
    front: ShopFront, context: BrowserContext, username: str
) -> None:
    pages = [context.new_page() for _ in range(3)]
    for page in pages:
        sign_in(page, front, username)
    for _ in range(2):  # the second would find a refresh token that was used twice
        front.clock.ahead += LIFE * 0.85
        for page in pages:
            page.evaluate(
                "window.calls = [1, 2, 3].map(() =>"
                " fetch('/bff/api/shelf', {headers: {'Dojang-Bff': '1'}}))"
            )
        for page in pages:
            statuses = page.evaluate(
                "Promise.all(window.calls).then(all => all.map(each => each.status))"
            )
            assert statuses == [200, 200, 200]


@pytest.mark.proves("T2")
def test_what_is_taken_back_is_gone(
    stage: Stage, front: ShopFront, context: BrowserContext, username: str
) -> None:
    page = context.new_page()
    sign_in(page, front, username)
    assert call(page, "/api/shelf")[0] == 200
    account = context.new_page()
    account.goto(stage.issuer + "/account")
    account.get_by_role("button", name="Withdraw Front").click()
    expect(account.get_by_role("status")).to_have_text("The app has lost its access.")
    assert call(page, "/api/shelf") == (401, '{"error":"signed_out"}')
    assert call(page, "/session") == (200, '{"signed_in":false}')
    sign_in(page, front, username)
    assert call(page, "/api/shelf")[0] == 200
    account.reload()
    account.click("#sign-out")
    front.deliver_logouts()
    assert call(page, "/session") == (200, '{"signed_in":false}')
    assert call(page, "/api/shelf")[0] == 401


@pytest.mark.proves("T2")
def test_strangers_get_nothing_and_change_nothing(
    front: ShopFront, context: BrowserContext, username: str
) -> None:
    page, evil = context.new_page(), context.new_page()
    sign_in(page, front, username)
    calls = front.calls
    for origin in (front.stranger, front.far):  # the first is of the same site: it has the cookie
        evil.goto(origin)
        seen = evil.evaluate(ATTEMPTS, front.address)
        assert set(seen) <= {"refused", "opaque"}
        evil.evaluate(POST_FORM, front.address)
        evil.wait_for_url(front.address + "/bff/logout")
        assert evil.text_content("body") == '{"error":"foreign"}'
        evil.goto(front.address + "/bff/api/shelf")
        assert evil.text_content("body") == '{"error":"foreign"}'
    assert front.calls == calls
    assert call(page, "/api/shelf")[0] == 200


@pytest.mark.proves("T2", "C121")
def test_a_session_is_neither_planted_nor_changed(
    front: ShopFront, chromium: Browser, context: BrowserContext, username: str
) -> None:
    planted = "A" * 43
    cookie: Any = {
        "name": "__Host-dojang-bff",
        "value": planted,
        "url": front.address,
        "secure": True,
        "httpOnly": True,
    }
    context.add_cookies([cookie])
    page = context.new_page()
    sign_in(page, front, username)
    first = find_session(context, front)["value"]
    assert first != planted
    sign_in(page, front, username)
    second = find_session(context, front)["value"]
    assert second != first
    for bad in (planted, first, second[:-1] + ("A" if second[-1] != "A" else "E")):
        cookie["value"] = bad
        context.add_cookies([cookie])
        assert call(page, "/session") == (200, '{"signed_in":false}')
    page.evaluate("document.cookie = '__Host-dojang-bff=planted; path=/; secure'")
    assert call(page, "/session") == (200, '{"signed_in":false}')
    other = chromium.new_context(ignore_https_errors=True)  # the callback, in another browser
    visitor = other.new_page()
    with page.expect_request("**/bff/callback?*") as caught:
        sign_in(page, front, username)
    visitor.goto(caught.value.url)
    assert visitor.url == front.address + "/?sign_in_error=no_sign_in"
    assert call(visitor, "/session") == (200, '{"signed_in":false}')
    other.close()


@pytest.mark.proves("T2")
def test_a_person_signs_out(
    stage: Stage, front: ShopFront, context: BrowserContext, username: str
) -> None:
    page = context.new_page()
    sign_in(page, front, username)
    page.evaluate(
        "fetch('/bff/logout', {method: 'POST', headers: {'Dojang-Bff': '1'}})"
        ".then(answered => answered.json()).then(told => location.assign(told.location))"
    )
    expect(page.locator("h1")).to_have_text("Sign out?")
    page.click("#submit")
    expect(page.locator("#front")).to_be_visible()
    assert page.url == front.address + "/"
    assert call(page, "/session") == (200, '{"signed_in":false}')
