"""The signature algorithms we know: RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.

`none` is not in the table, so it cannot be configured, asked for or met.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from dojang.jose.errors import JoseMisuse


class Algorithm(NamedTuple):
    """One row: what a key must be to serve the name. `curve` is empty where there is none."""

    name: str
    kty: str
    curve: str
    hash_name: str
    scheme: str

    @property
    def symmetric(self) -> bool:
        return self.kty == "oct"


ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm("RS256", "RSA", "", "sha256", "pkcs1"),
        Algorithm("RS384", "RSA", "", "sha384", "pkcs1"),
        Algorithm("RS512", "RSA", "", "sha512", "pkcs1"),
        Algorithm("PS256", "RSA", "", "sha256", "pss"),
        Algorithm("PS384", "RSA", "", "sha384", "pss"),
        Algorithm("PS512", "RSA", "", "sha512", "pss"),
        Algorithm("ES256", "EC", "P-256", "sha256", "ecdsa"),
        Algorithm("ES384", "EC", "P-384", "sha384", "ecdsa"),
        Algorithm("ES512", "EC", "P-521", "sha512", "ecdsa"),
        Algorithm("EdDSA", "OKP", "Ed25519", "sha512", "eddsa"),
        Algorithm("Ed25519", "OKP", "Ed25519", "sha512", "eddsa"),
        Algorithm("HS256", "oct", "", "sha256", "hmac"),
        Algorithm("HS384", "oct", "", "sha384", "hmac"),
        Algorithm("HS512", "oct", "", "sha512", "hmac"),
    )
}


def check_algorithms(names: Collection[str]) -> frozenset[str]:
    """Check a caller's allow-list: known names, not empty, not symmetric and asymmetric mixed.

    Raises `JoseMisuse`.
    """
    if isinstance(names, str):
        raise JoseMisuse("algorithms is a collection of names, not one string")
    allowed = frozenset(names)
    if not allowed:
        raise JoseMisuse("an empty list of algorithms accepts nothing")
    if not allowed <= ALGORITHMS.keys():
        raise JoseMisuse(f"unknown algorithm; known are {', '.join(ALGORITHMS)}")
    if len({ALGORITHMS[name].symmetric for name in allowed}) > 1:
        raise JoseMisuse("symmetric and asymmetric algorithms are never mixed")
    return allowed


def find_algorithms(kty: str, curve: str) -> frozenset[str]:
    """Names of the algorithms a key of this type and curve can serve."""
    return frozenset(
        row.name for row in ALGORITHMS.values() if row.kty == kty and row.curve == curve
    )
