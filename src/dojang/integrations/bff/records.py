"""What the server keeps of one browser's session. Nothing of it but `claims` is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from dojang.client import SignedIn, Tokens
from dojang.jose import json_object

MAX_BYTES: Final = 131_072
AHEAD: Final = 0.8  # of its life an access token is used before it is renewed
_BEFORE: Final = ("iss", "sub", "auth_time", "azp", "nonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An access token. Times are in seconds since 1970; `refreshed` says that a refresh, and not
    the sign-in, brought it."""

    token: str = field(repr=False)
    issued_at: float
    renew_at: float
    expires_at: float
    refreshed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSession:
    """`before` are the claims that a later id_token is held against; `access` is by resource, with
    an empty name where none is named. It is over at `ends_at`, whatever is done with it."""

    claims: Mapping[str, Any] = field(repr=False)
    before: Mapping[str, Any] = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    access: Mapping[str, Access]
    ends_at: float

    def renew(self, resource: str | None, tokens: Tokens, *, now: float) -> BrowserSession:
        """The same session after a refresh."""
        access = make_access(tokens, now=now, refreshed=True)
        return replace(
            self,
            access={**self.access, resource or "": access},
            refresh_token=tokens.refresh_token or self.refresh_token,
            id_token=self.id_token and (tokens.id_token or self.id_token),
        )


def make_session(
    signed_in: SignedIn,
    claims: Mapping[str, Any],
    *,
    resource: str | None,
    keep_id_token: bool,
    now: float,
    ends_at: float,
) -> BrowserSession:
    """The session of somebody who has just signed in."""
    tokens = signed_in.tokens
    return BrowserSession(
        claims=claims,
        before={name: signed_in.claims[name] for name in _BEFORE if name in signed_in.claims},
        refresh_token=tokens.refresh_token,
        id_token=tokens.id_token if keep_id_token else None,
        access={resource or "": make_access(tokens, now=now, refreshed=False)},
        ends_at=ends_at,
    )


def make_access(tokens: Tokens, *, now: float, refreshed: bool) -> Access:
    """The access token of an answer that came at `now`."""
    return Access(
        token=tokens.access_token,
        issued_at=now,
        renew_at=now + (tokens.expires_at - now) * AHEAD,
        expires_at=tokens.expires_at,
        refreshed=refreshed,
    )


def dump_session(session: BrowserSession) -> bytes:
    """To be sealed. Claims are a document of their own: it may be as deep as theirs."""
    claims = json_object.dump(dict(session.claims)).decode()
    return json_object.dump({**asdict(session), "claims": claims})


def parse_session(document: bytes) -> BrowserSession:
    """What `dump_session` wrote. Raises `InvalidToken`, `KeyError` and `TypeError` for another."""
    members = json_object.parse(document, max_bytes=MAX_BYTES)
    claims = json_object.parse(members["claims"].encode(), max_bytes=MAX_BYTES)
    access = {name: Access(**each) for name, each in members["access"].items()}
    return BrowserSession(**{**members, "claims": claims, "access": access})
