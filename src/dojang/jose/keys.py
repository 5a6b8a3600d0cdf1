"""The keys of this layer in one place: what others import."""

from dojang.jose.algorithms import ALGORITHMS, Algorithm
from dojang.jose.key_set import KeySet, SkippedKey
from dojang.jose.signing_key import SigningKey
from dojang.jose.verifying_key import VerifyingKey, parse_public_jwk, parse_symmetric_jwk

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "KeySet",
    "SigningKey",
    "SkippedKey",
    "VerifyingKey",
    "parse_public_jwk",
    "parse_symmetric_jwk",
]
