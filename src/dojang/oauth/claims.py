"""Claims about a person (OpenID Connect Core §5.1): which scopes ask for which (§5.4), and what the
claims parameter adds (§5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "openid": (),
    "profile": (
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
    "offline_access": (),
}
SCOPE_OF: Final[Mapping[str, str]] = {name: scope for scope in SCOPES for name in SCOPES[scope]}
STANDARD: Final = frozenset(SCOPE_OF)
ADDRESS: Final = frozenset(
    {"formatted", "street_address", "locality", "region", "postal_code", "country"}
)


def check_claims(claims: Mapping[str, Any]) -> None:
    """Raises `ValueError` unless each of `claims` about a person is one of §5.1, and of the type
    that it has there; the message says which is not."""
    for name, value in claims.items():
        if name not in STANDARD:
            raise ValueError(
                f"{name}: not of OpenID Connect Core §5.1: {', '.join(sorted(STANDARD))}"
            )
        if name.endswith("_verified"):
            if not isinstance(value, bool):
                raise ValueError(f"{name}: true or false")
        elif name == "updated_at":
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError("updated_at: seconds since 1970")
        elif name == "address":
            _check_address(value)
        elif not _is_text(value):
            raise ValueError(f"{name}: a text")


def _check_address(value: object) -> None:
    if not isinstance(value, dict) or not value:
        raise ValueError("address: an object (§5.1.1), such as formatted")
    for name, part in value.items():
        if name not in ADDRESS or not _is_text(part):
            raise ValueError(f"address: texts of §5.1.1: {', '.join(sorted(ADDRESS))}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def limit_claims(asked: Mapping[str, Any], scopes: Iterable[str]) -> dict[str, Any]:
    """What of the claims parameter somebody may have who may ask for `scopes`. A claim by itself
    is a part of its scope; what is of no scope (sub, acr) says nothing of the person."""
    allowed = set(scopes)
    return {
        half: {
            name: how
            for name, how in claims.items()
            if name not in SCOPE_OF or SCOPE_OF[name] in allowed
        }
        for half, claims in asked.items()
    }


def find_claims_scopes(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes that the claims of a claims parameter are parts of."""
    names = (name for claims in asked.values() for name in claims)
    return tuple(dict.fromkeys(SCOPE_OF[name] for name in names if name in SCOPE_OF))


def select_claims(
    known: Mapping[str, Any], scopes: Iterable[str], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What of `known` the scopes and one half of the claims parameter ask for. A claim that is not
    known is left out, essential or not (§5.5.1)."""
    names = dict.fromkeys(name for scope in scopes for name in SCOPES.get(scope, ()))
    names |= dict.fromkeys(name for name in asked if name in STANDARD)
    return {name: known[name] for name in names if known.get(name) is not None}
