"""The Basic OP plan, and once more with form_post: the Form Post Basic OP plan."""

from __future__ import annotations

import json
import math
from collections import Counter
from urllib.parse import urlsplit

import pytest

from dojang.jose import base64url
from dojang.oauth.pkce import build_challenge
from tests.conformance.conditions import (
    check_authorization_error,
    check_json,
    check_nothing_unasked,
    check_person,
    check_scopes,
    check_token_error,
    check_token_response,
)
from tests.conformance.conftest import Begin
from tests.conformance.robot import Arrival
from tests.conformance.suite import CALLBACK, SignedIn, Suite
from tests.server.front_door import FORM, bearer, decode_jwt, read

VERIFIER = "w" * 64


def ask_person(suite: Suite, signed_in: SignedIn) -> dict[str, object]:
    """The userinfo endpoint, as every module asks it."""
    response = suite.ask_userinfo(signed_in.access_token)
    assert response.status == 200
    check_json(response)
    claims = read(response)
    check_person(claims)
    assert claims["sub"] == signed_in.claims["sub"]
    return claims


@pytest.mark.proves("A2", "C27", "C30")
def test_oidcc_server(either_way: Begin) -> None:
    suite = either_way("oidcc-server")
    signed_in = suite.sign_in()
    assert len(signed_in.code) >= 16
    frequencies = Counter(signed_in.code).values()
    entropy = -sum(n * math.log2(n / len(signed_in.code)) for n in frequencies)
    assert entropy >= 96
    check_nothing_unasked(signed_in.tokens["id_token"])
    ask_person(suite, signed_in)


def test_oidcc_response_type_missing(either_way: Begin) -> None:
    suite = either_way("oidcc-response-type-missing")
    answer = suite.take_answer(suite.build_request(response_type=None))
    check_authorization_error(answer, "invalid_request", "unsupported_response_type")


def test_oidcc_idtoken_signature(either_way: Begin) -> None:
    suite = either_way("oidcc-idtoken-signature")
    header, _ = decode_jwt(suite.sign_in().tokens["id_token"])
    assert header["alg"] == "RS256"
    assert header["kid"]


def test_oidcc_idtoken_unsigned(begin: Begin) -> None:
    """Skipped, as a server may that does not offer it."""
    suite = begin("oidcc-idtoken-unsigned")
    assert "none" not in suite.metadata["id_token_signing_alg_values_supported"]


def test_oidcc_userinfo_get(either_way: Begin) -> None:
    suite = either_way("oidcc-userinfo-get")
    assert ask_person(suite, suite.sign_in())


def test_oidcc_userinfo_post_header(either_way: Begin) -> None:
    suite = either_way("oidcc-userinfo-post-header")
    signed_in = suite.sign_in()
    path, shown = urlsplit(suite.userinfo_endpoint).path, bearer(signed_in.access_token)
    for headers in ((shown,), (shown, FORM)):
        response = suite.server.transport.answer("POST", path, headers, b"")
        assert response.status == 200
        assert read(response)["sub"] == signed_in.claims["sub"]


def test_oidcc_userinfo_post_body(either_way: Begin) -> None:
    suite = either_way("oidcc-userinfo-post-body")
    signed_in = suite.sign_in()
    form = {"access_token": signed_in.access_token}
    response = suite.post(suite.userinfo_endpoint, form)
    assert response.status == 200
    assert read(response)["sub"] == signed_in.claims["sub"]


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(either_way: Begin) -> None:
    suite = either_way("oidcc-ensure-request-without-nonce-succeeds-for-code-flow")
    assert "nonce" not in suite.sign_in({"nonce": None}).claims


@pytest.mark.parametrize(
    "module, scope",
    [
        ("oidcc-scope-profile", "openid profile"),
        ("oidcc-scope-email", "openid email"),
        ("oidcc-scope-address", "openid address"),
        ("oidcc-scope-phone", "openid phone"),
        ("oidcc-scope-all", "openid address email phone profile"),
    ],
)
def test_oidcc_scope(either_way: Begin, module: str, scope: str) -> None:
    suite = either_way(module)
    assert set(scope.split()) <= set(suite.metadata["scopes_supported"])
    signed_in = suite.sign_in({"scope": scope})
    check_scopes(ask_person(suite, signed_in), scope)
    check_nothing_unasked(signed_in.tokens["id_token"])


def test_oidcc_alternate_happy_flow(either_way: Begin) -> None:
    suite = either_way("oidcc-alternate-happy-flow")
    request = suite.build_request(scope="email openid")
    code = suite.get_code(dict(reversed(request.items())))
    tokens = check_token_response(suite.redeem(code))
    claims = suite.check_id_token(tokens, nonce=request["nonce"])
    check_scopes(ask_person(suite, SignedIn(request, code, tokens, claims)), "openid email")


@pytest.mark.proves("C33")
@pytest.mark.parametrize(
    "module, parameters",
    [
        ("oidcc-display-page", {"display": "page"}),
        ("oidcc-display-popup", {"display": "popup"}),
        ("oidcc-ensure-request-with-unknown-parameter-succeeds", {"extra": "foobar"}),
        ("oidcc-ui-locales", {"ui_locales": "se"}),
        ("oidcc-claims-locales", {"claims_locales": "se"}),
    ],
)
def test_parameters_that_change_nothing(
    either_way: Begin, module: str, parameters: dict[str, str]
) -> None:
    suite = either_way(module)
    ask_person(suite, suite.sign_in(parameters))


@pytest.mark.proves("C35")
def test_oidcc_prompt_login(either_way: Begin) -> None:
    suite = either_way("oidcc-prompt-login")
    first = suite.sign_in()
    suite.server.wait(1)
    suite.robot.asked.clear()
    second = suite.sign_in({"prompt": "login"})
    assert suite.robot.asked == ["sign_in"]
    assert suite.robot.seen == ["Sign in", "Sign in"]
    assert second.claims["auth_time"] > first.claims["auth_time"]


@pytest.mark.proves("C34")
def test_oidcc_prompt_none_not_logged_in(either_way: Begin) -> None:
    suite = either_way("oidcc-prompt-none-not-logged-in")
    answer = suite.take_answer(suite.build_request(prompt="none", state="s" * 128))
    check_authorization_error(answer, "login_required", "interaction_required")
    assert suite.robot.asked == []


def sign_in_twice(suite: Suite, first: dict[str, str], second: dict[str, str]) -> None:
    """The second time nobody is asked, and it is the sign-in of before."""
    before = suite.sign_in(first)
    suite.server.wait(1)
    suite.robot.asked.clear()
    if "id_token_hint" in second:
        second = {**second, "id_token_hint": before.tokens["id_token"]}
    after = suite.sign_in(second)
    assert suite.robot.asked == []
    for name in ("sub", "auth_time"):
        assert after.claims[name] == before.claims[name]


def test_oidcc_prompt_none_logged_in(either_way: Begin) -> None:
    sign_in_twice(either_way("oidcc-prompt-none-logged-in"), {}, {"prompt": "none"})


def test_oidcc_max_age_10000(either_way: Begin) -> None:
    suite = either_way("oidcc-max-age-10000")
    sign_in_twice(suite, {"max_age": "15000"}, {"max_age": "10000"})


def test_oidcc_id_token_hint(either_way: Begin) -> None:
    suite = either_way("oidcc-id-token-hint")
    sign_in_twice(suite, {}, {"prompt": "none", "id_token_hint": ""})


@pytest.mark.proves("C35")
def test_oidcc_max_age_1(either_way: Begin) -> None:
    suite = either_way("oidcc-max-age-1")
    first = suite.sign_in()
    suite.server.wait(2)
    suite.robot.asked.clear()
    second = suite.sign_in({"max_age": "1"})
    assert suite.robot.asked == ["sign_in"]
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert suite.server.now - second.claims["auth_time"] <= 1


def test_oidcc_login_hint(either_way: Begin) -> None:
    suite = either_way("oidcc-login-hint")
    hint = suite.config["server"]["login_hint"]
    suite.sign_in({"login_hint": hint})
    stranger = either_way("oidcc-login-hint")
    stranger.sign_in({"login_hint": "somebody-else@auth.example"})  # a hint decides nothing


def test_oidcc_ensure_request_with_acr_values_succeeds(either_way: Begin) -> None:
    suite = either_way("oidcc-ensure-request-with-acr-values-succeeds")
    known = suite.metadata["acr_values_supported"]
    assert suite.sign_in({"acr_values": " ".join(known)}).claims["acr"] in known
    suite.sign_in({"acr_values": "1 2"})


@pytest.mark.proves("C31")
def test_oidcc_codereuse(either_way: Begin) -> None:
    suite = either_way("oidcc-codereuse")
    signed_in = suite.sign_in()
    check_token_error(suite.redeem(signed_in.code), "invalid_grant")


@pytest.mark.proves("C31")
def test_oidcc_codereuse_30seconds(either_way: Begin) -> None:
    suite = either_way("oidcc-codereuse-30seconds")
    signed_in = suite.sign_in()
    suite.server.wait(30)
    check_token_error(suite.redeem(signed_in.code), "invalid_grant")
    response = suite.ask_userinfo(signed_in.access_token)
    assert response.status == 401
    assert read(response)["error"] == "invalid_token"


@pytest.mark.proves("C23", "C24")
def test_oidcc_ensure_registered_redirect_uri(either_way: Begin) -> None:
    suite = either_way("oidcc-ensure-registered-redirect-uri")
    request = suite.build_request(redirect_uri=f"{CALLBACK}/LcGZcTQ7vY")
    assert suite.visit(request) is None
    assert suite.robot.seen == ["invalid redirect_uri"]


def test_oidcc_ensure_post_request_succeeds(either_way: Begin) -> None:
    suite = either_way("oidcc-ensure-post-request-succeeds")
    ask_person(suite, suite.sign_in(method="POST"))


def test_oidcc_server_client_secret_post(either_way: Begin) -> None:
    suite = either_way("oidcc-server-client-secret-post")
    assert "client_secret_post" in suite.metadata["token_endpoint_auth_methods_supported"]
    suite.client = suite.config["client_secret_post"]
    ask_person(suite, suite.sign_in(in_body=True))


def build_unsigned(request: dict[str, str]) -> str:
    """A request object that nobody signed."""
    parts = ({"alg": "none"}, request)
    return ".".join(base64url.encode(json.dumps(part).encode()) for part in parts) + "."


@pytest.mark.proves("C39")
def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    either_way: Begin,
) -> None:
    suite = either_way("oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported")
    assert suite.metadata["request_uri_parameter_supported"] is False
    request = suite.build_request(request_uri=f"{CALLBACK}/requesturi/1#2")
    answer = suite.take_answer(request)
    check_authorization_error(answer, "request_uri_not_supported")


def send_unsigned(suite: Suite, **beside: str) -> Arrival | None:
    """The plain request as an object, and beside it what OAuth wants there (Core §6.1)."""
    request = suite.build_request()
    needed = ("client_id", "redirect_uri", "response_type", "scope")
    asked = {name: request[name] for name in needed}
    return suite.visit(asked | beside | {"request": build_unsigned(request)}, alone=True)


@pytest.mark.proves("C38")
def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    begin: Begin,
) -> None:
    """Skipped, because no list has `none`. What was sent nevertheless is refused."""
    suite = begin("oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported")
    assert suite.metadata["request_parameter_supported"] is True
    assert "RS256" in suite.metadata["request_object_signing_alg_values_supported"]
    assert "none" not in suite.metadata["request_object_signing_alg_values_supported"]
    arrival = send_unsigned(suite)
    assert arrival is not None
    assert arrival.query["error"] == "invalid_request_object"
    assert "state" not in arrival.query  # nobody said it outside


@pytest.mark.proves("C24", "C38")
def test_oidcc_ensure_request_object_with_redirect_uri(begin: Begin) -> None:
    """Skipped likewise."""
    suite = begin("oidcc-ensure-request-object-with-redirect-uri")
    assert send_unsigned(suite, redirect_uri=f"{CALLBACK}/another") is None
    assert suite.robot.page is not None
    assert suite.robot.page.find("error")


def test_oidcc_claims_essential(either_way: Begin) -> None:
    suite = either_way("oidcc-claims-essential")
    assert suite.metadata["claims_parameter_supported"] is True
    signed_in = suite.sign_in({"claims": '{"userinfo":{"name":{"essential":true}}}'})
    assert ask_person(suite, signed_in)["name"] == "Buffy Summers"
    assert "name" not in signed_in.claims


def refresh(suite: Suite, *, named: bool) -> str:
    """A refresh token that is used, with the scope named or not; the one after it."""
    scope = "openid offline_access"
    first = suite.sign_in({"scope": scope, "prompt": "consent", "nonce": "n" * 39 + "-._~"})
    assert len(first.tokens["refresh_token"]) >= 16
    suite.server.wait(1)
    form = {"grant_type": "refresh_token", "refresh_token": first.tokens["refresh_token"]}
    tokens = check_token_response(suite.ask_tokens(form | ({"scope": scope} if named else {})))
    assert tokens["access_token"] != first.access_token
    claims = suite.check_id_token(tokens, nonce=None)
    for name in ("iss", "sub", "aud", "auth_time"):
        assert claims[name] == first.claims[name], name
    assert claims["iat"] > first.claims["iat"]
    assert "azp" not in claims
    assert suite.ask_userinfo(tokens["access_token"]).status == 200
    successor: str = tokens["refresh_token"]
    return successor


@pytest.mark.proves("C57", "C64")
def test_oidcc_refresh_token(either_way: Begin) -> None:
    suite = either_way("oidcc-refresh-token")
    assert "refresh_token" in suite.metadata["grant_types_supported"]
    refresh(suite, named=True)
    suite.client = suite.config["client2"]
    of_another = refresh(suite, named=False)
    suite.client = suite.config["client"]
    form = {"grant_type": "refresh_token", "refresh_token": of_another}
    check_token_error(suite.ask_tokens(form | {"scope": "openid"}), "invalid_grant")


def test_oidcc_ensure_request_with_valid_pkce_succeeds(either_way: Begin) -> None:
    suite = either_way("oidcc-ensure-request-with-valid-pkce-succeeds")
    assert suite.metadata["code_challenge_methods_supported"] == ["S256"]
    signed_in = suite.sign_in(
        {"code_challenge": build_challenge(VERIFIER), "code_challenge_method": "S256"},
        verifier=VERIFIER,
    )
    ask_person(suite, signed_in)
