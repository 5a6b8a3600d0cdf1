"""Tokens to verify: many, all different, of the shape the server issues."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.example"
AUDIENCE = "https://orders.example/api"
ALGORITHMS = ("ES256", "EdDSA", "RS256")
LIFETIME = 6 * 3600  # seconds: outlives the run


@dataclass(frozen=True, slots=True)
class Pool:
    """Tokens of one algorithm, the key that verifies them, and the raw calls' arguments."""

    algorithm: str
    jwk: dict[str, Any]
    tokens: list[str]


def write_pools(
    folder: Path,
    count: int,
    *,
    algorithms: Sequence[str] = ALGORITHMS,
    clients: int | None = None,
) -> Path:
    """Writes `count` tokens an algorithm, made by no contender's code; returns the file. They are
    those of so many `clients`, or each of another."""
    pools = {name: _pool(name, count, clients or count) for name in algorithms}
    file = folder / f"tokens-{len(pools)}-{count}.json"
    document = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "pools": {name: {"jwk": pool.jwk, "tokens": pool.tokens} for name, pool in pools.items()},
    }
    file.write_text(json.dumps(document))
    return file


def _pool(algorithm: str, count: int, clients: int) -> Pool:
    kid = uuid.uuid4().hex[:16]
    header = _segment({"alg": algorithm, "kid": kid, "typ": "at+jwt"})
    private = _private_key(algorithm)
    now = int(time.time())
    tokens = []
    grants = [(f"client-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex) for _ in range(clients)]
    for number in range(count):
        claims = _claims(now, *grants[number % clients])
        signing_input = f"{header}.{_segment(claims)}"
        tokens.append(f"{signing_input}.{_encode(_sign(private, signing_input.encode()))}")
    return Pool(algorithm, {**_public_jwk(private), "kid": kid, "alg": algorithm}, tokens)


def _claims(now: int, client_id: str, grant: str) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": client_id,
        "aud": AUDIENCE,
        "client_id": client_id,
        "exp": now + LIFETIME,
        "iat": now,
        "jti": uuid.uuid4().hex,
        "scope": "orders:read orders:write",
        "grant": grant,
        "rev": [1, 0],
    }


PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def _private_key(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _sign(private: PrivateKey, data: bytes) -> bytes:
    if isinstance(private, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(data)
    return private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _public_jwk(private: PrivateKey) -> dict[str, str]:
    if isinstance(private, ec.EllipticCurvePrivateKey):
        point = private.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        return {"kty": "EC", "crv": "P-256", "x": _encode(x), "y": _encode(y)}
    if isinstance(private, ed25519.Ed25519PrivateKey):
        x = private.public_key().public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": _encode(x)}
    numbers = private.public_key().public_numbers()
    return {"kty": "RSA", "n": _encode_number(numbers.n), "e": _encode_number(numbers.e)}


def _segment(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode_number(value: int) -> str:
    return _encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
