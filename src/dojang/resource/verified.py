"""The only thing application code sees of a token."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from dojang.oauth.access_token import AccessToken
from dojang.oauth.token_exchange import parse_actors

_NOTHING: Final = frozenset({""})


class Identity(NamedTuple):
    """Who someone is: a subject is unique within its issuer and nowhere else."""

    issuer: str
    subject: str


class VerifiedToken:
    """An access token that passed every check its service demands. It cannot be changed.

    Times are seconds since 1970. `scopes` is what may be done; `roles` is what the subject is in
    the issuer's domain. What an issuer leaves out is None or empty, and empty means no.
    """

    __slots__ = ("_claims", "_roles", "_scopes", "_token")

    def __init__(self, token: AccessToken) -> None:
        claims = token.claims
        self._token = token
        self._claims: Mapping[str, Any] | None = None
        self._scopes = frozenset(claims.get("scope", "").split(" ")) - _NOTHING
        self._roles = _parse_roles(claims["roles"]) if "roles" in claims else frozenset()

    def __repr__(self) -> str:
        token = self._token
        return f"VerifiedToken(client_id={token.client_id!r}, subject={token.subject!r})"

    @property
    def scopes(self) -> frozenset[str]:
        return self._scopes

    @property
    def roles(self) -> frozenset[str]:
        return self._roles

    @property
    def issuer(self) -> str:
        return self._token.issuer

    @property
    def subject(self) -> str:
        return self._token.subject

    @property
    def identity(self) -> Identity:
        return Identity(self._token.issuer, self._token.subject)

    @property
    def client_id(self) -> str:
        return self._token.client_id

    @property
    def audience(self) -> tuple[str, ...]:
        return self._token.audience

    @property
    def expires_at(self) -> float:
        return self._token.expires_at

    @property
    def issued_at(self) -> float | None:
        return self._token.issued_at

    @property
    def token_id(self) -> str | None:
        return self._token.token_id

    @property
    def auth_time(self) -> float | None:
        """When the subject signed in (RFC 9068 §2.2.1)."""
        value = self._token.claims.get("auth_time")
        return value if type(value) in (int, float) else None

    @property
    def acr(self) -> str | None:
        """How the subject signed in (RFC 9068 §2.2.1)."""
        value = self._token.claims.get("acr")
        return value if type(value) is str else None

    @property
    def actors(self) -> tuple[str, ...]:
        """Who acts for the subject and who did so before, latest first (RFC 8693 §4.1); empty where
        the token was not exchanged. Only the first is `client_id`; the others say how it came."""
        return parse_actors(self._token.claims)

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only throughout."""
        if self._claims is None:
            self._claims = _freeze(self._token.claims)
        return self._claims


def _parse_roles(value: Any) -> frozenset[str]:
    # RFC 9068 §2.2.3.1; an issuer's other shapes are mapped by a profile of that issuer.
    if type(value) is list and all(type(role) is str for role in value):
        return frozenset(value)
    return frozenset()


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({name: _freeze(member) for name, member in value.items()})
    if isinstance(value, list):
        return tuple(map(_freeze, value))
    return value
