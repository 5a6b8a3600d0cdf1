"""Whether presented credentials are a client's: secrets and signed assertions.

Generated 256-bit secrets need no slow hash: SHA-256 and a comparison in constant time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from secrets import token_bytes
from typing import Any, Final

from dojang.jose import base64url, json_object
from dojang.jose.errors import JoseError
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.client_assertion import (
    ALGORITHMS,
    TYPES,
    AssertionRefused,
    CheckedAssertion,
    check_client_assertion,
)

SECRET_PREFIX: Final = "dojang_cs_"


def generate_secret() -> str:
    """A new client secret: 256 random bits behind a prefix that scanners recognise."""
    return SECRET_PREFIX + base64url.encode(token_bytes(32))


def hash_secret(secret: str) -> bytes:
    """What is stored of a generated secret (32 bytes)."""
    return sha256(secret.encode()).digest()


def is_secret(presented: str, digests: Iterable[bytes]) -> bool:
    """Whether `presented` is a secret with one of `digests`; every one is compared."""
    digest = sha256(presented.encode()).digest()
    found = False
    for known in digests:
        found |= compare_digest(digest, known)
    return found


def verify_client_assertion(
    assertion: str,
    *,
    client_id: str,
    jwks: Mapping[str, Any],
    issuer: str,
    now: int,
    algorithms: Collection[str] = ALGORITHMS,
) -> CheckedAssertion:
    """Signature under a key of the client, then the claims. Raises `AssertionRefused`."""
    try:
        verifier = JwtVerifier(KeySet.parse(jwks), algorithms=algorithms, types=TYPES)
        signed = verifier.verify(assertion)
    except JoseError as error:
        raise AssertionRefused(f"assertion_{error.reason}") from error
    return check_client_assertion(signed.claims, client_id=client_id, issuer=issuer, now=now)


def read_assertion_subject(assertion: str) -> str | None:
    """The client_id that an assertion claims to be of, nothing proven; None where unreadable.

    It only says whose keys to try: the signature is checked under those and no others.
    """
    parts = assertion.split(".")
    if len(parts) != 3:
        return None
    try:
        subject = json_object.parse(base64url.decode(parts[1])).get("sub")
    except JoseError:
        return None
    return subject if isinstance(subject, str) else None
