"""The members of a JWK: RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.

A key serves only what its `kty`, `crv`, `alg`, `use` and `key_ops` all agree on.
Everything here raises `InvalidKey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dojang.jose import base64url
from dojang.jose.algorithms import find_algorithms
from dojang.jose.errors import InvalidKey, InvalidToken, Reason
from dojang.jose.key_policy import check_ed25519, check_rsa
from dojang.jose.signatures import CURVES

MAX_KID_LENGTH = 128

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def check_public(jwk: Mapping[str, Any]) -> None:
    """Refuse a JWK that gives away more than a public key."""
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidKey(Reason.BAD_KEY, "public JWK has private members")


def parse_algorithms(
    jwk: Mapping[str, Any], kty: str, curve: str, *, operation: str
) -> frozenset[str]:
    """What `alg`, `use` and `key_ops` leave of the algorithms that fit the key."""
    algorithms = find_algorithms(kty, curve)
    if "alg" in jwk:
        named = parse_string(jwk, "alg")
        if named not in algorithms:
            raise InvalidKey(Reason.BAD_KEY, "alg does not fit the key")
        algorithms = frozenset({named})
    if not algorithms:
        raise InvalidKey(Reason.BAD_KEY, "no algorithm fits the key")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey(Reason.BAD_KEY, "use is not sig")
    check_key_operations(jwk, operation)
    return algorithms


def check_key_operations(jwk: Mapping[str, Any], *wanted: str) -> None:
    """Check `key_ops` (RFC 7517 §4.3): distinct strings, one of `wanted` among them."""
    if "key_ops" not in jwk:
        return
    operations = jwk["key_ops"]
    if not isinstance(operations, list) or not all(isinstance(name, str) for name in operations):
        raise InvalidKey(Reason.BAD_KEY, "key_ops is not a list of strings")
    if set(wanted).isdisjoint(operations) or len(set(operations)) != len(operations):
        raise InvalidKey(Reason.BAD_KEY, "key_ops does not allow this use")


def parse_kid(jwk: Mapping[str, Any]) -> str | None:
    """The kid, an opaque string of 1 to 128 characters, or nothing."""
    kid = jwk.get("kid")
    if "kid" in jwk and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise InvalidKey(Reason.BAD_KEY, "kid is not a string of 1 to 128 characters")
    return kid


def parse_rsa(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    """An RSA public key that passes the policy."""
    modulus, exponent = parse_unsigned(jwk, "n"), parse_unsigned(jwk, "e")
    check_rsa(modulus, exponent)
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        raise InvalidKey(Reason.BAD_KEY, "not an RSA key") from None


def parse_ec(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """A point on a curve of the allow-list (RFC 7518 §6.2.1: coordinates of full width)."""
    curve = CURVES.get(parse_string(jwk, "crv"))
    if curve is None:
        raise InvalidKey(Reason.BAD_KEY, "curve is not allowed")
    x, y = parse_octets(jwk, "x"), parse_octets(jwk, "y")
    if len(x) != curve.width or len(y) != curve.width:
        raise InvalidKey(Reason.BAD_KEY, "coordinate is not of the curve's width")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve.library
    )
    try:
        return numbers.public_key()
    except ValueError:
        raise InvalidKey(Reason.BAD_KEY, "point is not on the curve") from None


def parse_okp(jwk: Mapping[str, Any]) -> ed25519.Ed25519PublicKey:
    """An Ed25519 point in canonical form that generates a big group."""
    if jwk.get("crv") != "Ed25519":
        raise InvalidKey(Reason.BAD_KEY, "curve is not allowed")
    x = parse_octets(jwk, "x")
    if len(x) != 32:
        raise InvalidKey(Reason.BAD_KEY, "Ed25519 key is not 32 bytes")
    check_ed25519(x)
    return ed25519.Ed25519PublicKey.from_public_bytes(x)


def parse_unsigned(jwk: Mapping[str, Any], name: str) -> int:
    """A positive integer in the fewest octets (RFC 7518 §2)."""
    octets = parse_octets(jwk, name)
    if not octets or octets[0] == 0:
        raise InvalidKey(Reason.BAD_KEY, f"{name} is not a minimal positive integer")
    return int.from_bytes(octets, "big")


def parse_octets(jwk: Mapping[str, Any], name: str) -> bytes:
    """The base64url member `name`."""
    try:
        return base64url.decode(parse_string(jwk, name))
    except InvalidToken:
        pass
    raise InvalidKey(Reason.BAD_KEY, f"{name} is not base64url")


def parse_string(jwk: Mapping[str, Any], name: str) -> str:
    """The member `name`, a string."""
    value = jwk.get(name)
    if not isinstance(value, str):
        raise InvalidKey(Reason.BAD_KEY, f"{name} is not a string")
    return value
