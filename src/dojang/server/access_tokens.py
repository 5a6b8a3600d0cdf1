"""Access tokens of this server: how they are issued and how one that comes back is read.

Both formats hold the same claims (RFC 9068 §2.2 and Dojang's `grant` and `rev`). Neither costs a
row: a JWT is signed, an opaque token is its claims sealed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import Rev
from dojang.server.ids import new_id
from dojang.server.keyring import KeyRing, SigningView
from dojang.server.model import Client, Position, Resource, StandingGrant, TokenFormat

OPAQUE_PREFIX: Final = "dojang_at_"
MOST_KNOWN: Final = 8192  # tokens, of about 2 KB each
_SEAL_CONTEXT: Final = b"dojang access token"


class Actor(Struct, frozen=True, omit_defaults=True):
    """A client that acts for the subject, and the one that did so before (RFC 8693 §4.1)."""

    sub: str
    act: Actor | None = None


class Ancestor(Struct, frozen=True):
    """What facts know a token by that another was exchanged for. Subject and session are those of
    what came of it."""

    jti: str
    grant: str
    client_id: str
    kid: str


class AccessTokenClaims(Struct, frozen=True, omit_defaults=True):
    """The claims of an access token, in the order they are written. Those from `sid` on are about
    a person who signed in (RFC 9068 §2.2.1), and left out where there is none; those from `act` on
    are of a token that was exchanged for another, whose `ancestors` are given, latest first."""

    iss: str
    sub: str
    aud: str
    client_id: str
    exp: int
    iat: int
    jti: str
    scope: str
    grant: str
    rev: Rev
    sid: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    act: Actor | None = None
    ancestors: tuple[Ancestor, ...] = ()


def find_root(claims: AccessTokenClaims) -> AccessTokenClaims | Ancestor:
    """The token that nothing was exchanged for: where its chain begins, or it itself."""
    return claims.ancestors[-1] if claims.ancestors else claims


class PresentedAccessToken(NamedTuple):
    """An access token that this server made, as its signature or seal proves. Whether it is still
    good is not said."""

    claims: AccessTokenClaims
    kid: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(AccessTokenClaims).decode


def issue_access_token(
    keys: KeyRing,
    *,
    issuer: str,
    client: Client,
    grant: StandingGrant,
    resource: Resource,
    scope: str,
    position: Position,
    now: float,
) -> str:
    """Mint one for a client that acts for itself. `now` is in seconds since 1970; `scope` is what
    was granted, space separated.

    Raises `Unavailable` where no key for the resource's format is active.
    """
    at = int(now)
    claims = AccessTokenClaims(
        issuer,
        client.client_id,
        resource.identifier,
        client.client_id,
        at + resource.access_token_lifetime,
        at,
        new_id(int(now * 1000)),
        scope,
        grant.grant_id,
        Rev(position.epoch, position.head),
    )
    return write_access_token(keys, claims, resource)


def write_access_token(keys: KeyRing, claims: AccessTokenClaims, resource: Resource) -> str:
    """The token of `claims` in the format of its resource, under the keys of its `iat`.

    Raises `Unavailable` where no key for the format is active.
    """
    payload = _encode(claims)
    view = keys.at(claims.iat)
    if resource.token_format is TokenFormat.OPAQUE:
        if view.seals is None:
            raise Unavailable("the sealing key")
        return OPAQUE_PREFIX + base64url.encode(view.seals.seal(payload, _SEAL_CONTEXT))
    signer = view.signers.get(resource.algorithm)
    if signer is None:
        raise Unavailable("the signing key")
    return signer.sign(payload)


class TokenReader:
    """Reads tokens that come back. One that proved genuine is not opened again under the same
    keys; whether it is still good is asked every time, and not here."""

    __slots__ = ("_keys", "_known", "_view")

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._view: SigningView | None = None
        self._known: dict[str, PresentedAccessToken] = {}

    def parse(self, token: str, *, now: int) -> PresentedAccessToken | None:
        """A token that this server made; None for anything else, whatever is wrong with it."""
        view = self._keys.at(now)
        if view is not self._view:
            self._view, self._known = view, {}
        presented = self._known.get(token)
        if presented is None:
            presented = _open(view, token)
            if presented is not None:
                if len(self._known) >= MOST_KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[token] = presented
        return presented


def _open(view: SigningView, token: str) -> PresentedAccessToken | None:
    try:
        if token.startswith(OPAQUE_PREFIX):
            if view.seals is None:
                return None
            box = base64url.decode(token[len(OPAQUE_PREFIX) :])
            payload, kid = view.seals.open(box, _SEAL_CONTEXT)
            return PresentedAccessToken(_decode(payload), kid)
        if view.verifier is None:
            return None
        signed = view.verifier.verify(token)
        if signed.kid is None:
            return None
        return PresentedAccessToken(msgspec.convert(signed.claims, AccessTokenClaims), signed.kid)
    except (InvalidToken, msgspec.ValidationError):
        return None
