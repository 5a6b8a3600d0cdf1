"""The id_token: who signed in, said to one client (OpenID Connect Core §2). It opens no API: its
type and its keys are not those of access tokens."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256, sha384, sha512
from typing import Any, Final

from dojang.jose import base64url

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "PS256")
# To a key of the client (OpenID Connect Core §16.14): what is out of use stays out.
KEY_ENCRYPTION: Final = ("RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
CONTENT_ENCRYPTION: Final = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")
LIFETIME: Final = 600  # seconds; it is read once, at once
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}


def build_token_hash(token: str, algorithm: str) -> str:
    """`at_hash` of an access token, or `c_hash` of a code (OpenID Connect Core §3.1.3.6 and
    §3.3.2.11): half a hash, of the size that the id_token's algorithm has; EdDSA's is SHA-512."""
    digest = _HASHES.get(algorithm[-3:], sha512)(token.encode("ascii")).digest()
    return base64url.encode(digest[: len(digest) // 2])


def build_id_token_claims(
    *,
    issuer: str,
    subject: str,
    client_id: str,
    now: int,
    auth_time: int,
    nonce: str | None,
    at_hash: str,
    acr: str | None,
    amr: tuple[str, ...],
    session_id: str | None,
    person: Mapping[str, Any],
) -> dict[str, Any]:
    """The claims. `person` are what the claims parameter asked to have in the id_token."""
    claims: dict[str, Any] = {
        **person,
        "iss": issuer,
        "sub": subject,
        "aud": client_id,
        "exp": now + LIFETIME,
        "iat": now,
        "auth_time": auth_time,
        "at_hash": at_hash,
    }
    optional = {"nonce": nonce, "acr": acr, "amr": list(amr) or None, "sid": session_id}
    return claims | {name: value for name, value in optional.items() if value is not None}
