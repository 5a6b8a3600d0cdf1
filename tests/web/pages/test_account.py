"""The account page: what a person sees of their own, and what it ends."""

from __future__ import annotations

import pytest

from dojang.server.people import Session
from dojang.testing.inline import run
from tests.server.people.world import PASSWORD
from tests.web.pages.house import House
from tests.web.pages.visitor import Page, Visitor

SESSION = "__Host-dojang-session"
NEW_PASSWORD = "a rather new password"


def sign_in(house: House, visitor: Visitor, username: str = "hong", **typed: str) -> Page:
    page = visitor.open("/account")
    return visitor.press(page, "sign_in", username=username, **{"password": PASSWORD, **typed})


def fill(house: House, page: Page, action: str, number: int, visitor: Visitor) -> Page:
    """Press the button of the `number`th form that has it."""
    forms = [
        form for form in page.forms if any(button.get("value") == action for button in form.buttons)
    ]
    return visitor.post(forms[number].action, {**forms[number].fields, "action": action})


@pytest.mark.proves("A4")
def test_it_asks_to_sign_in_and_leads_back(house: House) -> None:
    page = house.hong.open("/account")
    assert page.has_button("sign_in")
    assert not page.has_button("deny")
    failed = sign_in(house, house.hong, password="wrong")
    assert failed.find("error") is not None
    page = sign_in(house, house.hong)
    assert "Your account" in page.text
    assert "홍길동 (hong)" in page.text
    assert "You have not allowed any app." in page.text


@pytest.mark.proves("A4", "C62")
def test_an_app_that_is_withdrawn_loses_everything(house: House) -> None:
    tokens = house.take_tokens(scope="openid offline_access orders:read")
    assert house.introspect(tokens["access_token"])["active"] is True
    page = house.hong.open("/account")
    assert "offline_access" in page.text
    page = house.hong.press(page, "withdraw")
    assert "The app has lost its access." in page.text
    assert "You have not allowed any app." in page.text
    assert house.introspect(tokens["access_token"]) == {"active": False}
    assert house.refresh(tokens["refresh_token"]).status == 400
    assert house.arrive().has_button("allow")


@pytest.mark.proves("A4", "C62")
def test_a_session_that_is_ended_is_over_there_and_for_its_tokens(house: House) -> None:
    phone = Visitor(house.issuer, (b"user-agent", b"Mozilla/5.0 (iPhone) Version/19 Safari/605"))
    tokens = house.take_tokens(phone, scope="openid orders:read")
    house.pass_time(1)
    page = sign_in(house, house.hong)
    assert page.text.index("this browser") < page.text.index("Safari · iPhone")
    page = fill(house, page, "end_session", 1, house.hong)
    assert "The session has ended." in page.text
    assert "iPhone" not in page.text
    assert phone.open("/account").has_button("sign_in")
    assert house.arrive(phone, prompt="none").answer["error"] == "login_required"
    assert house.introspect(tokens["access_token"]) == {"active": False}
    assert house.hong.open("/account").has_button("sign_out")


def test_ending_the_present_session_signs_out(house: House) -> None:
    page = fill(house, sign_in(house, house.hong), "end_session", 0, house.hong)
    assert page.has_button("sign_in")
    assert "You are signed out." in page.text
    assert SESSION not in house.hong.cookies


@pytest.mark.proves("A4")
def test_signing_out_ends_the_session_on_the_server(house: House) -> None:
    page = sign_in(house, house.hong)
    twin = house.hong.copy()
    house.hong.press(page, "sign_out")
    assert SESSION not in house.hong.cookies
    assert twin.open("/account").has_button("sign_in")


@pytest.mark.proves("A4", "C62")
def test_signing_out_everywhere_ends_sessions_and_offline_access(house: House) -> None:
    phone = Visitor(house.issuer)
    tokens = house.take_tokens(phone, scope="openid offline_access")
    page = house.hong.press(sign_in(house, house.hong), "sign_out_everywhere")
    assert "You are signed out everywhere." in page.text
    assert phone.open("/account").has_button("sign_in")
    assert house.refresh(tokens["refresh_token"]).status == 400


@pytest.mark.proves("A4", "C62")
def test_a_changed_password_ends_the_other_sessions(house: House) -> None:
    phone = Visitor(house.issuer)
    tokens = house.take_tokens(phone, scope="openid offline_access")
    page = sign_in(house, house.hong)
    wrong = house.hong.press(page, "change_password", password="wrong", new_password=NEW_PASSWORD)
    assert "The present password is not right." in wrong.text
    short = house.hong.press(page, "change_password", password=PASSWORD, new_password="short")
    assert "at least 8 and at most 1024 characters" in short.text
    assert phone.open("/account").has_button("sign_out")
    page = house.hong.press(page, "change_password", password=PASSWORD, new_password=NEW_PASSWORD)
    assert "Your password is changed." in page.text
    assert phone.open("/account").has_button("sign_in")
    assert house.refresh(tokens["refresh_token"]).status == 400
    assert sign_in(house, phone).find("error") is not None
    assert sign_in(house, phone, password=NEW_PASSWORD).has_button("sign_out")


@pytest.mark.proves("C41")
@pytest.mark.parametrize(
    "action",
    ["end_session", "withdraw", "sign_out", "sign_out_everywhere", "change_password", "sign_in"],
)
def test_forms_need_the_key_of_this_browser_and_session(house: House, action: str) -> None:
    house.sign_in_for_app()
    page = house.hong.open("/account")
    if action == "sign_in":
        house.hong.press(page, "sign_out")
        page = house.hong.open("/account")
    form = house.hong.find_form(page, action)
    fields = {**form.fields, "password": PASSWORD, "new_password": NEW_PASSWORD, "action": action}
    fields["username"] = "hong"
    attacker = Visitor(house.issuer)
    theirs = attacker.open("/account").forms[0].fields["form_key"]
    for key in ("", "x", theirs):
        refused = house.hong.post("/account", {**fields, "form_key": key})
        assert (refused.status, refused.location) == (403, None)
    crossing = house.hong.post("/account", fields, (b"sec-fetch-site", b"cross-site"))
    assert crossing.status == 403
    after = house.hong.open("/account")
    assert after.has_button("sign_in" if action == "sign_in" else "withdraw")
    assert house.enter(house.arrive(attacker), visitor=attacker).find("error") is None


@pytest.mark.proves("C41")
def test_a_form_of_an_earlier_session_is_refused(house: House) -> None:
    page = sign_in(house, house.hong)
    house.hong.press(page, "sign_out")
    sign_in(house, house.hong)
    assert house.hong.press(page, "sign_out_everywhere").status == 403


@pytest.mark.proves("A4")
def test_nobody_ends_what_is_somebody_elses(house: House) -> None:
    house.add_user("kim")
    house.sign_in_for_app()
    theirs = house.find_session_of(house.hong)
    kim = Visitor(house.issuer)
    page = sign_in(house, kim, "kim")
    form = kim.find_form(page, "end_session")
    fields = {**form.fields, "action": "end_session", "session_id": theirs.session_id}
    kim.post("/account", fields)
    kim.post("/account", {**fields, "action": "withdraw", "client_id": "app"})
    session = run(house.issuer.provider.store.find(Session, theirs.session_id))
    assert session is not None
    assert session.ended_at is None
    assert house.arrive().answer["code"]


def test_without_a_session_a_form_leads_to_the_sign_in(house: House) -> None:
    page = sign_in(house, house.hong)
    house.hong.cookies.pop(SESSION)
    assert house.hong.press(page, "sign_out_everywhere").has_button("sign_in")


def test_an_unknown_action_is_refused(house: House) -> None:
    page = sign_in(house, house.hong)
    form = house.hong.find_form(page, "sign_out")
    refused = house.hong.post("/account", {**form.fields, "action": "delete_all"})
    assert (refused.status, refused.find("error") is not None) == (400, True)


def test_what_was_done_is_said_in_fixed_words_only(house: House) -> None:
    page = house.hong.open("/account?done=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "alert(1)" not in page.html


def test_what_a_person_does_is_in_the_audit_trail(house: House) -> None:
    house.sign_in_for_app()
    house.hong.press(house.hong.open("/account"), "withdraw")
    house.hong.press(house.hong.open("/account"), "sign_out")
    events = house.perform("audit.list")["records"]
    done = [(each["action"], each["actor"]) for each in events]
    for action in ("account.sign_in", "consent.give", "consent.withdraw", "session.end"):
        assert (action, "account-hong") in done
    assert PASSWORD not in str(events)
