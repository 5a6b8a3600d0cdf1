"""id_tokens and userinfo that are for the eyes of one client alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from dojang.jose import base64url
from dojang.jose.jwe import decrypt_compact
from dojang.server.admin.errors import OperationRefused
from dojang.server.client_keys import STALE_LIMIT
from dojang.server.people import Code
from dojang.testing.inline import run
from tests.server.clients.registering import Registry
from tests.server.front_door import decode_jwt, get, header_of, read, refusal
from tests.server.people.world import CALLBACK, World

pytestmark = pytest.mark.proves("A1")

URI = "https://app.test/keys"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "enc"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "enc"})
X25519 = OKPKey.generate_key("X25519", {"kid": "x"})
KEYS: dict[str, Any] = {
    "RSA-OAEP-256": RSA,
    "ECDH-ES": EC,
    "ECDH-ES+A128KW": EC,
    "ECDH-ES+A256KW": EC,
}
CONTENT = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")
SIGNS = ECKey.generate_key("P-256", {"kid": "sig", "use": "sig", "alg": "ES256"})


def publish(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def open_world(algorithm: str, encryption: str, **settings: Any) -> World:
    world = World()
    keys = settings.pop("keys", {"jwks": publish(SIGNS, RSA, EC)})
    wanted = {
        "redirect_uris": (CALLBACK,),
        "scopes": ("openid", "email", "offline_access"),
        "id_token_algorithm": "ES256",
        "id_token_encryption": (algorithm, encryption),
        **settings,
    }
    world.issuer.add_client("secretive", **keys, sign_in=wanted)
    return world


def get_code(world: World, **parameters: str) -> str:
    return world.get_code(client_id="secretive", **{"scope": "openid email", **parameters})


def decrypt(token: str, key: Any, algorithm: str, encryption: str) -> tuple[dict[str, Any], str]:
    private = {**key.as_dict(private=True)}
    opened = decrypt_compact(token, private, algorithm=algorithm, encryption=encryption)
    return opened.header, opened.plaintext.decode()


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("encryption", CONTENT)
def test_an_id_token_is_signed_and_then_encrypted(algorithm: str, encryption: str) -> None:
    world = open_world(algorithm, encryption)
    tokens = read(world.redeem(get_code(world), "secretive"))
    header, inner = decrypt(tokens["id_token"], KEYS[algorithm], algorithm, encryption)
    assert (header["cty"], header["kid"]) == ("JWT", KEYS[algorithm].kid)
    signed, claims = decode_jwt(inner)
    assert signed["alg"] == "ES256"
    assert (claims["aud"], claims["nonce"]) == ("secretive", "n-1")
    accepted = world.ask(client_id="secretive", id_token_hint=inner, scope="openid email")
    assert "error" not in getattr(accepted, "parameters", {})
    refused = world.ask(client_id="secretive", id_token_hint=tokens["id_token"], scope="openid")
    assert getattr(refused, "parameters", {})["error"] == "invalid_request"


def test_so_is_the_one_that_comes_with_a_refresh() -> None:
    world = open_world("ECDH-ES", "A256GCM")
    tokens = read(world.redeem(get_code(world), "secretive"))
    again = read(world.refresh(tokens["refresh_token"], "secretive"))
    _, inner = decrypt(again["id_token"], EC, "ECDH-ES", "A256GCM")
    assert decode_jwt(inner)[1]["aud"] == "secretive"


def test_a_key_on_another_curve_will_do() -> None:
    world = open_world("ECDH-ES", "A256GCM", keys={"jwks": publish(X25519)})
    tokens = read(world.redeem(get_code(world), "secretive"))
    assert decrypt(tokens["id_token"], X25519, "ECDH-ES", "A256GCM")


@pytest.mark.parametrize("signed", [None, "ES256"])
def test_userinfo_is_encrypted_where_that_is_asked(signed: str | None) -> None:
    world = open_world(
        "ECDH-ES",
        "A256GCM",
        userinfo_encryption=("RSA-OAEP-256", "A128CBC-HS256"),
        userinfo_algorithm=signed,
    )
    tokens = read(world.redeem(get_code(world), "secretive"))
    response = world.ask_userinfo(tokens["access_token"])
    assert header_of(response, b"content-type") == b"application/jwt"
    header, inner = decrypt(response.body.decode(), RSA, "RSA-OAEP-256", "A128CBC-HS256")
    assert header.get("cty") == ("JWT" if signed else None)
    claims = decode_jwt(inner)[1] if signed else json.loads(inner)
    assert claims["email"] == "hong@example.com"
    assert claims.get("aud") == ("secretive" if signed else None)


def test_keys_are_fetched_and_a_missing_one_is_said() -> None:
    world = open_world("RSA-OAEP-256", "A256GCM", keys={"jwks_uri": URI})
    code = get_code(world)
    refused = (400, "unauthorized_client")
    assert refusal(world.redeem(code, "secretive")) == refused  # nothing lies there
    (kept,) = run(world.issuer.provider.store.list_all(Code))
    assert kept.used_at is None
    world.issuer.web.put(URI, publish(RSA))
    world.issuer.clock.move(10)
    tokens = read(world.redeem(code, "secretive"))  # it was not spent
    assert decrypt(tokens["id_token"], RSA, "RSA-OAEP-256", "A256GCM")
    world.issuer.web.put(URI, publish(EC, SIGNS))
    world.issuer.clock.move(STALE_LIMIT)
    response = world.refresh(tokens["refresh_token"], "secretive")
    assert refusal(response) == refused
    assert "RSA-OAEP-256" in read(response)["error_description"]


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA"},
        {**RSA.as_dict(private=False), "kid": 5},
        {**RSA.as_dict(private=False), "use": "sig"},
        {**RSA.as_dict(private=False), "alg": "RSA1_5"},
        {**RSA.as_dict(private=False), "key_ops": ["verify"]},
        RSA.as_dict(private=True),
        "RSA",
        None,
    ],
)
def test_a_key_that_cannot_be_used_is_passed_over_and_never_fails(entry: Any) -> None:
    world = open_world("RSA-OAEP-256", "A256GCM", keys={"jwks_uri": URI})
    world.issuer.web.put(URI, {"keys": [entry]})
    code = get_code(world)
    assert refusal(world.redeem(code, "secretive")) == (400, "unauthorized_client")
    world.issuer.web.put(URI, {"keys": [entry, *publish(RSA)["keys"]]})
    world.issuer.clock.move(10)
    world.issuer.provider.client_keys._held.clear()
    assert world.redeem(code, "secretive").status == 200


@pytest.mark.parametrize("x", [0, 1, 2**255 - 19, 2**255 - 18])
def test_a_point_of_small_order_is_refused_and_spends_nothing(x: int) -> None:
    point = base64url.encode(x.to_bytes(32, "little"))
    small = {"kty": "OKP", "crv": "X25519", "x": point, "use": "enc"}
    world = open_world("ECDH-ES", "A256GCM", keys={"jwks": {"keys": [small]}})
    code = get_code(world)
    for _ in range(2):
        assert refusal(world.redeem(code, "secretive")) == (400, "unauthorized_client")


def test_without_openid_no_key_is_needed() -> None:
    world = open_world(
        "RSA-OAEP-256",
        "A256GCM",
        keys={"jwks_uri": URI},
        resources={"https://orders.test": ("orders:read",)},
    )
    code = get_code(world, scope="orders:read")
    assert world.redeem(code, "secretive").status == 200
    assert world.issuer.web.requests == []


@pytest.mark.parametrize(
    "wish, keys",
    [
        (("RSA1_5", "A256GCM"), {"jwks": publish(RSA)}),
        (("RSA-OAEP", "A256GCM"), {"jwks": publish(RSA)}),
        (("dir", "A256GCM"), {"jwks": publish(RSA)}),
        (("RSA-OAEP-256", "none"), {"jwks": publish(RSA)}),
        (("RSA-OAEP-256", "A256GCM"), {"jwks": publish(EC)}),
        (("RSA-OAEP-256", "A256GCM"), {"jwks": publish(SIGNS)}),
        (("ECDH-ES", "A256GCM"), {"jwks": publish(RSA, SIGNS)}),
        (("ECDH-ES", "A256GCM"), {}),
    ],
)
def test_what_could_never_be_encrypted_is_not_registered(
    wish: tuple[str, str], keys: dict[str, Any]
) -> None:
    for name in ("id_token_encryption", "userinfo_encryption"):
        with pytest.raises(OperationRefused, match=r"encrypt"):
            settings: dict[str, Any] = {"keys": keys, name: wish}
            open_world(*wish, **settings)


def test_a_client_registers_for_it(registry: Registry) -> None:
    client = registry.register(
        jwks=publish(RSA, EC, SIGNS),
        id_token_encrypted_response_alg="RSA-OAEP-256",
        userinfo_encrypted_response_alg="ECDH-ES",
        userinfo_encrypted_response_enc="A256GCM",
    )
    assert client["id_token_encrypted_response_enc"] == "A128CBC-HS256"
    described = registry.describe(client)["sign_in"]
    assert described["id_token_encryption"] == ["RSA-OAEP-256", "A128CBC-HS256"]
    assert described["userinfo_encryption"] == ["ECDH-ES", "A256GCM"]
    for changes in (
        {"id_token_encrypted_response_enc": "A256GCM"},
        {"id_token_encrypted_response_alg": "RSA-OAEP-256"},
        {"id_token_encrypted_response_alg": "RSA1_5", "jwks": publish(RSA)},
        {"userinfo_encrypted_response_alg": "RSA-OAEP-256", "jwks": publish(EC)},
    ):
        assert refusal(registry.try_register(**changes)) == (400, "invalid_client_metadata")


def test_discovery_says_so() -> None:
    metadata = read(get(World().issuer, "/.well-known/openid-configuration"))
    for which in ("id_token", "userinfo"):
        assert metadata[f"{which}_encryption_alg_values_supported"] == list(KEYS)
        assert metadata[f"{which}_encryption_enc_values_supported"] == list(CONTENT)
