"""Who may sign in. This server keeps people itself (`server.people`), or the application that it is
mounted in does: whatever fulfils `Accounts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from dojang.server.ports import Change


class Profile(Struct, frozen=True, kw_only=True):
    """A person as clients may know them: `claims` are those of OpenID Connect Core §5.1, without
    `sub`."""

    account_id: str
    claims: Mapping[str, Any]


class Proven(Struct, frozen=True, kw_only=True):
    """Somebody who proved who they are, and how (`amr`, RFC 8176; `acr`, OpenID Connect Core §2).
    `auth_time` is when, if not now (seconds since 1970). `holds` are preconditions of what is
    written on the strength of it."""

    account_id: str
    amr: tuple[str, ...]
    acr: str | None = None
    auth_time: int | None = None
    holds: Sequence[Change] = ()


class TooManyAttempts(Exception):
    """Wrong passwords came too often: come back in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many attempts")
        self.retry_after = retry_after


class Accounts(Protocol):
    """People and how they prove who they are."""

    async def authenticate(self, username: str, password: str, *, network: str) -> Proven | None:
        """None for an unknown name, a wrong password and an account that is disabled: in the same
        time (C106). `network` is where the attempt came from.

        Raises `TooManyAttempts` and `Unavailable`."""

    async def find_profile(self, account_id: str) -> Profile | None:
        """None where the account is gone or disabled: then it has no session and no token."""
