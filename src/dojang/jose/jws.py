"""Compact JWS, strict: RFC 7515 §3.1, §5.1, §5.2 with RFC 8725 §3.

What it does not do: JSON serialisation, detached or unencoded payloads, unprotected headers,
keys from the header (`jwk`, `jku`, `x5u`, `x5c` are never looked at).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature

from dojang.jose import base64url, json_object
from dojang.jose.algorithms import ALGORITHMS, check_algorithms
from dojang.jose.base64url import decode_bytes
from dojang.jose.errors import InvalidToken, JoseMisuse, Reason
from dojang.jose.header import (
    check_algorithm,
    check_critical,
    check_type,
    check_types,
    parse_header,
    parse_kid,
)
from dojang.jose.keys import KeySet, SigningKey
from dojang.jose.signatures import Verify

MAX_TOKEN_LENGTH = 8192
MAX_KNOWN_HEADERS = 256

_DOT = ord(".")
_OWN_HEADER = frozenset({"alg", "kid", "typ", "crit", "b64"})

Header = Mapping[str, Any]


class SignedPayload(NamedTuple):
    """A payload whose signature is good under key `kid` of the set; nothing else is checked."""

    header: Header
    payload: bytes
    kid: str | None


class CompactSigner:
    """Signs payloads of one type with one key; the header segment is made once."""

    __slots__ = ("_prefix", "_sign", "algorithm", "kid")

    def __init__(
        self, key: SigningKey, *, typ: str | None, extra: Mapping[str, Any] | None = None
    ) -> None:
        """`typ` None leaves the member out. Raises `JoseMisuse` for a header member we own."""
        if extra and not _OWN_HEADER.isdisjoint(extra):
            raise JoseMisuse("extra header members may not replace alg, kid, typ, crit or b64")
        header = {"alg": key.algorithm, "kid": key.kid}
        if typ is not None:
            header["typ"] = typ
        self.algorithm = key.algorithm
        self.kid = key.kid
        self._sign = key.sign
        self._prefix = base64url.encode_bytes(json_object.dump(header | dict(extra or {}))) + b"."

    def sign(self, payload: bytes) -> str:
        """The compact serialisation."""
        signing_input = self._prefix + base64url.encode_bytes(payload)
        signature = base64url.encode_bytes(self._sign(signing_input))
        return (signing_input + b"." + signature).decode("ascii")


class CompactVerifier:
    """Verifies compact JWS of expected types under one key set, with pinned algorithms."""

    __slots__ = ("_algorithms", "_keys", "_known", "_types")

    def __init__(
        self, keys: KeySet, *, algorithms: Collection[str], types: Collection[str | None]
    ) -> None:
        """A `None` among `types` accepts a header without `typ`; nothing else does.

        Raises `JoseMisuse` for an empty or unknown list, and for symmetric algorithms
        with asymmetric keys or the reverse.
        """
        self._algorithms = check_algorithms(algorithms)
        self._types = check_types(types)
        self._keys = keys
        symmetric = any(ALGORITHMS[name].symmetric for name in self._algorithms)
        if symmetric != keys.symmetric and len(keys):
            raise JoseMisuse("symmetric algorithms need a symmetric key set, and only they do")
        self._known: dict[bytes, tuple[Verify, Header, str | None]] = {}

    def verify(self, token: str) -> SignedPayload:
        """Check the token; the order is fixed.

        1. characters, length, exactly three segments of canonical base64url;
        2. header: strict JSON, no `crit`, `alg` allowed, `typ` expected, `kid` opaque;
        3. one key of the set fits;
        4. the signature.

        The caller reads the payload and checks what it says. Raises `InvalidToken`.
        """
        header, payload, kid = self.open(token)
        return SignedPayload(header, payload, kid)

    def open(self, token: str) -> tuple[Header, bytes, str | None]:
        """`verify` without the name for what comes out: for the layer that names it again."""
        # RFC 7515 §5.2
        raw = token.encode("ascii", "replace")
        if len(raw) > MAX_TOKEN_LENGTH:
            raise InvalidToken(Reason.TOO_LARGE, "token is over 8192 characters")
        signing_input, _, third = raw.rpartition(b".")
        first, dot, second = signing_input.partition(b".")
        if not dot or _DOT in second:
            raise InvalidToken(Reason.MALFORMED, "a compact JWS has three segments")
        payload, signature = decode_bytes(second), decode_bytes(third)
        known = self._known.get(first)
        verify, header, kid = known or self._find_verify(first)
        try:
            verify(signature, signing_input)
        except InvalidSignature:
            pass
        else:
            if known is None:
                self._remember(first, (verify, header, kid))
            return header, payload, kid
        raise InvalidToken(Reason.BAD_SIGNATURE, "signature does not fit")

    def _find_verify(self, segment: bytes) -> tuple[Verify, Header, str | None]:
        header = parse_header(segment)
        check_critical(header)
        algorithm = check_algorithm(header, self._algorithms)
        check_type(header, self._types)
        kid = parse_kid(header)
        key = self._keys.select(algorithm, kid)
        return key.verifier(algorithm), MappingProxyType(header), key.kid

    def _remember(self, segment: bytes, entry: tuple[Verify, Header, str | None]) -> None:
        # Only headers under a good signature get here, so junk cannot fill it.
        if len(self._known) >= MAX_KNOWN_HEADERS:
            self._known.clear()
        self._known[segment] = entry
