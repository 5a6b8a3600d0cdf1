"""Which keys may encrypt and decrypt: RFC 7517 §4, RFC 7518 §4, RFC 8725 §3.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dojang.jose.errors import InvalidKey, InvalidToken, Reason
from dojang.jose.jwk import (
    check_key_operations,
    check_public,
    parse_ec,
    parse_octets,
    parse_rsa,
    parse_string,
)

MIN_PASSWORD_BYTES = 12

PUBLIC_KEY_ALGORITHMS = (
    *("RSA-OAEP", "RSA-OAEP-256"),
    *("ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"),
)

_OPERATIONS = {
    "decrypt": ("decrypt", "unwrapKey", "deriveKey", "deriveBits"),
    "encrypt": ("encrypt", "wrapKey", "deriveKey", "deriveBits"),
}
_CONTENT_KEY_BYTES = {
    "A128GCM": 16,
    "A192GCM": 24,
    "A256GCM": 32,
    "A128CBC-HS256": 32,
    "A192CBC-HS384": 48,
    "A256CBC-HS512": 64,
}
_WRAP_KEY_BYTES = {"A128": 16, "A192": 24, "A256": 32}


def check_key(key: Mapping[str, Any], algorithm: str, encryption: str, *, operation: str) -> None:
    """Check that type, `alg`, `use`, `key_ops` and strength of a JWK fit `operation`.

    `operation` is "encrypt" or "decrypt". Raises `InvalidKey`.
    """
    _check_purpose(key, algorithm, encryption, operation)
    kty = parse_string(key, "kty")
    if kty != _find_kty(key, algorithm):
        raise InvalidKey(Reason.BAD_KEY, "kty does not fit the algorithm")
    if kty == "RSA":
        parse_rsa(key)
    elif kty == "EC":
        parse_ec(key)
    elif kty == "OKP":
        _check_x25519(key)
    else:
        _check_octets(parse_octets(key, "k"), algorithm, encryption)


def find_encryption_algorithms(key: Mapping[str, Any]) -> frozenset[str]:
    """Names of the algorithms for which one may encrypt to a public JWK; none for any other key."""
    found = set()
    for algorithm in PUBLIC_KEY_ALGORITHMS:
        try:
            check_public(key)
            check_key(key, algorithm, "A256GCM", operation="encrypt")
        except InvalidKey:
            continue
        found.add(algorithm)
    return frozenset(found)


def check_same_curve(epk: object, key: Mapping[str, Any]) -> None:
    """Check that a peer's ephemeral key is a point on the key's curve (RFC 8725 §3.4).

    Raises `InvalidToken(BAD_KEY)`.
    """
    try:
        if not isinstance(epk, Mapping) or epk.get("crv") != key["crv"] or "d" in epk:
            raise InvalidKey(Reason.BAD_KEY, "not a public key of this curve")
        if epk.get("kty") != key["kty"]:
            raise InvalidKey(Reason.BAD_KEY, "not a key of this type")
        if key["kty"] == "EC":
            parse_ec(epk)
        else:
            _check_x25519(epk)
    except InvalidKey:
        raise InvalidToken(Reason.BAD_KEY, "epk is not a point on the key's curve") from None


def _check_purpose(key: Mapping[str, Any], algorithm: str, encryption: str, operation: str) -> None:
    # RFC 7520 §5.6: a key for direct encryption names the content algorithm.
    named = encryption if algorithm == "dir" else algorithm
    if key.get("alg", named) not in (named, algorithm):
        raise InvalidKey(Reason.BAD_KEY, "alg is another one")
    if key.get("use", "enc") != "enc":
        raise InvalidKey(Reason.BAD_KEY, "use is not enc")
    check_key_operations(key, *_OPERATIONS[operation])


def _find_kty(key: Mapping[str, Any], algorithm: str) -> str:
    if algorithm.startswith("RSA-OAEP"):
        return "RSA"
    if algorithm.startswith("ECDH-ES"):
        return "OKP" if key.get("crv") == "X25519" else "EC"
    return "oct"


def _check_octets(secret: bytes, algorithm: str, encryption: str) -> None:
    if algorithm.startswith("PBES2"):
        if len(secret) < MIN_PASSWORD_BYTES:
            raise InvalidKey(Reason.WEAK_KEY, "password is under 12 bytes")
        return
    direct = algorithm == "dir"
    wanted = _CONTENT_KEY_BYTES[encryption] if direct else _WRAP_KEY_BYTES[algorithm[:4]]
    if len(secret) != wanted:
        raise InvalidKey(Reason.WEAK_KEY, "key is not as long as the algorithm says")


def _check_x25519(key: Mapping[str, Any]) -> None:
    if key.get("crv") != "X25519" or len(parse_octets(key, "x")) != 32:
        raise InvalidKey(Reason.BAD_KEY, "not an X25519 key")
