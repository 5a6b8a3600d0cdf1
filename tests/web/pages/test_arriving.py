"""What becomes of an authorization request, as the browser that brings it sees it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from dojang.oauth.pkce import build_challenge
from tests.server.front_door import basic_of, post, read
from tests.server.people.world import CALLBACK, VERIFIER
from tests.web.pages.hostile import HOSTILE, LOOPBACK, PRIVATE, REGISTERED, WEB
from tests.web.pages.house import House
from tests.web.pages.visitor import FORM, Page, Visitor


def build_query(*pairs: tuple[str, str]) -> str:
    return "/authorize?" + urlencode(pairs)


def is_refusal(page: Page) -> bool:
    """An error page that sends nobody anywhere."""
    return (
        page.status == 400
        and page.location is None
        and page.find("error") is not None
        and not page.forms
        and not page.list_tags("a")
        and not page.list_tags("script")
    )


@pytest.fixture(scope="module")
def native() -> House:
    """A client with a redirect URI of each kind."""
    house = House()
    house.add_client(
        "native", "none", redirect_uris=REGISTERED, application_type="native", resources={}
    )
    return house


@pytest.mark.proves("C23", "C24")
def test_no_hostile_redirect_uri_is_redirected_to(native: House) -> None:
    assert len(HOSTILE) >= 200
    assert not set(HOSTILE) & set(REGISTERED)
    visitor = Visitor(native.issuer)
    for uri in HOSTILE:
        for more in ({}, {"prompt": "none"}, {"response_mode": "form_post", "prompt": "none"}):
            target = native.build_target(client_id="native", redirect_uri=uri, **more)
            page = visitor.send("GET", target)
            assert is_refusal(page), uri
            assert "invalid redirect_uri" in page.text, uri
            assert "evil" not in page.html


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "uri", [WEB, LOOPBACK, PRIVATE, "http://127.0.0.1:1/native", "http://127.0.0.1:61234/native"]
)
def test_a_registered_redirect_uri_is_used_letter_for_letter(native: House, uri: str) -> None:
    target = native.build_target(client_id="native", redirect_uri=uri, prompt="none")
    page = Visitor(native.issuer).send("GET", target)
    assert page.status == 303
    assert page.location is not None
    assert page.location.startswith(uri + "?error=login_required&")


@pytest.mark.proves("C24")
@pytest.mark.parametrize(
    "client_id", [None, "nobody", "APP", "app ", "app\x00", "앱", "../app", "machine", "off"]
)
def test_an_unknown_client_gets_a_page(house: House, client_id: str | None) -> None:
    house.issuer.add_client("machine", {})
    house.add_client("off")
    house.issuer.disable_client("off")
    for more in ({}, {"prompt": "none"}):
        page = house.hong.open(house.build_target(client_id=client_id, **more))
        assert is_refusal(page)
        assert "invalid client_id" in page.text


@pytest.mark.proves("C24")
def test_the_page_says_in_the_persons_language_what_to_do(house: House) -> None:
    page = house.arrive(redirect_uri="https://evil.test/")
    assert "Go back to the app and start again" in page.text
    korean = Visitor(house.issuer, (b"accept-language", b"ko-KR,ko;q=0.9,en;q=0.8"))
    page = house.arrive(korean, redirect_uri="https://evil.test/")
    assert "앱으로 돌아가 다시 시작하고" in page.text
    assert "invalid redirect_uri" in page.text
    assert page.list_tags("html") == [{"lang": "ko"}]


@pytest.mark.proves("C32")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "unheard_of"])
def test_a_repeated_parameter_gets_a_page(house: House, name: str) -> None:
    pairs = [*house.build_request(unheard_of="1", prompt="none").items()]
    pairs.append((name, dict(pairs)[name]))
    page = house.hong.open(build_query(*pairs))
    assert is_refusal(page)
    assert "stands more than once" in page.text
    posted = house.hong.send("POST", "/authorize", urlencode(pairs).encode(), FORM)
    assert is_refusal(posted)


@pytest.mark.proves("C32")
def test_a_parameter_in_address_and_form_is_repeated(house: House) -> None:
    fields = house.build_request(prompt="none")
    page = house.hong.post("/authorize?state=other", fields)
    assert is_refusal(page)


@pytest.mark.proves("C33")
def test_unknown_parameters_change_nothing(house: House) -> None:
    unknown = {"unheard_of": "<x>", "audience": "https://evil.test", "display": "popup", "hd": "x"}
    page = house.arrive(**unknown)
    assert page.has_button("sign_in")
    assert "<x>" not in page.html
    answer = house.sign_in_for_app(**unknown).answer
    assert set(answer) == {"code", "state", "iss"}


@pytest.mark.proves("C27")
@pytest.mark.parametrize(
    "parameters, error",
    [
        ({"prompt": "none"}, "login_required"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid phone"}, "invalid_scope"),
        ({"resource": "https://payments.test"}, "invalid_target"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"id_token_hint": "x.y.z", "prompt": "none"}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_an_error_goes_to_the_client_with_state_and_issuer(
    house: House, parameters: dict[str, str | None], error: str, mode: str
) -> None:
    page = house.arrive(**{"response_mode": mode, **parameters})
    assert (page.status, page.location is None) == (
        (303, False) if mode == "query" else (200, True)
    )
    assert page.answer["error"] == error
    assert page.answer["state"] == "xyz"
    assert page.answer["iss"] == house.issuer.url
    if mode == "form_post":
        assert page.forms[0].action == CALLBACK


@pytest.mark.proves("C27")
def test_a_code_comes_with_state_and_issuer(house: House) -> None:
    answer = house.sign_in_for_app().answer
    assert answer["code"].startswith("dojang_ac_")
    assert (answer["state"], answer["iss"]) == ("xyz", house.issuer.url)


@pytest.mark.proves("C27")
def test_form_post_works_without_scripts(house: House) -> None:
    page = house.sign_in_for_app(response_mode="form_post")
    (form,) = page.forms
    assert (form.method, form.action, len(form.buttons)) == ("post", CALLBACK, 1)
    assert set(form.fields) == {"code", "state", "iss"}
    assert "https:" in page.policy["form-action"]
    (source,) = page.policy["script-src"]
    assert source.startswith("'sha256-")
    assert house.redeem(form.fields["code"]).status == 200


@pytest.mark.proves("C39")
@pytest.mark.parametrize("uri", ["https://evil.test/request.jwt", "http://169.254.169.254/", "x"])
def test_a_request_object_is_never_fetched(house: House, uri: str) -> None:
    page = house.arrive(request_uri=uri)
    assert page.answer["error"] == "request_uri_not_supported"


def test_a_posted_request_comes_again_by_itself(house: House) -> None:
    """A form of another site brings no cookies (SameSite=Lax); the redirect does."""
    house.sign_in_for_app()
    cookies = dict(house.hong.cookies)
    fields = urlencode(house.build_request()).encode()
    page = house.hong.send("POST", "/authorize", fields, FORM, cookies=False)
    assert page.status == 303
    assert not page.set_cookies
    assert page.location is not None
    assert house.hong.open(page.location).answer["code"]
    assert house.hong.cookies == cookies


def test_a_posted_request_too_long_for_an_address_is_taken_as_it_is(house: House) -> None:
    page = house.hong.post("/authorize", house.build_request(nonce="n" * 7500))
    assert page.has_button("sign_in")
    again = house.enter(page)
    assert house.hong.press(again, "allow").answer["code"]


@pytest.mark.proves("C37")
def test_a_pushed_request_leads_through_the_same_pages(house: House) -> None:
    fields = {**house.build_request(), "client_id": "app"}
    pushed = post(house.issuer, "/par", fields, basic_of(house.issuer, "app"))
    brought = {"client_id": "app", "request_uri": read(pushed)["request_uri"]}
    page = house.enter(house.hong.open("/authorize?" + urlencode(brought)))
    assert house.hong.press(page, "allow").answer["state"] == "xyz"
    again = house.hong.open("/authorize?" + urlencode(brought))
    assert is_refusal(again)
    assert "invalid request_uri" in again.text


def test_a_form_of_another_type_is_refused(house: House) -> None:
    body = urlencode(house.build_request()).encode()
    page = house.hong.send("POST", "/authorize", body, (b"content-type", b"text/plain"))
    assert is_refusal(page)


def test_pkce_binds_the_code_to_the_request(house: House) -> None:
    other = build_challenge("w" * 50)
    answer = house.sign_in_for_app(code_challenge=other).answer
    assert house.redeem(answer["code"]).status == 400
    assert (
        house.redeem(house.sign_in_for_app().answer["code"], code_verifier=VERIFIER).status == 200
    )
