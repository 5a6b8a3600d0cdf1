"""Compact JWE: RFC 7516 §3.1, §5.2 on joserfc, behind the strict rules of RFC 8725 §3.

Own rules, checked before joserfc sees anything: five canonical segments, a strict header without
`crit` or `zip`, the one `alg` and the one `enc` the caller configured, a key that passes the key
policy and agrees with both, and for ECDH-ES a point on the key's own curve.
RSA1_5 does not exist here; PBES2 only with an iteration count of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from dojang.jose import base64url, json_object
from dojang.jose.errors import (
    InvalidKey,
    InvalidToken,
    JoseMisuse,
    JoseUnavailable,
    Reason,
    UnknownKey,
)
from dojang.jose.header import check_critical, parse_kid
from dojang.jose.jwe_keys import check_key, check_same_curve

if TYPE_CHECKING:
    from joserfc.jwe import JWERegistry

MAX_TOKEN_LENGTH = 16_384
MIN_ITERATIONS = 1000

KEY_ALGORITHMS = frozenset(
    {
        *("RSA-OAEP", "RSA-OAEP-256"),
        *("ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"),
        *("A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "dir"),
    }
)
PASSWORD_ALGORITHMS = frozenset({"PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"})
CONTENT_ALGORITHMS = frozenset(
    {"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}
)

_DIRECT = frozenset({"dir", "ECDH-ES"})
_KEY_RESTRICTIONS = frozenset({"alg", "use", "key_ops", "kid"})


class Decrypted(NamedTuple):
    """The header and plaintext of a JWE that was encrypted for our key, by anyone."""

    header: dict[str, Any]
    plaintext: bytes


def decrypt_compact(
    token: str,
    key: Mapping[str, Any],
    *,
    algorithm: str,
    encryption: str,
    iterations: int | None = None,
) -> Decrypted:
    """Decrypt with a private or symmetric JWK, under exactly this `alg` and `enc`.

    `iterations`, our own PBES2 count, opts in to PBES2; a token may ask for at most twice it.
    Raises `InvalidToken`, `InvalidKey`, `JoseMisuse`; `JoseUnavailable` without joserfc.
    """
    _check_configured(algorithm, encryption, iterations)
    segments = _split(token)
    header = json_object.parse(base64url.decode(segments[0]))
    if algorithm in _DIRECT and segments[1]:
        raise InvalidToken(Reason.MALFORMED, "a direct key leaves no encrypted key")
    _check_header(header, key, algorithm, encryption, iterations)
    check_key(key, algorithm, encryption, operation="decrypt")
    if algorithm.startswith("ECDH-ES"):
        check_same_curve(header.get("epk"), key)
    return Decrypted(header, _decrypt(token, key, algorithm, encryption))


def encrypt_compact(
    plaintext: bytes,
    key: Mapping[str, Any],
    *,
    algorithm: str,
    encryption: str,
    iterations: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Encrypt for a public or symmetric JWK. `extra` adds header members such as `cty`.

    Raises `InvalidKey`, `JoseMisuse`; `JoseUnavailable` without joserfc.
    """
    _check_configured(algorithm, encryption, iterations)
    check_key(key, algorithm, encryption, operation="encrypt")
    header: dict[str, Any] = {"alg": algorithm, "enc": encryption}
    if extra and not {*header, "kid", "zip", "crit", "epk", "p2c", "p2s"}.isdisjoint(extra):
        raise JoseMisuse("extra header members may not replace ours")
    if "kid" in key:
        header["kid"] = key["kid"]
    if iterations is not None:
        header["p2c"] = iterations
    jwe, registry = _load_joserfc(algorithm, encryption)
    try:
        token = jwe.encrypt_compact(
            header | dict(extra or {}), plaintext, _import_key(key), registry=registry
        )
    except Exception:  # noqa: BLE001 - joserfc on a hostile key, such as a point of small order
        token = None
    if token is None:
        raise InvalidKey(Reason.BAD_KEY, "one cannot encrypt to the key")
    return str(token)


def _check_configured(algorithm: str, encryption: str, iterations: int | None) -> None:
    if encryption not in CONTENT_ALGORITHMS:
        raise JoseMisuse("unknown content encryption")
    if algorithm in PASSWORD_ALGORITHMS:
        if iterations is None or iterations < MIN_ITERATIONS:
            raise JoseMisuse("PBES2 needs an iteration count of at least 1000")
    elif algorithm not in KEY_ALGORITHMS or iterations is not None:
        raise JoseMisuse("unknown key algorithm, or iterations without PBES2")


def _split(token: str) -> list[str]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken(Reason.TOO_LARGE, "token is over 16384 characters")
    segments = token.split(".")
    if len(segments) != 5:
        raise InvalidToken(Reason.MALFORMED, "a compact JWE has five segments")
    for segment in segments:
        base64url.decode(segment)
    return segments


def _check_header(
    header: dict[str, Any],
    key: Mapping[str, Any],
    algorithm: str,
    encryption: str,
    iterations: int | None,
) -> None:
    check_critical(header)
    # RFC 8725 §3.6: what is compressed leaks through its length, and inflates without bound.
    if "zip" in header:
        raise InvalidToken(Reason.COMPRESSION_NOT_ALLOWED, "zip is not supported")
    if header.get("alg") != algorithm or header.get("enc") != encryption:
        raise InvalidToken(Reason.ALGORITHM_NOT_ALLOWED, "alg or enc is not the one configured")
    kid = parse_kid(header)
    if kid is not None and key.get("kid", kid) != kid:
        raise UnknownKey("the token names another key")
    if iterations is not None:
        count = header.get("p2c")
        if type(count) is not int or not MIN_ITERATIONS <= count <= 2 * iterations:
            raise InvalidToken(Reason.ALGORITHM_NOT_ALLOWED, "p2c is out of bounds")


def _decrypt(token: str, key: Mapping[str, Any], algorithm: str, encryption: str) -> bytes:
    jwe, registry = _load_joserfc(algorithm, encryption)
    try:
        opened = jwe.decrypt_compact(token, _import_key(key), registry=registry)
        plaintext: bytes | None = opened.plaintext
    except Exception:  # noqa: BLE001 - joserfc on hostile input: one answer to every failure
        plaintext = None
    if plaintext is None:
        raise InvalidToken(Reason.BAD_ENCRYPTION, "token does not decrypt")
    return plaintext


def _load_joserfc(algorithm: str, encryption: str) -> tuple[ModuleType, JWERegistry]:
    try:
        from joserfc import jwe
    except ImportError as missing:
        raise JoseUnavailable("JWE needs joserfc: install dojang[server]") from missing
    allowed = [algorithm, encryption]
    return jwe, jwe.JWERegistry(algorithms=allowed, strict_check_header=False)


def _import_key(key: Mapping[str, Any]) -> Any:
    from joserfc.jwk import import_key

    # What restricts the key is checked; joserfc gets the material alone.
    material = {name: value for name, value in key.items() if name not in _KEY_RESTRICTIONS}
    return import_key(material)
