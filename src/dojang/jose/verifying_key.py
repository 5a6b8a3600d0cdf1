"""Keys that verify. Public JWKs give one; a symmetric JWK gives one only when asked for by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidKey, JoseMisuse, Reason
from dojang.jose.jwk import (
    check_public,
    parse_algorithms,
    parse_ec,
    parse_kid,
    parse_octets,
    parse_okp,
    parse_rsa,
    parse_string,
)
from dojang.jose.key_policy import check_symmetric
from dojang.jose.signatures import PublicKey, Verify, build_verify


class VerifyingKey:
    """A public key, or an HMAC secret, with the algorithms it may serve."""

    __slots__ = ("_key", "algorithms", "kid", "members")

    def __init__(
        self,
        key: PublicKey | bytes,
        members: Mapping[str, str],
        *,
        algorithms: frozenset[str],
        kid: str | None,
    ) -> None:
        self._key = key
        self.members = dict(members)
        self.algorithms = algorithms
        self.kid = kid

    def __repr__(self) -> str:
        return f"VerifyingKey(kid={self.kid!r}, algorithms={sorted(self.algorithms)})"

    @property
    def symmetric(self) -> bool:
        return isinstance(self._key, bytes)

    @property
    def thumbprint(self) -> str:
        """RFC 7638 §3 thumbprint with SHA-256, base64url."""
        document = json_object.dump(dict(sorted(self.members.items())))
        return base64url.encode(hashlib.sha256(document).digest())

    def verifier(self, algorithm: str) -> Verify:
        """A function (signature, signing input) that raises `InvalidSignature`.

        Raises `JoseMisuse` when the key does not serve the algorithm.
        """
        if algorithm not in self.algorithms:
            raise JoseMisuse("the key does not serve this algorithm")
        return build_verify(algorithm, self._key)

    def public_jwk(self) -> dict[str, Any]:
        """The public JWK as it may be published. Raises `JoseMisuse` for a symmetric key."""
        if self.symmetric:
            raise JoseMisuse("a symmetric key has no public half")
        jwk: dict[str, Any] = dict(self.members)
        if len(self.algorithms) == 1:
            (jwk["alg"],) = self.algorithms
        if self.kid is not None:
            jwk["kid"] = self.kid
        return jwk | {"use": "sig"}


def parse_public_jwk(jwk: Mapping[str, Any]) -> VerifyingKey:
    """Read a public JWK for verification. Raises `InvalidKey`."""
    check_public(jwk)
    kty, curve = parse_string(jwk, "kty"), ""
    key: PublicKey
    names: tuple[str, ...]
    if kty == "RSA":
        key, names = parse_rsa(jwk), ("e", "kty", "n")
    elif kty == "EC":
        curve = parse_string(jwk, "crv")
        key, names = parse_ec(jwk), ("crv", "kty", "x", "y")
    elif kty == "OKP":
        curve = parse_string(jwk, "crv")
        key, names = parse_okp(jwk), ("crv", "kty", "x")
    else:
        raise InvalidKey(Reason.BAD_KEY, "kty is not RSA, EC or OKP")
    return VerifyingKey(
        key,
        {name: jwk[name] for name in names},
        algorithms=parse_algorithms(jwk, kty, curve, operation="verify"),
        kid=parse_kid(jwk),
    )


def parse_symmetric_jwk(jwk: Mapping[str, Any]) -> VerifyingKey:
    """Read an HMAC secret; its `alg` is required. Raises `InvalidKey`.

    Whoever can verify with it can also sign with it: both sides opt in by name.
    """
    if jwk.get("kty") != "oct":
        raise InvalidKey(Reason.BAD_KEY, "kty is not oct")
    if "alg" not in jwk:
        raise InvalidKey(Reason.BAD_KEY, "symmetric JWK names no alg")
    algorithms = parse_algorithms(jwk, "oct", "", operation="verify")
    secret = parse_octets(jwk, "k")
    for algorithm in algorithms:
        check_symmetric(secret, algorithm)
    return VerifyingKey(
        secret, {"k": jwk["k"], "kty": "oct"}, algorithms=algorithms, kid=parse_kid(jwk)
    )
