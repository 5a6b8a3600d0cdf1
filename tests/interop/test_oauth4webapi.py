"""A relying party and a protected resource on oauth4webapi (npm), which goes a step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.house import CALLBACK, ORDERS, House, Person
from tests.interop.others import Refused, Script

VERIFIER = "v" * 50


@pytest.fixture(scope="module")
def script(house: House) -> Iterator[Script]:
    script = Script("oauth4webapi.mjs")
    house.add_client(
        "by-hand", authentication="private_key_jwt", jwks=script.do("makeKeys", algorithm="ES256"),
        id_token_algorithm="EdDSA", userinfo_algorithm="ES256",
    )  # fmt: skip
    discover(script, house)
    yield script
    script.close()


def discover(script: Script, house: House, algorithm: str = "oidc") -> dict[str, Any]:
    told = {
        "client_id": "by-hand",
        "id_token_signed_response_alg": "EdDSA",
        "userinfo_signed_response_alg": "ES256",
    }
    metadata: dict[str, Any] = script.do(
        "discover", issuer=house.issuer, algorithm=algorithm, metadata=told
    )
    return metadata


def sign_in(script: Script, person: Person, **parameters: str) -> dict[str, Any]:
    asked = {
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
        "nonce": "n",
        **parameters,
    }
    address = script.do("push", parameters=asked, verifier=VERIFIER)
    tokens: dict[str, Any] = script.do(
        "redeem", address=person.visit(address), state="s", nonce="n", verifier=VERIFIER,
        redirectUri=CALLBACK, maxAge=60,
    )  # fmt: skip
    return tokens


@pytest.mark.parametrize("algorithm", ["oidc", "oauth2"])
def test_both_places_of_the_metadata(house: House, script: Script, algorithm: str) -> None:
    assert discover(script, house, algorithm)["issuer"] == house.issuer


@pytest.mark.proves("A1", "A2")
def test_a_person_signs_in(script: Script, person: Person) -> None:
    tokens = sign_in(script, person)
    subject = tokens["claims"]["sub"]
    told = script.do("userinfo", token=tokens["access_token"], subject=subject)
    assert told["email"] == f"{person.username}@example.com"
    with pytest.raises(Refused, match="sub"):
        script.do("userinfo", token=tokens["access_token"], subject="another")


@pytest.mark.proves("A1")
def test_an_api_reads_the_access_token(house: House, script: Script, person: Person) -> None:
    tokens = sign_in(script, person, scope="openid orders:read", resource=ORDERS)
    claims = script.do("admit", token=tokens["access_token"], audience=ORDERS)
    assert (claims["client_id"], claims["sub"]) == ("by-hand", tokens["claims"]["sub"])
    with pytest.raises(Refused):
        script.do("admit", token=tokens["access_token"], audience="https://other.example")
    with pytest.raises(Refused):  # it says who somebody is, and opens nothing
        script.do("admit", token=tokens["id_token"], audience="by-hand")


@pytest.mark.proves("A2", "T1")
def test_a_refresh_token_is_taken_back(script: Script, person: Person) -> None:
    tokens = sign_in(script, person, scope="openid offline_access", prompt="consent")
    renewed = script.do("refresh", token=tokens["refresh_token"])
    script.do("revoke", token=renewed["refresh_token"])
    for token in (tokens, renewed):
        with pytest.raises(Refused) as refused:
            script.do("refresh", token=token["refresh_token"])
        assert refused.value.error == "invalid_grant"
