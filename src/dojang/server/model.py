"""The nouns that an authorization server remembers. Values only: no I/O, no clock.

Times are whole seconds since 1970; lifetimes are seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

from dojang.oauth.redirects import ResponseMode
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
    NONE = "none"  # a public client: it keeps no secret, and PKCE takes its place


class StandingGrant(Struct, frozen=True, kw_only=True):
    """What a client may do at one resource on its own behalf, whenever it asks."""

    grant_id: str
    resource: str
    scopes: tuple[str, ...]


class ExchangeRule(Struct, frozen=True, kw_only=True):
    """For a token that carries every scope of `needs`, those of `gives`."""

    needs: tuple[str, ...]
    gives: tuple[str, ...]


class ExchangeGrant(Struct, frozen=True, kw_only=True):
    """What a client may have at one resource for the tokens that it is called with (RFC 8693)."""

    grant_id: str
    resource: str
    rules: tuple[ExchangeRule, ...]


class SecretHash(Struct, frozen=True, kw_only=True):
    """SHA-256 of a generated 256-bit secret, good until `expires_at` (None: until replaced)."""

    digest: bytes
    expires_at: int | None = None


class Profile(StrEnum):
    """Which rules a client keeps to when people sign in."""

    OAUTH21 = "oauth21"  # PKCE always
    OIDC_BASIC = "oidc-basic"  # confidential clients of OpenID Connect Core that know no PKCE


class ApplicationType(StrEnum):
    """Where a client runs (OpenID Connect Registration §2)."""

    WEB = "web"
    NATIVE = "native"


class RefreshRule(StrEnum):
    """What becomes of a refresh token that is used (RFC 9700 §4.14.2)."""

    ROTATING = "rotating"  # another takes its place
    FIXED = "fixed"  # it stays; for confidential clients alone
    NONE = "none"  # the client is given none


class SubjectType(StrEnum):
    """Whether clients call a person by the same name (OpenID Connect Core §8)."""

    PUBLIC = "public"
    PAIRWISE = "pairwise"


class SignIn(Struct, frozen=True, kw_only=True):
    """What a client may do for people (RFC 7591 §2, OpenID Connect Registration §2).

    `scopes` are those about the person that it may ask for; `resources` are the scopes it may ask
    people for, by resource. A `first_party` client is the installation's own: nobody is asked for
    consent; a `public` one authenticates with `none`. `refresh_idle` and `refresh_lifetime` are in
    seconds: without use, and in all. `assertion_algorithm` and `request_object_algorithm` are the
    only ones that it signs with, where they are named. What people allowed it until `shown_since`
    (seconds since 1970) they allowed to what was shown to them as another."""

    redirect_uris: tuple[str, ...]
    public: bool = False
    profile: Profile = Profile.OAUTH21
    application_type: ApplicationType = ApplicationType.WEB
    scopes: tuple[str, ...] = ("openid",)
    resources: dict[str, tuple[str, ...]] = {}
    first_party: bool = False
    refresh: RefreshRule = RefreshRule.ROTATING
    refresh_idle: int = 14 * 86_400
    refresh_lifetime: int = 30 * 86_400
    subject_type: SubjectType = SubjectType.PUBLIC
    sector: str | None = None
    id_token_algorithm: str = "RS256"
    userinfo_algorithm: str | None = None
    id_token_encryption: tuple[str, str] | None = None  # alg, enc (RFC 7516 §4.1)
    userinfo_encryption: tuple[str, str] | None = None
    assertion_algorithm: str | None = None
    request_object_algorithm: str | None = None
    response_modes: tuple[ResponseMode, ...] = tuple(ResponseMode)
    require_pushed: bool = False
    require_signed_request_object: bool = False
    default_max_age: int | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    frontchannel_logout_uri: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    shown_since: int = 0


class Client(Struct, frozen=True, kw_only=True):
    """Software that asks for tokens (RFC 6749 §1.1). Its public keys are `jwks`, a JWK Set
    document, or lie at `jwks_uri`; `grants` is what it may do on its own behalf, `sign_in` what for
    people, and `exchanges` what for whoever calls it."""

    client_id: str
    name: str
    authentication: AuthenticationMethod = AuthenticationMethod.BASIC
    secrets: tuple[SecretHash, ...] = ()
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    grants: tuple[StandingGrant, ...] = ()
    sign_in: SignIn | None = None
    exchanges: tuple[ExchangeGrant, ...] = ()
    enabled: bool = True
    created_at: int = 0
    version: int = 1


class KeyUse(StrEnum):
    """What a key of the ring is for; a key has one use."""

    ACCESS_TOKEN = "access_token"
    ID_TOKEN = "id_token"
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
