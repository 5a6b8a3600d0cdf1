"""The protected header of a compact JWS: RFC 7515 §4, RFC 8725 §3.1 and §3.11."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidToken, JoseMisuse, Reason
from dojang.jose.jwk import MAX_KID_LENGTH


def parse_header(segment: bytes) -> dict[str, Any]:
    """Decode a header segment into a strict JSON object. Raises `InvalidToken`."""
    return json_object.parse(base64url.decode(segment))


def check_critical(header: dict[str, Any]) -> None:
    """Refuse any `crit`: no extension is understood here (RFC 7515 §4.1.11, RFC 7797 §6)."""
    if "crit" in header or "b64" in header:
        raise InvalidToken(Reason.UNSUPPORTED_CRITICAL_HEADER, "crit and b64 are not supported")


def check_algorithm(header: dict[str, Any], allowed: frozenset[str]) -> str:
    """The `alg`, exactly one of the allowed names (RFC 8725 §3.1)."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise InvalidToken(Reason.ALGORITHM_NOT_ALLOWED, "alg is not one of those allowed")
    return algorithm


def check_type(header: dict[str, Any], allowed: frozenset[str | None]) -> None:
    """The `typ` is one of the expected media types (RFC 7515 §4.1.9, RFC 8725 §3.11)."""
    found = header.get("typ")
    if "typ" in header and not isinstance(found, str):
        raise InvalidToken(Reason.MALFORMED, "typ is not a string")
    if (None if found is None else normalize_type(found)) not in allowed:
        raise InvalidToken(Reason.TYPE_NOT_ALLOWED, "typ is not one of those expected")


def parse_kid(header: dict[str, Any]) -> str | None:
    """The kid, an opaque string of 1 to 128 characters, or nothing when absent."""
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise InvalidToken(Reason.MALFORMED, "kid is not a string of 1 to 128 characters")
    return kid


def normalize_type(name: str) -> str:
    """Lower case; `application/` is implied when there is no other slash (RFC 7515 §4.1.9)."""
    name = name.lower()
    return name if "/" in name else f"application/{name}"


def check_types(types: Collection[str | None]) -> frozenset[str | None]:
    """Check a caller's list of expected types. Raises `JoseMisuse`."""
    if isinstance(types, str):
        raise JoseMisuse("types is a collection of media types, not one string")
    if not types or "" in types:
        raise JoseMisuse("an empty list of types, or an empty type, accepts nothing")
    return frozenset(None if name is None else normalize_type(name) for name in types)
