"""The pages in a real browser: every journey with scripts and without, and never a complaint about
the content policy."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import open_page
from tests.browser.stage import ORDERS, PASSWORD, Stage


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.fill("#username", username)
    page.fill("#password", password)
    page.click("#submit")


def allow(page: Page) -> None:
    page.click("#allow")
    expect(page.locator("#app")).to_be_visible()


def open_account(page: Page, stage: Stage) -> None:
    page.goto(stage.issuer + "/account")


def find_row(page: Page, section: str) -> str:
    return f"section[aria-labelledby={section}] .rows li"


@pytest.mark.proves("A4", "C29", "C40")
def test_a_person_signs_in_and_the_app_gets_a_code(stage: Stage, page: Page, username: str) -> None:
    page.goto(stage.build_address(scope="openid email orders:read", resource=ORDERS))
    sign_in(page, username)
    expect(page.locator("h1")).to_have_text("Green Shop asks for access")
    expect(page.locator("main")).to_contain_text("orders:read")
    allow(page)
    received = stage.app.received[-1]
    assert received["code"].startswith("dojang_ac_")
    assert (received["state"], received["iss"]) == ("xyz", stage.issuer)
    page.goto(stage.build_address(scope="openid email"))
    # Signed in and allowed, and asked all the same: others of this machine could have sent it.
    expect(page.locator("h1")).to_have_text("Green Shop asks for access")
    allow(page)
    expect(page.locator("#app")).to_be_visible()


@pytest.mark.proves("A4", "C106")
def test_a_wrong_password_is_told_and_put_right(stage: Stage, page: Page, username: str) -> None:
    page.goto(stage.build_address("intranet"))
    sign_in(page, username, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("That did not work.")
    expect(page.locator("#username")).to_have_value(username)
    expect(page.locator("#password")).to_have_value("")
    expect(page.locator("#password")).to_be_focused()
    page.fill("#password", PASSWORD)
    page.click("#submit")
    expect(page.locator("#app")).to_be_visible()


@pytest.mark.proves("A4")
def test_a_no_goes_back_to_the_app(stage: Stage, page: Page, username: str) -> None:
    page.goto(stage.build_address())
    sign_in(page, username)
    page.click("#deny")
    expect(page.locator("#app")).to_be_visible()
    assert stage.app.received[-1]["error"] == "access_denied"
    page.goto(stage.build_address(prompt="login"))
    page.click("#deny")  # with the fields empty
    expect(page.locator("#app")).to_be_visible()
    assert stage.app.received[-1]["error"] == "access_denied"


@pytest.mark.proves("A4")
def test_in_korean(stage: Stage, korean_page: Page, username: str) -> None:
    page = korean_page
    page.goto(stage.build_address())
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.get_by_label("사용자 이름")).to_be_visible()
    sign_in(page, username, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("로그인하지 못했습니다.")
    sign_in(page, username)
    expect(page.locator("h1")).to_have_text("Green Shop 앱이 접근을 요청합니다")
    allow(page)
    page.goto(stage.build_address(redirect_uri="https://evil.test/"))
    expect(page.locator("#error")).to_have_text("invalid redirect_uri")
    assert page.url.startswith(stage.issuer)


@pytest.mark.proves("C27")
def test_form_post(stage: Stage, page: Page, scripts: bool, username: str) -> None:
    page.goto(stage.build_address("intranet", response_mode="form_post"))
    sign_in(page, username)
    if not scripts:
        page.click("#submit")
    expect(page.locator("#app")).to_be_visible()
    assert urlsplit(page.url).query == ""
    assert stage.app.received[-1]["code"]
    assert stage.app.received[-1]["iss"] == stage.issuer


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_the_app_may_lead_on_to_another_origin(
    stage: Stage, scripted_page: Page, username: str, mode: str
) -> None:
    """Chromium holds redirects after a form against the content policy of its page."""
    page = scripted_page
    far = stage.app.callback + "/far"
    page.goto(stage.build_address(redirect_uri=far, response_mode=mode))
    sign_in(page, username)
    page.click("#allow")
    expect(page.locator("#app")).to_be_visible()
    assert urlsplit(page.url).hostname == "localhost"


@pytest.mark.proves("A4", "C41")
def test_the_account_page_ends_a_session_and_withdraws_an_app(
    stage: Stage, chromium: Browser, page: Page, username: str
) -> None:
    (other,) = [chromium.new_page()]
    other.goto(stage.build_address())
    sign_in(other, username)
    allow(other)
    open_account(page, stage)
    sign_in(page, username)
    expect(page.locator("h1")).to_have_text("Your account")
    apps, sessions = find_row(page, "apps"), find_row(page, "sessions")
    expect(page.locator(sessions)).to_have_count(2)
    page.locator(sessions).nth(1).get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("The session has ended.")
    expect(page.locator(sessions)).to_have_count(1)
    open_account(other, stage)
    expect(other.locator("#username")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Withdraw Green Shop").click()
    expect(page.get_by_role("status")).to_have_text("The app has lost its access.")
    expect(page.locator(apps)).to_have_count(0)
    page.click("#sign-out")
    expect(page.locator("#username")).to_be_visible()


@pytest.mark.proves("A4")
def test_the_password_is_changed(stage: Stage, page: Page, username: str) -> None:
    open_account(page, stage)
    sign_in(page, username)
    page.fill("#password", "wrong")
    page.fill("#new-password", "another long password")
    page.click("#submit")
    expect(page.get_by_role("alert")).to_have_text("The present password is not right.")
    page.fill("#password", PASSWORD)
    page.fill("#new-password", "another long password")
    page.click("#submit")
    expect(page.get_by_role("status")).to_contain_text("Your password is changed.")


@pytest.mark.proves("A4", "C103")
def test_logout_asks_and_leads_back(stage: Stage, page: Page, username: str) -> None:
    open_account(page, stage)
    sign_in(page, username)
    asked = {"client_id": "shop", "post_logout_redirect_uri": stage.app.after, "state": "s"}
    page.goto(f"{stage.issuer}/logout?{urlencode(asked)}")
    expect(page.locator("h1")).to_have_text("Sign out?")
    page.click("#deny")
    expect(page.locator("h1")).to_have_text("Your account")
    page.goto(f"{stage.issuer}/logout?{urlencode(asked)}")
    page.click("#submit")
    expect(page.locator("#app")).to_be_visible()
    assert page.url == stage.app.after + "?state=s"
    open_account(page, stage)
    expect(page.locator("#username")).to_be_visible()


@pytest.mark.proves("A4")
def test_with_the_keyboard_alone(stage: Stage, page: Page, username: str) -> None:
    page.goto(stage.build_address())
    expect(page.locator("#username")).to_be_focused()
    page.keyboard.type(username)
    page.keyboard.press("Tab")
    expect(page.locator("#password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#allow")).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator("#allow:focus-visible").count():
            break
    expect(page.locator("#allow")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#app")).to_be_visible()


@pytest.mark.proves("C41")
def test_a_form_that_another_site_posts_is_refused(
    stage: Stage, scripted_page: Page, username: str
) -> None:
    """SameSite keeps the cookies back, and what is left has no right key."""
    page = scripted_page
    open_account(page, stage)
    sign_in(page, username)
    expect(page.locator("h1")).to_have_text("Your account")
    page.goto(stage.app.after)
    target = stage.issuer.replace("127.0.0.1", "localhost") + "/account"
    form = (
        f'<form method=post action="{target}"><input name=action value=sign_out_everywhere>'
        "<input name=form_key value=x><button id=go>win</button></form>"
    )
    page.set_content(form)
    page.click("#go")
    page.wait_for_url(re.compile("/account"))
    open_account(page, stage)
    expect(page.locator("h1")).to_have_text("Your account")


@pytest.mark.proves("C42")
def test_a_page_cannot_be_framed(stage: Stage, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(stage.app.after)
    page.set_content(f'<iframe id=f src="{stage.issuer}/account"></iframe>')
    framed = page.frames[1]
    assert framed.locator("#username").count() == 0
    page.close()


@pytest.mark.proves("C34")
def test_an_app_renews_in_silence_in_a_frame(
    stage: Stage, scripted_page: Page, username: str
) -> None:
    """A redirect may come in a frame of the same site, though no page of ours can."""
    page = scripted_page
    page.goto(stage.build_address("intranet"))
    sign_in(page, username)
    expect(page.locator("#app")).to_be_visible()
    stage.app.received.clear()
    silent = html.escape(stage.build_address("intranet", prompt="none"))
    page.set_content(f'<iframe id=f src="{silent}"></iframe>')
    expect(page.frame_locator("#f").locator("#app")).to_be_visible()
    assert stage.app.received[-1]["code"]


WIDTHS = (320, 360, 768, 1280)
BARE = "document.documentElement.scrollWidth <= window.innerWidth"
SMALL = """[...document.querySelectorAll('button, .button, input:not([type=hidden], [hidden])')]
    .filter(each => each.offsetParent && each.getBoundingClientRect().height < 24).length"""
UNNAMED = """[...document.querySelectorAll('input:not([type=hidden], [hidden])')]
    .filter(each => !each.labels.length).length"""


@pytest.mark.proves("A4")
@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_pages_fit_every_screen(
    stage: Stage, chromium: Browser, username: str, locale: str
) -> None:
    for page in open_page(chromium, locale=locale):

        def check(page: Page = page) -> None:
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 700})
                assert page.evaluate(BARE), (page.url, width)
            assert page.evaluate(SMALL) == 0
            assert page.evaluate(UNNAMED) == 0

        page.goto(stage.build_address(scope="openid profile offline_access orders:read"))
        check()
        sign_in(page, username, "wrong")
        check()
        sign_in(page, username)
        check()
        allow(page)
        open_account(page, stage)
        check()
        page.goto(stage.issuer + "/logout?client_id=shop")
        check()
        page.goto(stage.build_address(client_id="nobody"))
        check()
