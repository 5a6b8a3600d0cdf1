"""Tokens that were changed or made by somebody else, shown to introspection and revocation."""

import hmac
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.jose.seal import SealKey
from dojang.server.access_tokens import OPAQUE_PREFIX
from dojang.testing import Issuer
from tests.server.front_door import (
    ORDERS,
    basic_of,
    decode_jwt,
    get,
    open_issuer,
    post,
    read,
)

OPAQUE = "urn:opaque"
ISSUER = open_issuer()
ISSUER.add_resource(ORDERS, ["read"], introspectors=["orders"])
ISSUER.add_resource(OPAQUE, ["read"], introspectors=["orders"], token_format="opaque")
ISSUER.add_client("orders")
JWT = ISSUER.token(scopes=["read"], audience=ORDERS)
SEALED = ISSUER.token(scopes=["read"], audience=OPAQUE)


def is_active(token: str, issuer: Issuer = ISSUER) -> bool:
    answer = post(issuer, "/introspect", {"token": token}, basic_of(issuer, "orders"))
    assert answer.status == 200
    return answer.body != b'{"active":false}'


def encode(document: object) -> str:
    return base64url.encode(json.dumps(document).encode())


def forge_with_other_key() -> Iterator[str]:
    header, claims = decode_jwt(JWT)
    other = SigningKey.generate("ES256", kid=header["kid"])
    yield sign_jwt(claims, CompactSigner(other, typ="at+jwt"))
    embedded = {"jwk": other.public_jwk(), "jku": "https://evil.test/jwks", "x5u": "https://e.test"}
    yield sign_jwt(claims, CompactSigner(other, typ="at+jwt", extra=embedded))
    for algorithm in ("RS256", "PS256", "EdDSA", "ES384", "ES512"):
        key = SigningKey.generate(algorithm, kid=header["kid"])
        yield sign_jwt(claims, CompactSigner(key, typ="at+jwt"))


def forge_with_public_key_as_secret() -> Iterator[str]:
    header, claims = decode_jwt(JWT)
    document = get(ISSUER, "/.well-known/jwks.json").body
    (published,) = [key for key in json.loads(document)["keys"] if key["kid"] == header["kid"]]
    secrets = [
        document,
        json.dumps(published).encode(),
        base64url.decode(published["x"]),
        base64url.decode(published["x"]) + base64url.decode(published["y"]),
        b"",
    ]
    for secret in secrets:
        signing_input = f"{encode(header | {'alg': 'HS256'})}.{encode(claims)}"
        signature = hmac.digest(secret, signing_input.encode(), sha256)
        yield f"{signing_input}.{base64url.encode(signature)}"


def forge_without_signature() -> Iterator[str]:
    header, claims = decode_jwt(JWT)
    head, body, signature = JWT.split(".")
    for name in ("none", "None", "NONE", "nOnE", "", None):
        for proof in ("", signature):
            yield f"{encode(header | {'alg': name})}.{body}.{proof}"
    yield f"{head}.{body}."
    yield f"{head}.{body}"
    yield f"{head}.{encode(claims | {'exp': claims['exp'] + 10**6})}.{signature}"
    yield f"{head}.{encode(claims | {'scope': 'read write'})}.{signature}"


def forge_with_other_header() -> Iterator[str]:
    header, _ = decode_jwt(JWT)
    _, body, signature = JWT.split(".")
    for change in (
        {"typ": "JWT"},
        {"typ": "id_token"},
        {"typ": None},
        {"crit": ["exp"]},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
        {"kid": 1},
        {"alg": "es256"},
        {"alg": ["ES256"]},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
    ):
        yield f"{encode(header | change)}.{body}.{signature}"


def forge_boxes() -> Iterator[str]:
    claims = json.dumps(decode_jwt(JWT)[1]).encode()
    active = ISSUER.provider.state.keys.at(int(ISSUER.clock.now())).seals
    assert active is not None
    for key in (SealKey.generate(), SealKey.from_bytes(active.active.kid, bytes(32))):
        yield OPAQUE_PREFIX + base64url.encode(key.seal(claims, b"dojang access token"))
    yield OPAQUE_PREFIX + base64url.encode(active.seal(claims, b"dojang something else"))
    yield OPAQUE_PREFIX + base64url.encode(active.seal(claims, b""))
    yield SEALED.removeprefix(OPAQUE_PREFIX)
    yield OPAQUE_PREFIX + SEALED
    yield OPAQUE_PREFIX + JWT
    yield SEALED.upper()
    yield SEALED + "="
    yield SEALED + "AAAA"
    yield SEALED[:-4]
    yield OPAQUE_PREFIX


@pytest.mark.proves("C87")
def test_what_was_not_changed_is_active() -> None:
    assert is_active(JWT)
    assert is_active(SEALED)


@pytest.mark.parametrize(
    "forge",
    [
        forge_with_other_key,
        forge_with_public_key_as_secret,
        forge_without_signature,
        forge_with_other_header,
        forge_boxes,
    ],
)
@pytest.mark.proves("C87", "C86", "K1")
def test_a_forged_token_is_inactive_and_revokes_nothing(
    forge: Callable[[], Iterator[str]],
) -> None:
    for token in forge():
        assert not is_active(token)
        assert (
            post(ISSUER, "/revoke", {"token": token}, basic_of(ISSUER, "test-client")).status == 200
        )
    assert is_active(JWT)
    assert is_active(SEALED)


@given(st.sampled_from([JWT, SEALED]), st.data())
@pytest.mark.proves("C87", "C9")
def test_no_character_of_a_token_can_change(token: str, data: st.DataObject) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ~"
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(alphabet).filter(lambda each: each != token[at]))
    assert not is_active(token[:at] + other + token[at + 1 :])


@pytest.mark.proves("C87")
def test_no_bit_of_a_sealed_token_can_flip() -> None:
    box = bytearray(base64url.decode(SEALED.removeprefix(OPAQUE_PREFIX)))
    for at in range(len(box)):
        box[at] ^= 1 << at % 8
        assert not is_active(OPAQUE_PREFIX + base64url.encode(bytes(box)))
        box[at] ^= 1 << at % 8
    assert is_active(OPAQUE_PREFIX + base64url.encode(bytes(box)))


@pytest.mark.proves("C87")
def test_a_token_has_one_spelling() -> None:
    for token in (JWT, SEALED):
        for spelled in (
            f" {token}",
            f"{token} ",
            f"{token}\n",
            token.swapcase(),
            f"Bearer {token}",
        ):
            assert not is_active(spelled)


@pytest.mark.parametrize(
    "change",
    [
        {"rev": [0, 0]},
        {"rev": [-1, 0]},
        {"rev": "1,0"},
        {"rev": None},
        {"iss": "https://other.test"},
        {"aud": "https://nowhere.test"},
        {"aud": [ORDERS]},
        {"client_id": "nobody"},
        {"grant": "other"},
        {"exp": 0},
        {"exp": "2100"},
    ],
    ids=str,
)
@pytest.mark.proves("C87")
def test_even_under_our_own_key_the_claims_must_be_right(change: dict[str, Any]) -> None:
    """What another part of the server might sign by mistake is still no live token."""
    signer = ISSUER.provider.state.keys.at(int(ISSUER.clock.now())).signers["ES256"]
    claims = decode_jwt(JWT)[1]
    assert is_active(sign_jwt(claims, signer))
    changed = sign_jwt(claims | change, signer)
    alive = "rev" in change and change["rev"] in ([0, 0], [-1, 0])  # nothing was revoked yet
    assert is_active(changed) == alive


@pytest.mark.proves("C67", "A1")
def test_a_token_of_another_type_under_our_own_key_is_no_access_token() -> None:
    kid = decode_jwt(JWT)[0]["kid"]
    private = ISSUER.provider.state.keys._loaded[kid].private
    assert isinstance(private, SigningKey)
    claims = decode_jwt(JWT)[1]
    assert is_active(sign_jwt(claims, CompactSigner(private, typ="at+jwt")))
    for typ in ("JWT", "id_token+jwt", "logout+jwt", "dojang-feed+jwt", None):
        assert not is_active(sign_jwt(claims, CompactSigner(private, typ=typ)))


def test_the_answer_about_a_real_token_is_whole() -> None:
    answer = post(ISSUER, "/introspect", {"token": JWT}, basic_of(ISSUER, "orders"))
    assert read(answer)["active"] is True
