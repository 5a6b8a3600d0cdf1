"""Requests that their client signed, as browsers carry them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from tests.server.people.world import CALLBACK
from tests.web.pages.house import House

KEY = SigningKey.generate("ES256", kid="k1")


@pytest.fixture
def house() -> House:
    house = House()
    house.issuer.add_client(
        "signs",
        jwks={"keys": [KEY.public_jwk()]},
        sign_in={
            "redirect_uris": (CALLBACK,),
            "scopes": ("openid",),
            "id_token_algorithm": "ES256",
            "require_signed_request_object": True,
        },
    )
    return house


def build(house: House, **changes: Any) -> str:
    claims = {
        **house.build_request(client_id="signs", scope="openid"),
        "iss": "signs",
        "aud": house.issuer.url,
        "exp": house.now + 60,
        **changes,
    }
    return sign_jwt(claims, CompactSigner(KEY, typ="oauth-authz-req+jwt"))


@pytest.mark.proves("C38")
def test_a_person_signs_in_by_a_signed_request(house: House) -> None:
    query = urlencode({"client_id": "signs", "request": build(house), "state": "beside"})
    page = house.enter(house.hong.open(f"/authorize?{query}"))
    done = house.hong.press(page, "allow")
    assert done.answer["state"] == "xyz"
    assert "code" in done.answer


@pytest.mark.proves("C38")
@pytest.mark.parametrize("change", [{"aud": "https://other.test"}, {"iss": "app"}, {"exp": 1}])
def test_one_that_is_not_right_is_a_page(house: House, change: dict[str, Any]) -> None:
    query = urlencode(
        {
            "client_id": "signs",
            "request": build(house, **change),
            "redirect_uri": CALLBACK,
            "response_type": "code",
        }
    )
    page = house.hong.open(f"/authorize?{query}")
    assert page.status == 400
    assert "invalid request_object" in page.text
    assert "This request is not right" in page.text
