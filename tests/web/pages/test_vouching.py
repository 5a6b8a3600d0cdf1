"""People who sign in on a page of the application that the server is part of."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dojang.server.accounts import Profile, Proven
from dojang.server.vouching import LIFETIME, NotOurAddress, vouch
from tests.server.front_door import read
from tests.server.people.world import read_claims
from tests.web.pages.house import House
from tests.web.pages.visitor import Page, Visitor

PAGE = "/sign-in"


class Users:
    """An application's users: they have ids of its own making."""

    async def authenticate(self, username: str, password: str, *, network: str) -> Proven | None:
        raise AssertionError("the application has a page of its own")

    async def find_profile(self, account_id: str) -> Profile | None:
        return Profile(account_id=account_id, claims={"preferred_username": f"user {account_id}"})


@pytest.fixture
def shop(house: House) -> House:
    house.issuer.provider.accounts = Users()
    house.issuer.provider.sign_in_page = PAGE
    return house


def read_address(page: Page) -> dict[str, str]:
    """What the application's sign-in page is opened with."""
    assert page.status == 303
    assert page.location is not None
    parts = urlsplit(page.location)
    assert (parts.netloc, parts.path) == ("", PAGE)
    return dict(parse_qsl(parts.query, strict_parsing=True))


def confirm(shop: House, asked: dict[str, str], account_id: str = "7", **settings: Any) -> str:
    """Where the application sends the browser."""
    wanted: dict[str, Any] = {"amr": ("pwd",), "acr": None, "auth_time": None, **settings}
    address = vouch(shop.issuer.provider, asked["return_to"], account_id, **wanted)
    return address.removeprefix(shop.issuer.url)


def sign_in(shop: House, visitor: Visitor | None = None, **parameters: str | None) -> Page:
    """All the way to the client, or to what hinders."""
    visitor = visitor or shop.hong
    page = visitor.open(confirm(shop, read_address(shop.arrive(visitor, **parameters))))
    return visitor.press(page, "allow") if page.has_button("allow") else page


def test_the_application_says_who_it_is(shop: House) -> None:
    claims = read_claims(read(shop.redeem(sign_in(shop).answer["code"]))["id_token"])
    assert claims["sub"] == "7"
    assert claims["amr"] == ["pwd"]
    assert "acr" not in claims


@pytest.mark.proves("C108")
@pytest.mark.parametrize("own", [True, False], ids=["the client", "another client"])
def test_nobody_goes_by_the_name_of_a_client(shop: House, own: bool) -> None:
    """RFC 9700 §4.15: an application may let people choose their ids. A token about `billing` would
    be one with which the client `billing` acts for itself."""
    shop.issuer.add_client("billing", {})
    page = shop.hong.open(confirm(shop, read_address(shop.arrive()), "app" if own else "billing"))
    page = shop.hong.press(page, "allow") if page.has_button("allow") else page
    assert page.answer["error"] == "access_denied"
    assert "code" not in page.answer


@pytest.mark.parametrize(
    "parameters, prompt",
    [({}, None), ({"prompt": "login"}, "login"), ({"max_age": "60"}, "login")],
    ids=["plain", "prompt=login", "max_age"],
)
def test_the_page_learns_what_the_client_asked_for(
    shop: House, parameters: dict[str, str], prompt: str | None
) -> None:
    asked = read_address(shop.arrive(login_hint="hong", ui_locales="ko en", **parameters))
    assert asked.get("prompt") == prompt
    assert asked["login_hint"] == "hong"
    assert asked["ui_locales"] == "ko en"


@pytest.mark.proves("C41")
def test_a_ticket_is_good_once(shop: House) -> None:
    address = confirm(shop, read_address(shop.arrive()))
    assert shop.hong.open(address).has_button("allow")
    again = shop.hong.open(address)
    assert again.status == 400
    assert again.find("error") is not None


@pytest.mark.proves("C41")
def test_a_ticket_is_good_for_a_minute(shop: House) -> None:
    address = confirm(shop, read_address(shop.arrive()))
    shop.pass_time(LIFETIME)
    assert shop.hong.open(address).status == 400


@pytest.mark.proves("C44")
def test_a_ticket_is_good_in_the_browser_that_was_sent(shop: House) -> None:
    """Somebody who has another person's browser sent through the page gains nothing by it."""
    thief = Visitor(shop.issuer)
    victim = confirm(shop, read_address(shop.arrive(thief)))
    page = shop.hong.open(victim)
    assert page.status == 400
    assert not shop.hong.cookies.get("__Host-dojang-session")
    assert thief.open(victim).status == 400  # it is spent, should they read it in the victim's
    asked = read_address(thief.open(f"/interaction/{urlsplit(victim).path.rpartition('/')[2]}"))
    assert asked["return_to"].endswith(urlsplit(victim).path)


@pytest.mark.proves("C44")
def test_a_ticket_is_good_for_the_request_that_it_was_made_for(shop: House) -> None:
    first, second = (read_address(shop.arrive(state=state)) for state in "ab")
    ticket = confirm(shop, first).partition("?")[2]
    path = urlsplit(second["return_to"]).path
    assert shop.hong.open(f"{path}?{ticket}").status == 400


@pytest.mark.proves("C41")
@pytest.mark.parametrize("change", [lambda text: text[:-4], lambda text: text + "AAAA"])
def test_a_ticket_is_the_servers(shop: House, change: Any) -> None:
    address, sign, ticket = confirm(shop, read_address(shop.arrive())).partition("ticket=")
    assert shop.hong.open(address + sign + change(ticket)).status == 400


@pytest.mark.proves("C41")
def test_a_ticket_opens_the_account_page_of_its_own_browser_alone(shop: House) -> None:
    address = confirm(shop, read_address(shop.hong.open("/account")))
    assert shop.hong.open(address).has_button("sign_out_everywhere")
    address = confirm(shop, read_address(Visitor(shop.issuer).open("/account")))
    assert shop.hong.open(address).status == 403


@pytest.mark.proves("C44")
def test_a_ticket_for_the_account_page_is_spent_in_any_browser(shop: House) -> None:
    thief = Visitor(shop.issuer)
    address = confirm(shop, read_address(thief.open("/account")))
    assert shop.hong.open(address).status == 403
    assert thief.open(address).status == 400


@pytest.mark.proves("C39")
@pytest.mark.parametrize("parameters", [{"prompt": "login"}, {"max_age": "60"}])
def test_a_page_that_did_not_ask_anew_is_found_out(shop: House, parameters: dict[str, str]) -> None:
    sign_in(shop)
    shop.pass_time(100)
    asked = read_address(shop.arrive(**parameters))
    stale = shop.hong.open(confirm(shop, asked, auth_time=shop.now - 90))
    assert stale.answer["error"] == "login_required"
    asked = read_address(shop.arrive(**parameters))
    assert "code" in shop.hong.open(confirm(shop, asked)).answer


def test_an_earlier_sign_in_is_told_as_what_it_is(shop: House) -> None:
    asked = read_address(shop.arrive())
    page = shop.hong.open(confirm(shop, asked, auth_time=shop.now - 500))
    shop.hong.press(page, "allow")
    assert shop.find_session_of(shop.hong).auth_time == shop.now - 500


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.test/interaction/abc",
        "{issuer}/interaction/abc?x=1",
        "{issuer}/interaction/../token",
        "{issuer}/account",
        "{issuer}/account?form_key=a&x=1",
        "{issuer}.evil.test/interaction/abc",
        "/interaction/abc",
        "",
    ],
)
def test_browsers_are_sent_to_this_server_alone(shop: House, return_to: str) -> None:
    with pytest.raises(NotOurAddress):
        confirm(shop, {"return_to": return_to.format(issuer=shop.issuer.url)})


@pytest.mark.parametrize("account_id", ["", "a b", "a\n", "x" * 256])
def test_an_account_has_an_id(shop: House, account_id: str) -> None:
    asked = read_address(shop.arrive())
    with pytest.raises(ValueError, match="an account's id"):
        confirm(shop, asked, account_id)


def test_another_person_may_take_the_turn(shop: House) -> None:
    page = shop.hong.open(confirm(shop, read_address(shop.arrive())))
    asked = read_address(shop.hong.press(page, "switch"))
    assert asked["prompt"] == "login"
    page = shop.hong.open(confirm(shop, asked, "8"))
    assert "user 8" in page.text


def test_who_signs_out_is_not_signed_in_again_at_once(shop: House) -> None:
    shop.hong.open(confirm(shop, read_address(shop.hong.open("/account"))))
    page = shop.hong.press(shop.hong.open("/account"), "sign_out")
    assert page.status == 200
    assert not page.has_button("sign_in")
