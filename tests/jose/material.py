"""Keys and tokens for the tests of this layer; the RSA keys were made for them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from dojang.jose import base64url
from dojang.jose.jws import CompactVerifier
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import ALGORITHMS, KeySet, SigningKey

STORED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "keys.json").read_text())
ASYMMETRIC = [name for name, row in ALGORITHMS.items() if not row.symmetric]
SYMMETRIC = [name for name, row in ALGORITHMS.items() if row.symmetric]

ISSUER = "https://issuer.example"
AUDIENCE = "https://orders.example"
NOW = 1_700_000_000
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "service-7",
    "exp": NOW + 300,
    "iat": NOW,
}


@cache
def key_for(algorithm: str, kid: str = "k1") -> SigningKey:
    if ALGORITHMS[algorithm].kty == "RSA":
        stored = STORED["rsa" if kid == "k1" else "other_rsa"]
        return SigningKey.from_jwk(stored | {"alg": algorithm, "kid": kid})
    return SigningKey.generate(algorithm, kid)


def key_set(*keys: SigningKey) -> KeySet:
    return KeySet(key.verifying_key() for key in keys)


def craft(key: SigningKey, header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes) -> str:
    """A token whose signature is good, whatever it says."""
    parts = [part if isinstance(part, bytes) else write(part) for part in (header, payload)]
    return sign_parts(key, *(base64url.encode(part) for part in parts))


def sign_parts(key: SigningKey, *segments: str) -> str:
    signing_input = ".".join(segments)
    return f"{signing_input}.{base64url.encode(key.sign(signing_input.encode()))}"


def write(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def header_of(key: SigningKey, **members: Any) -> dict[str, Any]:
    return {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"} | members


def token_of(key: SigningKey, claims: dict[str, Any] | bytes = CLAIMS, **members: Any) -> str:
    return craft(key, header_of(key, **members), claims)


def compact(*keys: SigningKey, types: list[str | None] | None = None) -> CompactVerifier:
    algorithms = {key.algorithm for key in keys}
    return CompactVerifier(key_set(*keys), algorithms=algorithms, types=types or ["at+jwt"])


def jwt(*keys: SigningKey) -> JwtVerifier:
    algorithms = {key.algorithm for key in keys}
    return JwtVerifier(key_set(*keys), algorithms=algorithms, types=["at+jwt"])
