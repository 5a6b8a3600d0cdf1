"""Keys of clients that lie where the client says: fetched through the one door, kept, bounded."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.client_assertion import ASSERTION_TYPE
from dojang.server import client_keys
from dojang.server.admin.errors import OperationRefused
from dojang.testing import Issuer
from tests.server.front_door import ORDERS, open_issuer, post, read, refusal

URI = "https://blue.test/keys"
FIRST, SECOND, ENCRYPTS = (SigningKey.generate("ES256", kid=kid) for kid in ("k1", "k2", "k3"))
REFUSED = (401, "invalid_client")


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["orders:read"])
    publish(issuer, FIRST)
    issuer.add_client(
        "blue", {ORDERS: ["orders:read"]}, authentication="private_key_jwt", jwks_uri=URI
    )
    return issuer


def publish(issuer: Issuer, *keys: SigningKey, **settings: Any) -> None:
    issuer.web.put(URI, {"keys": [key.public_jwk() for key in keys]}, **settings)


def ask(issuer: Issuer, key: SigningKey, **changes: Any) -> tuple[int, str]:
    now = int(issuer.clock.now())
    claims = {
        "iss": "blue",
        "sub": "blue",
        "aud": issuer.url,
        "exp": now + 60,
        "jti": f"{now}-{len(issuer.transport.requests)}",
    }
    assertion = sign_jwt(claims, CompactSigner(key, typ=changes.pop("typ", "JWT")))
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    response = post(issuer, "/token", form)
    return (200, "") if response.status == 200 else refusal(response)


@pytest.mark.proves("C100", "C47")
def test_a_client_proves_itself_with_keys_that_are_fetched_once(issuer: Issuer) -> None:
    assert issuer.web.requests == []  # not before they are needed
    for _ in range(3):
        assert ask(issuer, FIRST) == (200, "")
    assert [request.url for request in issuer.web.requests] == [URI]
    assert ask(issuer, SigningKey.generate("ES256", kid="k1")) == REFUSED
    assert len(issuer.web.requests) == 1


@pytest.mark.proves("C100")
def test_a_key_that_is_not_in_the_set_is_asked_for_but_not_for_ever(issuer: Issuer) -> None:
    assert ask(issuer, FIRST) == (200, "")
    publish(issuer, SECOND)
    assert [ask(issuer, SECOND) for _ in range(3)] == [REFUSED] * 3  # a moment ago it was asked
    issuer.clock.move(client_keys.COOLDOWN)
    assert ask(issuer, SECOND) == (200, "")
    assert ask(issuer, FIRST) == REFUSED
    assert len(issuer.web.requests) == 2
    issuer.clock.move(client_keys.COOLDOWN)
    for _ in range(5):
        assert ask(issuer, FIRST) == REFUSED
    assert len(issuer.web.requests) == 3


@pytest.mark.proves("C100")
def test_a_set_that_is_old_is_fetched_again(issuer: Issuer) -> None:
    publish(issuer, FIRST, headers={"cache-control": "max-age=120"})
    assert ask(issuer, FIRST) == (200, "")
    publish(issuer, SECOND)
    issuer.clock.move(119)
    assert ask(issuer, FIRST) == (200, "")
    issuer.clock.move(1)
    assert ask(issuer, FIRST) == REFUSED


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "document",
    [
        None,
        b"",
        [],
        {},
        {"keys": []},
        {"keys": {}},
        {"keys": [{}] * 65},
        b"x" * 70_000,
        b'{"keys": [' + b'{"a":' * 5000,
    ],
)
def test_the_last_good_set_serves_for_a_while(issuer: Issuer, document: Any) -> None:
    assert ask(issuer, FIRST) == (200, "")
    if document is None:
        issuer.web.documents.clear()
    else:
        issuer.web.put(URI, document)
    issuer.clock.move(client_keys.STALE_LIMIT - 1)
    assert ask(issuer, FIRST) == (200, "")
    issuer.clock.move(1)
    assert ask(issuer, FIRST) == REFUSED


@pytest.mark.proves("C100")
def test_a_client_whose_keys_are_not_there_proves_nothing(issuer: Issuer) -> None:
    issuer.web.documents.clear()
    for _ in range(4):
        assert ask(issuer, FIRST) == REFUSED
    assert len(issuer.web.requests) == 1
    publish(issuer, FIRST, status=500)
    issuer.clock.move(client_keys.COOLDOWN)
    assert ask(issuer, FIRST) == REFUSED
    publish(issuer, FIRST)
    issuer.clock.move(client_keys.COOLDOWN)
    assert ask(issuer, FIRST) == (200, "")


@pytest.mark.parametrize("bound, most", [("MOST_HELD", 1), ("MOST_BYTES_HELD", 250)])
def test_no_more_sets_are_held_than_there_is_room_for(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(client_keys, bound, most)
    assert ask(issuer, FIRST) == (200, "")
    issuer.web.put("https://other.test/keys", {"keys": [FIRST.public_jwk()]})
    issuer.add_client("other", authentication="private_key_jwt", jwks_uri="https://other.test/keys")
    claims = {"iss": "other", "sub": "other", "aud": issuer.url, "exp": 2_000_000_000, "jti": "j"}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": sign_jwt(
            {**claims, "exp": int(issuer.clock.now()) + 60}, CompactSigner(FIRST, typ="JWT")
        ),
    }
    assert read(post(issuer, "/token", form))["error"] != "invalid_client"
    assert ask(issuer, FIRST) == (200, "")
    assert len(issuer.web.requests) == 3


@pytest.mark.proves("C46")
def test_a_client_that_named_its_algorithm_uses_no_other() -> None:
    issuer = open_issuer()
    other = SigningKey.generate("EdDSA", kid="k2")
    issuer.add_client(
        "blue",
        authentication="private_key_jwt",
        jwks={"keys": [FIRST.public_jwk(), other.public_jwk()]},
        sign_in={
            "redirect_uris": ["https://blue.test/"],
            "assertion_algorithm": "ES256",
            "id_token_algorithm": "ES256",
        },
    )
    assert ask(issuer, FIRST)[1] != "invalid_client"
    assert ask(issuer, other) == REFUSED


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "settings",
    [
        {"jwks_uri": "https://127.1/keys", "authentication": "private_key_jwt"},
        {"jwks_uri": "https://192.168.1.1/", "authentication": "private_key_jwt"},
        {"jwks_uri": URI},
        {"jwks_uri": URI, "jwks": {"keys": [FIRST.public_jwk()]}},
        {"authentication": "private_key_jwt"},
    ],
)
def test_keys_are_given_in_one_way_that_leads_somewhere(settings: dict[str, Any]) -> None:
    with pytest.raises(OperationRefused, match="jwks"):
        open_issuer().add_client("blue", **settings)
