"""The id_token, as a client must read it (OpenID Connect Core §3.1.3.7): who signed in, said by the
issuer that was asked, to this client, about this very sign-in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final

from dojang.client.sign_in_errors import Flaw, IdTokenRefused
from dojang.jose.jwt import DEFAULT_LEEWAY, JwtVerifier, check_claims
from dojang.jose.keys import ALGORITHMS, KeySet
from dojang.oauth.id_token import build_token_hash

ASYMMETRIC: Final = tuple(name for name, row in ALGORITHMS.items() if not row.symmetric)
TYPES: Final = (None, "JWT")
LONGEST_SUBJECT: Final = 255  # characters (§2)
_REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")
_KEPT: Final = ("iss", "sub", "auth_time", "azp", "nonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who reads tokens, and of whom. `other_audiences` may stand in `aud` beside the client; they
    are trusted with everything it says. `leeway` is in seconds."""

    issuer: str
    client_id: str
    algorithms: Collection[str] = ASYMMETRIC
    other_audiences: Collection[str] = ()
    leeway: int = DEFAULT_LEEWAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the id_token of one answer must fit. `max_age` is in seconds; of `acr_values`, where
    there are any, it must have one."""

    nonce: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    code: str | None = field(default=None, repr=False)
    max_age: int | None = None
    acr_values: Collection[str] = ()


def verify_id_token(
    token: str, keys: KeySet, *, recipient: Recipient, asked: Asked, now: int
) -> dict[str, Any]:
    """The claims. Raises `IdTokenRefused`, and `InvalidToken` of the signature and times."""
    verifier = JwtVerifier(keys, algorithms=recipient.algorithms, types=TYPES)
    signed = verifier.verify(token)
    claims = signed.claims
    if any(claims.get(name) is None for name in _REQUIRED):
        raise IdTokenRefused(Flaw.MISSING_CLAIM)
    check_claims(
        signed,
        issuer=recipient.issuer,
        audience=recipient.client_id,
        now=now,
        leeway=recipient.leeway,
    )
    check_party(claims, recipient)
    _check_subject(claims["sub"])
    _check_transaction(claims, asked, now=now, leeway=recipient.leeway)
    _check_hashes(claims, asked, signed.header["alg"])
    return claims


def check_party(claims: Mapping[str, Any], recipient: Recipient) -> None:
    """`aud` and `azp` (steps 3 to 5). Raises `IdTokenRefused`."""
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    trusted = {recipient.client_id, *recipient.other_audiences}
    if not trusted.issuperset(audiences):
        raise IdTokenRefused(Flaw.WRONG_AUDIENCE)
    azp = claims.get("azp")
    if azp != recipient.client_id and (len(audiences) > 1 or "azp" in claims):
        raise IdTokenRefused(Flaw.WRONG_PARTY)


def check_same_person(claims: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """The id_token of a refresh is about the sign-in of the first one (§12.2). Raises
    `IdTokenRefused`."""
    for name in _KEPT:
        if name in claims and claims[name] != before.get(name):
            raise IdTokenRefused(Flaw.OTHER_PERSON)


def _check_subject(subject: object) -> None:
    if not (isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT):
        raise IdTokenRefused(Flaw.BAD_CLAIM)


def _check_transaction(claims: Mapping[str, Any], asked: Asked, *, now: int, leeway: int) -> None:
    """`nonce`, `auth_time` and `acr` (steps 11 to 13)."""
    if asked.nonce is not None and not _is_same(claims.get("nonce"), asked.nonce):
        raise IdTokenRefused(Flaw.WRONG_NONCE)
    if "auth_time" in claims and type(claims["auth_time"]) is not int:
        raise IdTokenRefused(Flaw.BAD_CLAIM)
    if asked.max_age is not None:
        if "auth_time" not in claims:
            raise IdTokenRefused(Flaw.MISSING_CLAIM)
        if now > claims["auth_time"] + asked.max_age + leeway:
            raise IdTokenRefused(Flaw.SIGNED_IN_TOO_LONG_AGO)
    if asked.acr_values and claims.get("acr") not in asked.acr_values:
        raise IdTokenRefused(Flaw.WRONG_ACR)


def _check_hashes(claims: Mapping[str, Any], asked: Asked, algorithm: str) -> None:
    """`at_hash` (§3.1.3.8) and `c_hash` (§3.3.2.10), where they stand."""
    pairs = (
        ("at_hash", asked.access_token, Flaw.WRONG_ACCESS_TOKEN),
        ("c_hash", asked.code, Flaw.WRONG_CODE),
    )
    for name, value, flaw in pairs:
        if name not in claims or value is None:
            continue
        if not _is_same(claims[name], build_token_hash(value, algorithm)):
            raise IdTokenRefused(flaw)


def _is_same(found: object, expected: str) -> bool:
    return isinstance(found, str) and compare_digest(found.encode(), expected.encode())
