"""A client has a person signed out (OpenID Connect RP-Initiated Logout 1.0; C103)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from dojang.jose import base64url
from dojang.server.administration import OperationRefused
from dojang.server.people import Session
from dojang.testing.inline import run
from tests.server.people.world import CALLBACK, PASSWORD, read_claims
from tests.web.pages.house import AFTER, House
from tests.web.pages.visitor import FORM, Page, Visitor

pytestmark = pytest.mark.proves("C103")

SESSION = "__Host-dojang-session"


def build_target(**parameters: str) -> str:
    return "/logout?" + urlencode(parameters)


def is_signed_in(house: House, visitor: Visitor | None = None) -> bool:
    return (visitor or house.hong).copy().open("/account").has_button("sign_out")


def is_question(page: Page) -> bool:
    return page.status == 200 and "Sign out?" in page.text and len(page.forms) == 1


def is_refusal(page: Page, phrase: str) -> bool:
    return page.status == 400 and page.location is None and phrase in page.text


def tamper(token: str) -> str:
    header, payload, signature = token.split(".")
    spoilt = bytes(byte ^ 1 for byte in base64url.decode(signature)[:8])
    return f"{header}.{payload}.{base64url.encode(spoilt + base64url.decode(signature)[8:])}"


def test_the_clients_own_id_token_signs_out_at_once(house: House) -> None:
    tokens = house.take_tokens(scope="openid orders:read")
    page = house.hong.open(
        build_target(
            id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="a b&c"
        )
    )
    assert page.status == 303
    assert page.location is not None
    assert page.location.startswith(AFTER + "?")
    assert dict(parse_qsl(urlsplit(page.location).query)) == {"state": "a b&c"}
    assert SESSION not in house.hong.cookies
    assert house.introspect(tokens["access_token"]) == {"active": False}
    assert not is_signed_in(house)


def test_without_a_state_the_address_is_used_as_it_is(house: House) -> None:
    hint = house.take_tokens()["id_token"]
    page = house.hong.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert page.location == AFTER


def test_an_expired_id_token_will_do(house: House) -> None:
    hint = house.take_tokens()["id_token"]
    house.pass_time(86_400)
    page = house.hong.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert page.location == AFTER


def test_without_an_address_a_page_says_that_it_is_done(house: House) -> None:
    page = house.hong.open(build_target(id_token_hint=house.take_tokens()["id_token"], state="x"))
    assert page.status == 200
    assert "You are signed out in this browser." in page.text
    assert not is_signed_in(house)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"state": "x"},
        {"client_id": "app"},
        {"client_id": "app", "post_logout_redirect_uri": AFTER, "state": "x"},
        {"post_logout_redirect_uri": AFTER, "state": "x"},
    ],
)
def test_without_a_hint_the_person_is_asked(house: House, parameters: dict[str, str]) -> None:
    house.sign_in_for_app()
    page = house.hong.open(build_target(**parameters))
    assert is_question(page)
    assert is_signed_in(house)
    assert ("app asks to sign you out" in page.text) is ("client_id" in parameters)
    done = house.hong.post("/logout", page.forms[0].fields)
    if {"client_id", "post_logout_redirect_uri"} <= parameters.keys():
        assert done.location == AFTER + "?state=x"
    else:  # nobody vouches for the address
        assert done.location is None
        assert "You are signed out in this browser." in done.text
    assert not is_signed_in(house)


def test_the_id_token_of_somebody_else_has_the_person_asked(house: House) -> None:
    house.add_user("kim")
    hint = house.take_tokens()["id_token"]
    kim = Visitor(house.issuer)
    kim.press(kim.open("/account"), "sign_in", username="kim", password=PASSWORD)
    page = kim.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert is_question(page)
    assert is_signed_in(house, kim)


def test_the_id_token_of_another_session_has_the_person_asked(house: House) -> None:
    hint = house.take_tokens(Visitor(house.issuer))["id_token"]
    house.sign_in_for_app()
    page = house.hong.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert is_question(page)
    assert is_signed_in(house)


@pytest.mark.parametrize("spoil", ["tampered", "foreign", "access token", "junk", "none"])
def test_what_is_no_id_token_of_ours_is_refused(house: House, spoil: str) -> None:
    tokens = house.take_tokens()
    hint = {
        "tampered": tamper(tokens["id_token"]),
        "foreign": House().take_tokens()["id_token"],
        "access token": house.issuer.token(scopes=["x"], audience="https://x.test"),
        "junk": "x.y.z",
        "none": "eyJhbGciOiJub25lIn0." + tokens["id_token"].split(".")[1] + ".",
    }[spoil]
    page = house.hong.open(
        build_target(id_token_hint=hint, client_id="app", post_logout_redirect_uri=AFTER)
    )
    assert is_refusal(page, "invalid id_token_hint")
    assert is_signed_in(house)


def test_the_client_must_be_the_one_of_the_hint(house: House) -> None:
    house.add_client("other", post_logout_redirect_uris=("https://other.test/after",))
    hint = house.take_tokens()["id_token"]
    page = house.hong.open(
        build_target(
            id_token_hint=hint,
            client_id="other",
            post_logout_redirect_uri="https://other.test/after",
        )
    )
    assert is_refusal(page, "client_id is not the one of id_token_hint")
    assert is_signed_in(house)


@pytest.mark.parametrize("client_id", ["nobody", "앱", "machine", "../app"])
def test_an_unknown_client_is_refused(house: House, client_id: str) -> None:
    house.issuer.add_client("machine", {})
    house.sign_in_for_app()
    page = house.hong.open(build_target(client_id=client_id, post_logout_redirect_uri=AFTER))
    assert is_refusal(page, "invalid client_id")


@pytest.mark.parametrize(
    "uri",
    [
        *("https://evil.test/", CALLBACK, AFTER + "/", AFTER + "?x=1", AFTER + "#x", AFTER[:-1]),
        *("HTTPS://app.test/after", "https://app.test:443/after", "//app.test/after", "/after"),
        *("javascript:alert(1)", "https://app.test@evil.test/after", "http://app.test/after"),
        *("http://127.0.0.1:1/after", "https://other.test/after", AFTER + " ", AFTER + "\r\nX: y"),
    ],
)
def test_nobody_is_sent_where_the_client_did_not_register(house: House, uri: str) -> None:
    settings = {"post_logout_redirect_uris": ("http://127.0.0.1/after",)}
    house.add_client("native", "none", application_type="native", **settings)
    house.add_client("other", post_logout_redirect_uris=("https://other.test/after",))
    hint = house.take_tokens()["id_token"]
    for given in ({"id_token_hint": hint}, {"client_id": "app"}, {"client_id": "native"}):
        page = house.hong.open(build_target(**given, post_logout_redirect_uri=uri))
        assert is_refusal(page, "invalid post_logout_redirect_uri")
    assert is_signed_in(house)


def test_who_is_signed_out_already_goes_on(house: House) -> None:
    hint = house.take_tokens()["id_token"]
    visitor = Visitor(house.issuer)
    page = visitor.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert page.location == AFTER
    assert is_signed_in(house)
    assert "signed out" in visitor.open("/logout").text


@pytest.mark.proves("C41")
def test_the_question_is_answered_by_the_person_alone(house: House) -> None:
    house.sign_in_for_app()
    page = house.hong.open("/logout")
    fields = page.forms[0].fields
    theirs = Visitor(house.issuer)
    theirs.cookies.update(house.hong.cookies)
    theirs.cookies.pop("__Host-dojang-browser")
    others = theirs.open("/logout").forms[0].fields["form_key"]
    for key in ("x", others):
        assert house.hong.post("/logout", {"form_key": key}).status == 403
    crossing = house.hong.post("/logout", fields, (b"origin", b"https://evil.test"))
    assert crossing.status == 403
    assert is_signed_in(house)
    assert house.hong.post("/logout", fields).status == 200
    assert not is_signed_in(house)


def test_what_the_form_carries_is_checked_again(house: House) -> None:
    house.sign_in_for_app()
    page = house.hong.open(build_target(client_id="app", post_logout_redirect_uri=AFTER))
    edited = {**page.forms[0].fields, "post_logout_redirect_uri": "https://evil.test/"}
    assert is_refusal(house.hong.post("/logout", edited), "invalid post_logout_redirect_uri")


def test_a_posted_request_comes_again_by_itself(house: House) -> None:
    hint = house.take_tokens()["id_token"]
    fields = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "x"}
    page = house.hong.send("POST", "/logout", urlencode(fields).encode(), FORM, cookies=False)
    assert page.status == 303
    assert page.location is not None
    assert house.hong.open(page.location).location == AFTER + "?state=x"
    assert not is_signed_in(house)
    ended = run(house.issuer.provider.store.list_by(Session, "account_id", "account-hong"))
    assert all(session.ended_at is not None for session in ended)


@pytest.mark.proves("C41")
@pytest.mark.parametrize("more", [{}, {"state": "s" * 7500}, {"client_id": "app"}])
def test_a_form_of_another_site_signs_nobody_out(house: House, more: dict[str, str]) -> None:
    """It comes without cookies, so the server sees nobody; the browser must not forget either."""
    house.sign_in_for_app()
    body = urlencode({"post_logout_redirect_uri": AFTER, **more}).encode()
    page = house.hong.send("POST", "/logout", body, FORM, cookies=False)
    assert not any(cookie.startswith(SESSION) for cookie in page.set_cookies)
    assert is_signed_in(house)


@pytest.mark.parametrize("name", ["id_token_hint", "state", "post_logout_redirect_uri"])
def test_a_repeated_parameter_is_refused(house: House, name: str) -> None:
    page = house.hong.open(f"/logout?{name}=x&{name}=x")
    assert is_refusal(page, "stands more than once")


def test_pairwise_names_fit_as_well() -> None:
    house = House(subject_type="pairwise")
    hint = house.take_tokens()["id_token"]
    page = house.hong.open(build_target(id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert page.location == AFTER


def test_the_question_comes_in_the_wished_language(house: House) -> None:
    house.sign_in_for_app()
    page = house.hong.open(build_target(client_id="app", ui_locales="fr ko"))
    assert "로그아웃할까요?" in page.text


FRAMES = "https://app.test/signed-out"


@pytest.fixture
def framed() -> House:
    return House(frontchannel_logout_uri=FRAMES)


def read_frames(page: Page) -> list[str]:
    assert page.policy["frame-src"] == ["https://app.test"]
    frames = page.list_tags("iframe")
    assert {frame["sandbox"] for frame in frames} == {"allow-same-origin allow-scripts"}
    return [frame["src"] for frame in frames]


def test_clients_hear_of_it_in_frames(framed: House) -> None:
    tokens = framed.take_tokens()
    sid = read_claims(tokens["id_token"])["sid"]
    page = framed.hong.open(
        build_target(id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="x")
    )
    assert page.status == 200
    assert read_frames(page) == [f"{FRAMES}?{urlencode({'iss': framed.issuer.url, 'sid': sid})}"]
    onward = page.find("onward")
    assert onward is not None
    assert onward["href"] == f"{AFTER}?state=x"
    assert any(tag.get("content") == f"2; url={AFTER}?state=x" for tag in page.list_tags("meta"))
    assert SESSION not in framed.hong.cookies


def test_nobody_hears_of_a_session_they_were_not_in(framed: House) -> None:
    framed.hong.open("/account")
    page = framed.enter(framed.hong.open("/account"))
    page = framed.hong.press(framed.hong.open("/account"), "sign_out")
    assert page.list_tags("iframe") == []
    assert "frame-src" not in page.policy


@pytest.mark.proves("A4")
@pytest.mark.parametrize("action", ["sign_out", "sign_out_everywhere"])
def test_clients_hear_of_it_from_the_account_page(framed: House, action: str) -> None:
    framed.take_tokens()
    page = framed.hong.press(framed.hong.open("/account"), action)
    assert len(read_frames(page)) == 1
    assert SESSION not in framed.hong.cookies


@pytest.mark.parametrize(
    "uri",
    ["https://evil.test/out", "http://app.test/out", "https://app.test:444/out", "javascript:1"],
)
def test_a_frame_is_of_the_clients_own_origin(uri: str) -> None:
    with pytest.raises(OperationRefused, match="frontchannel_logout_uri"):
        House(frontchannel_logout_uri=uri)
