"""Proof Key for Code Exchange: RFC 7636 with S256, the one method there is (RFC 9700 §2.1.1)."""

from __future__ import annotations

import re
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from dojang.jose import base64url

METHOD: Final = "S256"
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2, of 32 bytes
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


def is_challenge(value: str) -> bool:
    """Whether `value` can be the S256 challenge of a verifier."""
    return _CHALLENGE.fullmatch(value) is not None


def build_challenge(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 §4.2)."""
    return base64url.encode(sha256(verifier.encode("ascii")).digest())


def is_verifier_of(verifier: str, challenge: str) -> bool:
    """Whether `verifier` is well-formed and its challenge is `challenge`; in constant time."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    return compare_digest(build_challenge(verifier), challenge)
