"""The sign-in page: who gets through, what is said to those who do not, and who may press what."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from dojang.jose import base64url
from dojang.server import kept_accounts
from dojang.server.kept_accounts import KNOWN_FOR, MOST_OF_ACCOUNT
from dojang.server.people import Session
from dojang.testing.inline import run
from tests.server.people.world import CALLBACK, PASSWORD, read_claims
from tests.web.pages.house import House
from tests.web.pages.visitor import FORM, Page, Visitor

SESSION = "__Host-dojang-session"
BROWSER = "__Host-dojang-browser"


def blank(page: Page) -> str:
    """A page without what differs from visit to visit and from name to name."""
    html = re.sub(r"/interaction/[0-9a-f]+", "/interaction/…", page.html)
    return re.sub(r'(name="(?:form_key|username)"[^>]*value=")[^"]*', r"\1…", html)


@pytest.mark.proves("A4", "C29", "C41")
def test_a_person_signs_in_and_allows_the_app(house: House) -> None:
    page = house.arrive()
    assert page.status == 200
    username, password = page.find("username"), page.find("password")
    assert username is not None
    assert password is not None
    assert (username["autocomplete"], password["autocomplete"]) == ("username", "current-password")
    assert password["type"] == "password"
    assert page.find("submit") is not None
    assert {"username", "password"} <= {label["for"] for label in page.list_tags("label")}
    page = house.enter(page)
    assert page.find("allow") is not None
    assert page.find("deny") is not None
    page = house.hong.press(page, "allow")
    assert page.status == 303
    assert page.location is not None
    assert page.location.startswith(CALLBACK + "?code=")
    assert house.redeem(page.answer["code"]).status == 200


@pytest.mark.proves("C29")
def test_no_redirect_after_a_post_repeats_it(house: House) -> None:
    statuses = []
    page = house.arrive()
    form = house.hong.find_form(page, "sign_in")
    fields = {**form.fields, "username": "hong", "password": PASSWORD, "action": "sign_in"}
    answer = house.hong.send("POST", form.action, urlencode(fields).encode(), FORM)
    statuses.append(answer.status)
    assert answer.location is not None
    page = house.hong.open(answer.location)
    form = house.hong.find_form(page, "allow")
    body = urlencode({**form.fields, "action": "allow"}).encode()
    statuses.append(house.hong.send("POST", form.action, body, FORM).status)
    denied = house.arrive(prompt="consent")
    form = house.hong.find_form(denied, "deny")
    body = urlencode({**form.fields, "action": "deny"}).encode()
    statuses.append(house.hong.send("POST", form.action, body, FORM).status)
    body = urlencode(house.build_request()).encode()
    statuses.append(house.hong.send("POST", "/authorize", body, FORM).status)
    assert statuses == [303, 303, 303, 303]


@pytest.mark.proves("C106")
def test_nobody_learns_which_names_there_are(house: House) -> None:
    house.add_user("kim")
    shown = []
    for username, attempts in (("hong", 1), ("nobody", 1), ("kim", MOST_OF_ACCOUNT + 1)):
        visitor = Visitor(house.issuer)
        page = house.arrive(visitor)
        for _ in range(attempts):
            page = house.enter(page, username, "wrong", visitor=visitor)
            shown.append(page)
    visitor = Visitor(house.issuer)
    locked = house.enter(house.arrive(visitor), "kim", PASSWORD, visitor=visitor)
    shown.append(locked)  # the right password does not help, and nothing else is said
    assert {page.status for page in shown} == {200}
    assert len({blank(page) for page in shown}) == 1
    assert len({str(page.headers) for page in shown}) == 1
    assert not any(page.set_cookies for page in shown)


def test_a_wrong_password_is_announced(house: House) -> None:
    page = house.enter(house.arrive(), password="wrong")
    error, password = page.find("error"), page.find("password")
    assert error is not None
    assert password is not None
    assert error["role"] == "alert"
    assert password["aria-describedby"] == "error"
    assert "value" not in password
    username = page.find("username")
    assert username is not None
    assert username["value"] == "hong"


def test_an_account_that_is_disabled_does_not_get_in(house: House) -> None:
    house.perform("user.disable", username="hong")
    page = house.enter(house.arrive())
    assert page.find("error") is not None
    assert SESSION not in house.hong.cookies


def test_too_many_attempts_from_a_network_are_told_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_accounts, "MOST_OF_NETWORK", 5)
    page = house.arrive()
    for number in range(5):
        tried = house.enter(page, f"nobody-{number}", "wrong")
        assert tried.status == 200
    tried = house.enter(page)
    assert tried.status == 429
    assert int(tried.headers["retry-after"]) > 0
    assert "too many attempts" in tried.text
    house.pass_time(3600)
    assert house.enter(house.arrive()).find("allow") is not None


@pytest.mark.proves("C41")
def test_cookies_are_bound_to_this_host_and_out_of_reach(house: House) -> None:
    first = house.hong.send("GET", house.build_target())
    (cookie,) = first.set_cookies
    name, *attributes = cookie.split("; ")
    age = f"Max-Age={KNOWN_FOR}"
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure", age}
    assert name.startswith(BROWSER + "=")
    assert len(base64url.decode(name.partition("=")[2])) == 32
    page = house.arrive()
    form = house.hong.find_form(page, "sign_in")
    fields = {**form.fields, "username": "hong", "password": PASSWORD, "action": "sign_in"}
    (cookie,) = house.hong.send("POST", form.action, urlencode(fields).encode(), FORM).set_cookies
    name, *attributes = cookie.split("; ")
    assert name.startswith(SESSION + "=dojang_se_")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(attributes)
    assert not any(each.startswith("Domain") for each in attributes)


@pytest.mark.proves("C41")
def test_a_sign_in_makes_a_new_session_id(house: House) -> None:
    house.hong.cookies[SESSION] = "dojang_se_" + "0" * 32 + "A" * 43
    planted = house.hong.cookies[SESSION]
    house.sign_in_for_app()
    first = house.hong.cookies[SESSION]
    assert first != planted
    house.enter(house.arrive(prompt="login"))
    assert house.hong.cookies[SESSION] not in (first, planted)


@pytest.mark.proves("C41")
@pytest.mark.parametrize("action", ["sign_in", "allow", "deny"])
def test_a_form_without_the_key_of_this_browser_is_refused(house: House, action: str) -> None:
    page = house.arrive()
    if action != "sign_in":
        page = house.enter(page)
    form = house.hong.find_form(page, action)
    typed = {"username": "hong", "password": PASSWORD, "action": action}
    right = form.fields["form_key"]
    others = house.arrive(Visitor(house.issuer)).forms[0].fields["form_key"]
    for key in ("", "x", right[:-1], right[::-1], right + "x", "é", others):
        refused = house.hong.post(form.action, {**form.fields, **typed, "form_key": key})
        assert refused.status == 403
        assert refused.location is None
        assert "invalid form" in refused.text
    assert house.hong.post(form.action, {**form.fields, **typed}).status in (200, 303)


@pytest.mark.proves("C41", "C44")
def test_an_interaction_is_the_browsers_it_was_begun_in(house: House) -> None:
    """Two browsers: neither may see, finish or be made to finish what the other began."""
    victim, attacker = Visitor(house.issuer), Visitor(house.issuer)
    house.sign_in_for_app(victim)
    page = house.arrive(attacker)
    path = attacker.find_form(page, "sign_in").action
    begun = attacker.find_form(page, "sign_in").fields
    for visitor in (victim, Visitor(house.issuer)):
        shown = visitor.open(path)
        assert shown.status == 400
        assert "sign-in expired" in shown.text
        assert (
            "app"
            not in shown.html.replace("app asks", "").split("Go back")[0].split("</h1>")[1][:0]
        )
        assert not shown.forms
        for action in ("sign_in", "allow", "deny", "switch"):
            fields = {**begun, "username": "hong", "password": PASSWORD, "action": action}
            posted = visitor.post(path, fields)
            assert posted.status == 400
            assert posted.location is None
    stolen = attacker.copy()
    stolen.cookies.pop(BROWSER)
    assert stolen.open(path).status == 400


@pytest.mark.proves("C44")
def test_nothing_in_a_form_or_an_address_changes_the_request(house: House) -> None:
    house.add_client("other")
    page = house.arrive()
    path = house.hong.find_form(page, "sign_in").action
    edits = {
        "client_id": "other",
        "redirect_uri": "https://evil.test/",
        "response_type": "token",
        "response_mode": "form_post",
        "scope": "openid phone",
        "state": "edited",
    }
    page = house.hong.press(page, "sign_in", username="hong", password=PASSWORD, **edits)
    page = house.hong.open(path + "?redirect_uri=https://evil.test/&client_id=other")
    page = house.hong.press(page, "allow", **edits)
    assert page.location is not None
    assert page.location.startswith(CALLBACK + "?code=")
    assert page.answer["state"] == "xyz"
    assert set(page.answer) == {"code", "state", "iss"}
    assert house.redeem(page.answer["code"]).status == 200


@pytest.mark.proves("C41")
@pytest.mark.parametrize(
    "headers, status",
    [
        ([(b"sec-fetch-site", b"cross-site")], 403),
        ([(b"sec-fetch-site", b"same-site")], 403),
        ([(b"origin", b"https://evil.test")], 403),
        ([(b"origin", b"http://issuer.test")], 403),
        ([(b"origin", b"https://issuer.test.evil.test")], 403),
        ([(b"sec-fetch-site", b"same-origin"), (b"origin", b"null")], 200),
        ([(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://issuer.test")], 200),
        ([], 200),
    ],
)
def test_a_form_of_another_site_is_refused(
    house: House, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    page = house.arrive()
    form = house.hong.find_form(page, "sign_in")
    fields = {**form.fields, "username": "hong", "password": PASSWORD, "action": "sign_in"}
    answer = house.hong.post(form.action, fields, *headers)
    assert answer.status == status
    assert (answer.find("allow") is not None) is (status == 200)


@pytest.mark.proves("C34")
def test_prompt_none_never_shows_a_page(house: House) -> None:
    asked = {"prompt": "none"}
    assert house.arrive(**asked).answer["error"] == "login_required"
    page = house.arrive()
    house.enter(page)
    assert house.arrive(**asked).answer["error"] == "consent_required"
    house.sign_in_for_app()
    assert house.arrive(**asked).answer["code"]
    more = house.arrive(scope="openid profile email offline_access", **asked)
    assert more.answer["error"] == "consent_required"
    house.pass_time(100)
    assert house.arrive(max_age="99", **asked).answer["error"] == "login_required"
    for page in (house.arrive(**asked), more):
        assert page.status == 303
        assert "<form" not in page.html


@pytest.mark.proves("C34", "C35")
def test_an_id_token_hint_names_who_is_meant(house: House) -> None:
    house.add_user("kim")
    hint = house.take_tokens()["id_token"]
    assert house.arrive(id_token_hint=hint, prompt="none").answer["code"]
    kim = Visitor(house.issuer)
    page = house.enter(house.arrive(kim), "kim", visitor=kim)
    kim.press(page, "allow")
    assert house.arrive(kim, id_token_hint=hint, prompt="none").answer["error"] == "login_required"
    page = house.arrive(kim, id_token_hint=hint)
    assert page.has_button("sign_in")
    assert house.enter(page, "kim", visitor=kim).answer["error"] == "login_required"


@pytest.mark.proves("C35")
def test_max_age_and_prompt_login_ask_again(house: House) -> None:
    first = read_claims(house.take_tokens()["id_token"])["auth_time"]
    house.pass_time(1000)
    assert house.arrive().answer["code"]
    again = read_claims(house.take_tokens(max_age="2000")["id_token"])
    assert again["auth_time"] == first
    for parameters in ({"max_age": "999"}, {"prompt": "login"}, {"max_age": "0"}):
        house.pass_time(1)
        assert house.arrive(**parameters).has_button("sign_in")
        claims = read_claims(house.take_tokens(**parameters)["id_token"])
        assert claims["auth_time"] == house.now
    house.pass_time(5)
    assert house.arrive(prompt="select_account").has_button("sign_in")


def test_a_login_hint_is_filled_in(house: House) -> None:
    username = house.arrive(login_hint="hong@example.com").find("username")
    assert username is not None
    assert username["value"] == "hong@example.com"


def test_somebody_who_is_signed_in_and_has_allowed_sees_no_page(house: House) -> None:
    house.sign_in_for_app()
    page = house.hong.send("GET", house.build_target())
    assert page.status == 303
    assert page.answer["code"]


def test_a_person_may_give_up(house: House) -> None:
    page = house.hong.press(house.arrive(), "deny")
    assert (page.answer["error"], page.answer["state"]) == ("access_denied", "xyz")
    assert page.answer["iss"] == house.issuer.url


def test_a_sign_in_that_took_too_long_is_over(house: House) -> None:
    page = house.arrive()
    house.pass_time(1801)
    over = house.enter(page)
    assert over.status == 400
    assert "sign-in expired" in over.text
    assert "Go back to the app and start again" in over.text


def test_a_sign_in_that_is_done_is_over(house: House) -> None:
    page = house.enter(house.arrive())
    assert house.hong.press(page, "allow").answer["code"]
    assert house.hong.press(page, "allow").status == 400


def test_two_tabs_do_not_disturb_each_other(house: House) -> None:
    one, two = house.arrive(state="one"), house.arrive(state="two")
    page = house.enter(one)
    assert house.hong.press(page, "allow").answer["state"] == "one"
    done = house.hong.open(house.hong.find_form(two, "sign_in").action)
    assert done.answer["state"] == "two"


def test_a_conflict_shows_where_things_stand(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from dojang.server.ports import Conflict
    from dojang.web.pages import authorization

    async def lose(*_: object, **__: object) -> None:
        raise Conflict("interaction", "x")

    page = house.enter(house.arrive())
    monkeypatch.setattr(authorization, "answer_consent", lose)
    again = house.hong.press(page, "allow")
    assert again.has_button("allow")


def test_the_session_notes_browser_and_network(house: House) -> None:
    visitor = Visitor(house.issuer, (b"user-agent", b"Mozilla/5.0 (X11; Linux) Firefox/140.0"))
    house.sign_in_for_app(visitor)
    session = house.find_session_of(visitor)
    assert "Firefox/140.0" in session.agent
    assert session.network == "127.0.0.1"
    assert run(house.issuer.provider.store.find(Session, session.session_id)) == session


def test_a_cookie_that_stands_twice_counts_for_nothing(house: House) -> None:
    house.sign_in_for_app()
    session = house.hong.cookies[SESSION]
    twice = (b"cookie", f"{SESSION}={session}; {SESSION}={session}".encode())
    page = house.hong.send("GET", house.build_target(prompt="none"), b"", twice, cookies=False)
    assert page.answer["error"] == "login_required"
