"""What a person is asked to allow (C40), and what their no is worth."""

from __future__ import annotations

import pytest

from tests.server.people.world import CALLBACK, ORDERS, PASSWORD
from tests.web.pages.house import House
from tests.web.pages.visitor import Page


def ask(house: House, **parameters: str | None) -> Page:
    """The consent page for a request."""
    page = house.arrive(**parameters)
    return house.enter(page) if page.has_button("sign_in") else page


@pytest.mark.proves("C40")
def test_it_says_who_asks_for_what_where_and_for_how_long() -> None:
    house = House(policy_uri="https://app.test/privacy", tos_uri="https://app.test/terms")
    page = ask(house, scope="openid profile email orders:read")
    assert page.list_tags("h1")
    assert "app asks for access" in page.text
    assert "Your answer goes to app.test" in page.text
    assert "See your profile: name, picture, language and the like profile" in page.text
    assert "See your email address email" in page.text
    assert f"Act for you at {ORDERS} orders:read" in page.text
    assert "14 days at most" in page.text
    assert "Signed in as hong." in page.text
    links = page.list_tags("a")
    assert [link["href"] for link in links] == [
        "https://app.test/privacy",
        "https://app.test/terms",
    ]
    assert all("noopener" in link["rel"] for link in links)


@pytest.mark.proves("C40")
def test_it_says_that_access_outlives_the_session() -> None:
    house = House(refresh_lifetime=90 * 86_400)
    page = ask(house, scope="openid offline_access")
    assert "up to 90 days, also while you are not signed in" in page.text
    assert "Keep its access while you are away offline_access" in page.text


@pytest.mark.proves("C40")
def test_claims_that_are_asked_for_one_by_one_are_shown() -> None:
    house = House(scopes=("openid", "email", "phone"))
    claims = '{"userinfo": {"email": null, "phone_number": null}, "id_token": {"name": null}}'
    page = ask(house, scope="openid email", claims=claims)
    assert "See these details about you: phone_number" in page.text
    assert "phone_number name" not in page.text  # it may not have that


@pytest.mark.proves("C40")
@pytest.mark.parametrize(
    "uri, shown",
    [
        ("http://127.0.0.1/cb", "an app on this device (127.0.0.1)"),
        ("com.example.app:/cb", "an app on this device (com.example.app)"),
        ("https://other.test:8443/cb", "goes to other.test:8443"),
    ],
)
def test_it_says_where_the_answer_goes(house: House, uri: str, shown: str) -> None:
    house.add_client("native", "none", redirect_uris=(uri,), application_type="native")
    page = ask(house, client_id="native", redirect_uri=uri)
    assert shown in page.text


@pytest.mark.proves("C40")
def test_it_is_asked_once_and_again_for_more(house: House) -> None:
    house.sign_in_for_app(scope="openid")
    assert house.arrive(scope="openid").answer["code"]
    assert house.arrive(scope="openid email").has_button("allow")
    assert house.arrive(scope="openid", prompt="consent").has_button("allow")
    house.sign_in_for_app(scope="openid email")
    assert house.arrive(scope="openid email").answer["code"]


def test_an_app_of_the_house_asks_nothing() -> None:
    house = House(first_party=True)
    assert house.enter(house.arrive()).answer["code"]


@pytest.mark.proves("C27")
@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_no_is_told_to_the_client(house: House, mode: str) -> None:
    page = house.hong.press(ask(house, response_mode=mode), "deny")
    assert page.answer["error"] == "access_denied"
    assert page.answer["state"] == "xyz"
    assert page.answer["iss"] == house.issuer.url
    assert "code" not in page.answer
    if mode == "query":
        assert page.location is not None
        assert page.location.startswith(CALLBACK)
    assert house.arrive().has_button("allow")


def test_somebody_else_may_sign_in_instead(house: House) -> None:
    house.add_user("kim")
    page = house.hong.press(ask(house), "switch")
    assert page.has_button("sign_in")
    page = house.enter(page, "kim")
    assert "Signed in as kim." in page.text
    house.hong.press(page, "allow")
    assert house.find_session_of(house.hong).account_id == "account-kim"


@pytest.mark.proves("C44")
def test_a_yes_counts_for_the_person_who_was_asked(house: House) -> None:
    """The page was shown to one; by the time it is pressed another is signed in here."""
    house.add_user("kim")
    page = ask(house)
    house.hong.press(house.hong.open("/account"), "sign_out")
    house.hong.press(house.hong.open("/account"), "sign_in", username="kim", password=PASSWORD)
    again = house.hong.press(page, "allow")
    assert again.has_button("allow")
    assert "Signed in as kim." in again.text
