"""Clients that register themselves: modules of the Dynamic OP plan, and of others with a dynamic
client. The plan as a whole is not for this server; what is refused on purpose is named here."""

from __future__ import annotations

import json
from secrets import token_urlsafe
from typing import Any

import pytest

from dojang.jose import base64url
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet, SigningKey
from dojang.oauth.client_assertion import ASSERTION_TYPE
from dojang.oauth.http import Response
from tests.conformance.conditions import check_authorization_error, check_json, check_token_response
from tests.conformance.conftest import Begin, InProcess
from tests.conformance.guide import SUITE
from tests.conformance.suite import AFTER_LOGOUT, CALLBACK, Suite
from tests.conformance.test_basic import ask_person, refresh
from tests.conformance.test_logout import build_logout, check_return, check_signed_out
from tests.server.front_door import bearer, read

KEY, NEXT_KEY = (SigningKey.generate("RS256", kid=kid) for kid in ("first", "second"))


def try_register(suite: Suite, **changes: Any) -> Response:
    """The suite's plain registration; None leaves a member out."""
    jwk = {name: value for name, value in KEY.public_jwk().items() if name != "kid"}
    wanted = {
        "client_name": "OIDF Conformance Test 4Ux0",
        "grant_types": ["authorization_code"],
        "jwks": {"keys": [jwk]},
        "token_endpoint_auth_method": "client_secret_basic",
        "response_types": ["code"],
        "redirect_uris": [CALLBACK],
        "contacts": ["certification@oidf.org"],
        **changes,
    }
    document = {name: value for name, value in wanted.items() if value is not None}
    return suite.send_json(suite.metadata["registration_endpoint"], document)


def register(suite: Suite, **changes: Any) -> dict[str, Any]:
    """The client, which the suite is from now on (OpenID Connect Registration §3.2)."""
    response = try_register(suite, **changes)
    assert response.status == 201, response.body
    check_json(response)
    client = read(response)
    assert client["registration_client_uri"].startswith("https://")
    assert client["registration_access_token"]
    if "client_secret" in client:
        assert isinstance(client["client_secret_expires_at"], int)
    suite.client = client
    return client


def refuse(suite: Suite, code: str, **changes: Any) -> None:
    response = try_register(suite, **changes)
    assert response.status == 400
    check_json(response)
    assert read(response)["error"] == code


@pytest.mark.proves("A2", "C102")
def test_a_client_registers_signs_somebody_in_and_goes(begin: Begin) -> None:
    """oidcc-server with a dynamic client, and what the suite does after each module."""
    suite = begin("oidcc-server")
    client = register(suite)
    ask_person(suite, suite.sign_in())
    uri, shown = client["registration_client_uri"], bearer(client["registration_access_token"])
    path = uri.removeprefix(suite.server.url)
    assert suite.server.transport.answer("DELETE", path, (shown,), b"").status == 204
    assert suite.server.transport.answer("GET", path, (shown,), b"").status == 401


def test_oidcc_idtoken_rs256(begin: Begin) -> None:
    suite = begin("oidcc-idtoken-rs256")
    register(suite, id_token_signed_response_alg="RS256")
    suite.sign_in()


def test_oidcc_idtoken_unsigned(begin: Begin) -> None:
    refuse(
        begin("oidcc-idtoken-unsigned"), "invalid_client_metadata",
        id_token_signed_response_alg="none",
    )  # fmt: skip


def test_oidcc_userinfo_rs256(begin: Begin) -> None:
    suite = begin("oidcc-userinfo-rs256")
    register(suite, userinfo_signed_response_alg="RS256")
    response = suite.ask_userinfo(suite.sign_in().access_token)
    assert (b"content-type", b"application/jwt") in response.headers
    keys = KeySet.parse(read(suite.get(suite.metadata["jwks_uri"])))
    claims = JwtVerifier(keys, algorithms={"RS256"}, types={"JWT"}).verify(response.body.decode())
    assert claims.claims["iss"] == suite.metadata["issuer"]
    assert claims.claims["aud"] == suite.client["client_id"]
    assert "nonce" not in claims.claims


@pytest.mark.proves("C24")
def test_oidcc_ensure_redirect_uri_in_authorization_request(begin: Begin) -> None:
    suite = begin("oidcc-ensure-redirect-uri-in-authorization-request")
    register(suite, redirect_uris=[CALLBACK, "https://example.org/redirect"])
    assert suite.visit(suite.build_request(redirect_uri=None)) is None
    assert suite.robot.seen == ["missing redirect_uri"]


def test_oidcc_redirect_uri_query_ok(begin: Begin) -> None:
    suite = begin("oidcc-redirect-uri-query-OK")
    uri = f"{CALLBACK}?foo=bar"
    register(suite, redirect_uris=[uri])
    arrival = suite.visit(suite.build_request(redirect_uri=uri))
    assert arrival is not None
    assert set(arrival.query) == {"foo", "code", "state", "iss"}
    check_token_response(suite.redeem(arrival.query["code"], redirect_uri=uri))


@pytest.mark.proves("C23")
@pytest.mark.parametrize(
    "module,registered,asked",
    [
        ("oidcc-redirect-uri-query-mismatch", f"{CALLBACK}?foo=bar", f"{CALLBACK}?bar=foo"),
        ("oidcc-redirect-uri-query-added", CALLBACK, f"{CALLBACK}?foo=bar"),
    ],
)
def test_another_query(begin: Begin, module: str, registered: str, asked: str) -> None:
    suite = begin(module)
    register(suite, redirect_uris=[registered])
    assert suite.visit(suite.build_request(redirect_uri=asked)) is None
    assert suite.robot.seen == ["invalid redirect_uri"]


def test_oidcc_redirect_uri_regfrag(begin: Begin) -> None:
    refuse(
        begin("oidcc-redirect-uri-regfrag"), "invalid_redirect_uri",
        redirect_uris=[f"{CALLBACK}#foobar"],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["policy_uri", "tos_uri"])
def test_oidcc_registration_uris(begin: Begin, name: str) -> None:
    """The person finds them where they are asked for their consent, once they signed in."""
    suite = begin(f"oidcc-registration-{name.replace('_', '-')}")
    uri = f"{SUITE}/{name}.html"
    register(suite, **{name: uri})
    suite.sign_in()
    linked = [each.get("href") for page in suite.robot.pages for each in page.list_tags("a")]
    assert uri in linked


def put_sector(server: InProcess, *redirect_uris: str) -> str:
    """The address of what lies there. Nobody has the server fetch without end, so it is waited."""
    uri = f"{SUITE}/redirect_uris.json"
    server.world.issuer.web.put(uri, list(redirect_uris))
    server.wait(5)
    return uri


@pytest.mark.proves("C100")
def test_oidcc_registration_sector_uri(server: InProcess, begin: Begin) -> None:
    suite = begin("oidcc-registration-sector-uri")
    uri = put_sector(server, CALLBACK)
    register(suite, subject_type="pairwise", sector_identifier_uri=uri)
    assert suite.sign_in().claims["sub"] != begin("oidcc-server").sign_in().claims["sub"]


@pytest.mark.proves("C100")
def test_oidcc_registration_sector_bad(server: InProcess, begin: Begin) -> None:
    uri = put_sector(server, "https://example.com/op")
    refuse(
        begin("oidcc-registration-sector-bad"), "invalid_client_metadata",
        subject_type="pairwise", sector_identifier_uri=uri,
    )  # fmt: skip


def test_oidcc_refresh_token_with_a_dynamic_client(begin: Begin) -> None:
    suite = begin("oidcc-refresh-token")
    register(suite, grant_types=["authorization_code", "refresh_token"])
    refresh(suite, named=True)


@pytest.mark.parametrize("how", ["rp_initiated", "backchannel", "frontchannel"])
def test_a_logout_with_a_dynamic_client(begin: Begin, how: str) -> None:
    suite = begin(f"oidcc-{how}-rp-initiated-logout")
    told = {f"{how}_logout_uri": f"{SUITE}/{how}_logout", f"{how}_logout_session_required": True}
    client = register(
        suite, post_logout_redirect_uris=[AFTER_LOGOUT], **({} if how == "rp_initiated" else told)
    )
    assert how == "rp_initiated" or told.items() <= client.items()
    asked = build_logout(suite.sign_in())
    check_return(suite.log_out(**asked), asked)
    check_signed_out(suite)


# private_key_jwt, as every module of the Dynamic plan has it.


def prove(suite: Suite, key: SigningKey, audience: str) -> dict[str, str]:
    now, client_id = suite.server.now, suite.client["client_id"]
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": token_urlsafe(15),
        "nbf": now,
        "iat": now,
        "exp": now + 60,
    }
    named = {"kid": key.kid} if key is not KEY else {}  # as `try_register` gives it
    parts = ({"alg": "RS256"} | named, claims)
    signed = ".".join(base64url.encode(json.dumps(part).encode()) for part in parts)
    assertion = f"{signed}.{base64url.encode(key.sign(signed.encode()))}"
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def ask_as(suite: Suite, key: SigningKey, audience: str, **form: str) -> Response:
    return suite.post(suite.metadata["token_endpoint"], form | prove(suite, key, audience))


def redeem_as(suite: Suite, key: SigningKey, audience: str, **changes: str) -> Response:
    code = suite.get_code(suite.build_request(**changes))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    return ask_as(suite, key, audience, **form)


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(begin: Begin) -> None:
    suite = begin("oidcc-ensure-client-assertion-with-iss-aud-succeeds")
    register(suite, token_endpoint_auth_method="private_key_jwt")
    check_token_response(redeem_as(suite, KEY, suite.metadata["issuer"]))


@pytest.mark.proves("C47")
def test_keys_that_change_where_they_lie(server: InProcess, begin: Begin) -> None:
    """oidcc-registration-jwks-uri and oidcc-refresh-token-rp-key-rotation, but for the audience."""
    suite = begin("oidcc-refresh-token-rp-key-rotation")
    uri, issuer = f"{SUITE}/client1_jwks", suite.metadata["issuer"]
    server.world.issuer.web.put(uri, {"keys": [KEY.public_jwk()]})
    register(
        suite,
        jwks=None,
        jwks_uri=uri,
        token_endpoint_auth_method="private_key_jwt",
        grant_types=["authorization_code", "refresh_token"],
    )
    first = check_token_response(
        redeem_as(suite, KEY, issuer, scope="openid offline_access", prompt="consent")
    )
    server.world.issuer.web.put(uri, {"keys": [NEXT_KEY.public_jwk()]})
    suite.server.wait(60)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    check_token_response(ask_as(suite, NEXT_KEY, issuer, **form))


@pytest.mark.proves("C48")
def test_an_assertion_for_the_token_endpoint_is_refused(begin: Begin) -> None:
    """Which the suite makes in every other module (draft-ietf-oauth-rfc7523bis)."""
    suite = begin("oidcc-idtoken-rs256")
    register(suite, token_endpoint_auth_method="private_key_jwt")
    response = redeem_as(suite, KEY, suite.metadata["token_endpoint"])
    assert (response.status, read(response)["error"]) == (401, "invalid_client")


@pytest.mark.proves("C28")
def test_what_the_dynamic_plan_wants_of_the_document_is_not_there(begin: Begin) -> None:
    suite = begin("oidcc-discovery-endpoint-verification")
    assert not {"id_token", "id_token token"} & set(suite.metadata["response_types_supported"])
    assert "implicit" not in suite.metadata["grant_types_supported"]
    refuse(suite, "invalid_client_metadata", response_types=["id_token"], grant_types=["implicit"])


@pytest.mark.proves("C39")
def test_oidcc_request_uri_signed_rs256(begin: Begin) -> None:
    suite = begin("oidcc-request-uri-signed-rs256")
    uri = f"{SUITE}/requesturi/1#2"
    register(suite, request_uris=[uri], request_object_signing_alg="RS256")
    answer = suite.take_answer(suite.build_request(request_uri=uri))
    check_authorization_error(answer, "request_uri_not_supported")
