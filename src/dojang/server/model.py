"""The nouns that an authorization server remembers. Values only: no I/O, no clock.

Times are whole seconds since 1970; lifetimes are seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

from dojang.oauth.revocation_fact import FactKind, Rev


class Position(NamedTuple):
    """How far the store has come. `head` numbers facts in commit order without gaps, and `digest`
    covers them (32 bytes); `generation` grows with every commit that changes clients, resources or
    keys; a new `epoch` begins after a restore or failover."""

    epoch: int
    head: int
    generation: int
    digest: bytes

    @property
    def rev(self) -> Rev:
        """What a token allowed at this position carries."""
        return Rev(self.epoch, self.head)


class TokenFormat(StrEnum):
    """How an access token is written."""

    JWT = "jwt"  # RFC 9068
    OPAQUE = "opaque"  # a sealed payload


class Resource(Struct, frozen=True, kw_only=True):
    """A protected API (RFC 8707). `identifier` is its resource indicator and the audience of its
    tokens; `introspectors` are the client_ids that may ask about them. `followers_only`: whoever
    verifies its tokens follows the feed, and nobody only polls the key set."""

    identifier: str
    scopes: tuple[str, ...]
    token_format: TokenFormat = TokenFormat.JWT
    algorithm: str = "ES256"
    access_token_lifetime: int = 600
    introspectors: tuple[str, ...] = ()
    followers_only: bool = False
    version: int = 1


class AuthenticationMethod(StrEnum):
    """How a client proves who it is (RFC 7591 §2); exactly one is registered."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"


class StandingGrant(Struct, frozen=True, kw_only=True):
    """What a client may do at one resource on its own behalf, whenever it asks."""

    grant_id: str
    resource: str
    scopes: tuple[str, ...]


class SecretHash(Struct, frozen=True, kw_only=True):
    """SHA-256 of a generated 256-bit secret, good until `expires_at` (None: until replaced)."""

    digest: bytes
    expires_at: int | None = None


class Client(Struct, frozen=True, kw_only=True):
    """Software that asks for tokens (RFC 6749 §1.1). `jwks` is a JWK Set document for
    `private_key_jwt`."""

    client_id: str
    name: str
    authentication: AuthenticationMethod = AuthenticationMethod.BASIC
    secrets: tuple[SecretHash, ...] = ()
    jwks: dict[str, Any] | None = None
    grants: tuple[StandingGrant, ...] = ()
    enabled: bool = True
    created_at: int = 0
    version: int = 1


class KeyUse(StrEnum):
    """What a key of the ring is for; a key has one use."""

    ACCESS_TOKEN = "access_token"
    SEAL = "seal"
    FEED = "feed"


class KeyRecord(Struct, frozen=True, kw_only=True):
    """A key of the ring. `sealed` is its private half under the key-encryption key.

    Its state follows from these times and `now`: upcoming (published) until `active_from`,
    active until `active_until`, retained (published) until `gone_at`; or revoked. Until
    `active_by`, a key that has a date still waits for followers that do not hold it."""

    kid: str
    use: KeyUse
    algorithm: str
    sealed: bytes
    public_jwk: dict[str, Any] | None
    published_at: int
    active_from: int | None = None
    active_until: int | None = None
    gone_at: int | None = None
    revoked_at: int | None = None
    active_by: int | None = None
    version: int = 1


class AuditEvent(Struct, frozen=True, kw_only=True):
    """Something that changed, or a refusal that matters. Never holds a secret or a token."""

    at: int
    actor: str
    action: str
    target: str
    outcome: str = "success"
    detail: dict[str, str] = {}


class AuditRecord(Struct, frozen=True, kw_only=True):
    """An event in its place of the trail: `digest` covers the event and the digest before."""

    number: int
    event: AuditEvent
    digest: bytes


class AppendFact(Struct, frozen=True, kw_only=True):
    """Revoke: the store gives it its number at commit."""

    kind: FactKind
    identifier: str
    at: int
    forget_after: int
