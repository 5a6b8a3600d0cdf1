"""The leases of followers: sealed, stateless, good on every node.

A lease is like a token: facts kill it by its client, by the keys that its holder was given and by
the token that it was got with. One that proved genuine is opened once; whether it is still good is
asked again whenever the server's position has moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.feed import KEY_BYTES
from dojang.oauth.http import Request
from dojang.oauth.revocation_fact import Rev
from dojang.server.access_tokens import PresentedAccessToken
from dojang.server.ids import new_id
from dojang.server.lifetimes import FEED_LEASE
from dojang.server.model import Position, Resource
from dojang.trust.marks import Marks

if TYPE_CHECKING:
    from dojang.server.keyring import SigningView
    from dojang.server.state import State

PREFIX: Final = "dojang_fl_"
MOST_KNOWN: Final = 8192
_CONTEXT: Final = b"dojang feed lease"


class LeaseClaims(Struct, frozen=True, array_like=True):
    """What a lease holds. `named_by` are identifiers that a fact can name it by, as it would a
    token (the names are those of claims); `kids` are keys whose end is its own."""

    follower_id: str
    client_id: str
    name: str
    proof_key: bytes
    expires_at: int
    rev: Rev
    named_by: dict[str, str]
    kids: tuple[str, ...]

    def __repr__(self) -> str:
        return f"LeaseClaims({self.follower_id!r})"


class _OpenedLease:
    """A genuine lease. It was good at the position `good_at`."""

    __slots__ = ("claims", "good_at", "marks")

    def __init__(self, claims: LeaseClaims, marks: tuple[Marks, ...]) -> None:
        self.claims = claims
        self.marks = marks
        self.good_at: Position | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(LeaseClaims).decode


class Leases:
    """Gives leases and reads those that come back."""

    def __init__(self, state: State, *, issuer: str) -> None:
        self._state = state
        self._issuer = issuer
        self._view: SigningView | None = None
        self._known: dict[str, _OpenedLease] = {}
        self._resources: Mapping[str, Resource] = {}
        self._introspectors: frozenset[str] = frozenset()

    def issue(
        self,
        client_id: str,
        name: str,
        *,
        token: PresentedAccessToken | None,
        position: Position,
        now: float,
    ) -> tuple[str, LeaseClaims]:
        """A lease for a client that was authenticated at `position`, by `token` unless that is
        None, and what the lease holds.

        Raises `OAuthError` for a client that is nobody's introspector, and `Unavailable`.
        """
        if client_id not in self._find_introspectors():
            raise OAuthError(
                ErrorCode.UNAUTHORIZED_CLIENT,
                "The client may introspect for no resource.",
                reason="no_introspector",
            )
        keys = self._state.keys.at(int(now))
        if keys.seals is None or keys.feed is None:
            raise Unavailable("the feed's keys")
        named_by, kids = _find_origin(client_id, token)
        ends = int(now) + FEED_LEASE
        claims = LeaseClaims(
            follower_id=new_id(int(now * 1000)),
            client_id=client_id,
            name=name,
            proof_key=token_bytes(KEY_BYTES),
            expires_at=ends if token is None else min(ends, token.claims.exp),
            rev=position.rev,
            named_by={**named_by, "iss": self._issuer},
            kids=(*kids, *keys.feed.kids),
        )
        return PREFIX + base64url.encode(keys.seals.seal(_encode(claims), _CONTEXT)), claims

    async def find(self, request: Request, *, now: float) -> LeaseClaims:
        """The lease that a request shows. The barrier was reached before.

        1. this server made it; 2. it has not expired; 3. no fact killed it; 4. its client exists
        and is enabled, and 5. is still somebody's introspector.
        Raises `OAuthError` and `Unavailable`.
        """
        header = request.header(b"authorization") or b""
        if header[:7].lower() != b"bearer ":
            raise _refused("no_lease")
        lease = self._open(header[7:].strip().decode("latin-1"), now=int(now))
        if lease.claims.expires_at <= now:
            raise _refused("lease_expired")
        position = self._state.position
        if lease.good_at is not position:
            await self._check(lease)
            lease.good_at = position
        return lease.claims

    def _open(self, lease: str, *, now: int) -> _OpenedLease:
        view = self._state.keys.at(now)
        if view is not self._view:
            self._view, self._known = view, {}
        opened = self._known.get(lease)
        if opened is None:
            opened = self._unseal(view, lease)
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[lease] = opened
        return opened

    def _unseal(self, view: SigningView, lease: str) -> _OpenedLease:
        if not lease.startswith(PREFIX) or view.seals is None:
            raise _refused("not_a_lease")
        try:
            box = base64url.decode(lease[len(PREFIX) :])
            payload, kid = view.seals.open(box, _CONTEXT)
            claims = _decode(payload)
        except (InvalidToken, msgspec.ValidationError):
            raise _refused("not_a_lease") from None
        return _OpenedLease(claims, tuple(self._mark(claims, kid)))

    def _mark(self, claims: LeaseClaims, sealed_by: str) -> Iterator[Marks]:
        mark = self._state.revocations.mark
        yield mark(claims.rev, {**claims.named_by, "kid": sealed_by})
        for kid in claims.kids:
            yield mark(claims.rev, {"kid": kid})

    async def _check(self, lease: _OpenedLease) -> None:
        find_killer = self._state.revocations.find_killer
        if any(find_killer(marks) is not None for marks in lease.marks):
            raise _refused("lease_killed")
        client = await self._state.find_client(lease.claims.client_id)
        if client is None or not client.enabled:
            raise _refused("client_gone")
        if client.client_id not in self._find_introspectors():
            raise _refused("no_introspector")

    def _find_introspectors(self) -> frozenset[str]:
        resources = self._state.resources
        if resources is not self._resources:
            self._resources = resources
            self._introspectors = frozenset(
                client_id for resource in resources.values() for client_id in resource.introspectors
            )
        return self._introspectors


def _find_origin(
    client_id: str, token: PresentedAccessToken | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What a fact can name a lease by, and the keys whose end is its own."""
    if token is None:
        return {"client_id": client_id}, ()
    claims = token.claims
    named_by = {
        "client_id": claims.client_id,
        "jti": claims.jti,
        "grant": claims.grant,
        "sub": claims.sub,
    }
    return named_by, (token.kid,)


def _refused(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_TOKEN, "The lease is not good: join again.", reason=reason)
