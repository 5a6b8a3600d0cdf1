"""An application on requests-oauthlib."""

from __future__ import annotations

import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session

from tests.interop.house import CALLBACK, ORDERS, House, Person


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # http, to this machine


@pytest.mark.proves("A2", "T1")
def test_a_person_signs_in(house: House, person: Person) -> None:
    secret = house.add_client("oauthlib")
    scope = ["openid", "email", "offline_access"]
    with OAuth2Session("oauthlib", redirect_uri=CALLBACK, scope=scope, pkce="S256") as session:
        address, _ = session.authorization_url(house.issuer + "/authorize", prompt="consent")
        came = person.visit(address)
        token = house.issuer + "/token"
        first = session.fetch_token(token, authorization_response=came, client_secret=secret)
        told = session.get(house.issuer + "/userinfo").json()
        assert told["email"] == f"{person.username}@example.com"
        session.refresh_token(token, auth=("oauthlib", secret))
        assert session.token["refresh_token"] != first["refresh_token"]
        session.refresh_token(token, auth=("oauthlib", secret))
        with pytest.raises(InvalidGrantError):
            session.refresh_token(token, first["refresh_token"], auth=("oauthlib", secret))


@pytest.mark.proves("A3")
def test_a_machine(house: House) -> None:
    secret = house.add_client("oauthlib-machine", grants={ORDERS: ["orders:read"]})
    client = BackendApplicationClient("oauthlib-machine")
    with OAuth2Session(client=client) as session:
        token = session.fetch_token(
            house.issuer + "/token", auth=("oauthlib-machine", secret), resource=ORDERS
        )
    assert token["scope"] == ["orders:read"]
