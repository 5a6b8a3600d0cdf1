"""Applications on Authlib: its integration for Starlette and FastAPI, and its sessions of httpx."""

from __future__ import annotations

import time
from typing import Any

import pytest
from authlib.integrations.base_client.errors import MismatchingStateError, OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.integrations.starlette_client import OAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey
from starlette.requests import Request

from tests.interop.house import CALLBACK, ORDERS, House, Person


class Assertion(PrivateKeyJWT):  # type: ignore[misc]
    """Authlib's assertions are for the token endpoint and live an hour; ours are for the issuer and
    live five minutes at most (draft-ietf-oauth-rfc7523bis)."""

    alg = "ES256"

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


class Visit:
    """One browser's requests to the application, with its session."""

    def __init__(self) -> None:
        self.session: dict[str, Any] = {}

    def request(self, address: str = CALLBACK) -> Request:
        return Request(
            {
                "type": "http",
                "method": "GET",
                "path": "/",
                "query_string": address.partition("?")[2].encode(),
                "headers": [],
                "session": self.session,
            }
        )


def register(house: House, client_id: str, method: str, **sign_in: Any) -> Any:
    """The application's side of it, and the server's."""
    key = ECKey.generate_key("P-256") if method == "private_key_jwt" else None
    secret: Any = house.add_client(
        client_id,
        authentication=method,
        jwks={"keys": [key.as_dict(private=False)]} if key else None,
        **(sign_in or {"id_token_algorithm": "ES256"}),
    )
    return OAuth().register(
        "dojang",
        client_id=client_id,
        client_secret=key or secret,
        server_metadata_url=house.issuer + "/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid email",
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": Assertion(house.issuer) if key else method,
        },
    )


@pytest.mark.proves("A1", "A2")
@pytest.mark.parametrize(
    "method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
)
async def test_a_person_signs_in(house: House, person: Person, method: str) -> None:
    app = register(house, f"authlib-{method}", method, post_logout_redirect_uris=[CALLBACK])
    visit = Visit()
    sent = await app.authorize_redirect(visit.request(), CALLBACK)
    came = person.visit(sent.headers["location"])
    tokens = await app.authorize_access_token(visit.request(came))
    assert tokens["userinfo"]["iss"] == house.issuer  # its name for what the id_token says
    told = await app.userinfo(token=tokens)
    assert told["email"] == f"{person.username}@example.com"
    left = await app.logout_redirect(
        visit.request(), post_logout_redirect_uri=CALLBACK, id_token_hint=tokens["id_token"]
    )
    back = person.visit(left.headers["location"])
    assert await app.validate_logout_response(visit.request(back))


@pytest.mark.proves("C121")
async def test_an_answer_of_another_browser_is_refused(house: House, person: Person) -> None:
    app = register(house, "authlib-confused", "client_secret_basic")
    sent = await app.authorize_redirect(Visit().request(), CALLBACK)
    came = person.visit(sent.headers["location"])
    with pytest.raises(MismatchingStateError):
        await app.authorize_access_token(Visit().request(came))
    with pytest.raises(OAuthError, match="access_denied"):
        await app.authorize_access_token(Visit().request(CALLBACK + "?error=access_denied"))


@pytest.mark.proves("T1")
def test_a_session_renews_itself(house: House, person: Person) -> None:
    renewed: list[dict[str, Any]] = []
    secret = house.add_client("authlib-session", refresh="rotating")
    with OAuth2Client(
        "authlib-session",
        secret,
        scope="openid email offline_access",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint=house.issuer + "/token",
        update_token=lambda token, **_: renewed.append(token),
    ) as session:
        address, _ = session.create_authorization_url(
            house.issuer + "/authorize", code_verifier="v" * 50, prompt="consent"
        )
        came = person.visit(address)
        first = session.fetch_token(authorization_response=came, code_verifier="v" * 50)
        session.token = {**first, "expires_at": 1}
        assert session.get(house.issuer + "/userinfo").json()["email"]
        assert renewed[0]["refresh_token"] != first["refresh_token"]
        session.revoke_token(house.issuer + "/revoke", renewed[0]["refresh_token"])
        assert session.get(house.issuer + "/userinfo").status_code == 401


@pytest.mark.proves("A3")
def test_a_machine(house: House) -> None:
    secret = house.add_client("authlib-machine", grants={ORDERS: ["orders:read"]})
    with OAuth2Client(
        "authlib-machine", secret, token_endpoint=house.issuer + "/token", scope="orders:read"
    ) as session:
        token = session.fetch_token(grant_type="client_credentials", resource=ORDERS)
        assert token["token_type"] == "Bearer"
        told = session.introspect_token(house.issuer + "/introspect", token["access_token"])
        assert told.json() == {"active": False}  # the API's own affair, not its client's
