"""What is remembered of people and of what they allow: records, found by their key.

Unlike clients, resources and keys they are read when they are needed, and a change of one makes no
server read again what it holds. Values only: no I/O, no clock. Times are whole seconds since 1970.

Who holds one of the secrets (a session's cookie, a code, a refresh token) knows the key of its
record and 256 random bits; the record has their SHA-256, `digest` (`server.handles`).
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from msgspec import Struct


class Account(Struct, frozen=True, kw_only=True):
    """A person who may sign in. `password` is a PHC string of argon2id, or None where there is
    none; `claims` are those of OpenID Connect Core §5.1, without `sub`."""

    account_id: str
    username: str
    password: str | None = None
    claims: dict[str, Any] = {}
    enabled: bool = True
    created_at: int
    password_changed_at: int | None = None
    version: int = 1


class SignInName(Struct, frozen=True, kw_only=True):
    """A name in its canonical form, and whose it is. Nobody else can have it."""

    name: str
    account_id: str
    version: int = 1


class Session(Struct, frozen=True, kw_only=True):
    """One browser in which a person signed in. `session_id` is the `sid` of its tokens (OpenID
    Connect Back-Channel Logout §2.1); `clients` are those that it signed the person in to."""

    session_id: str
    digest: bytes
    account_id: str
    auth_time: int
    amr: tuple[str, ...]
    acr: str | None = None
    agent: str = ""
    network: str = ""
    clients: tuple[str, ...] = ()
    created_at: int
    expires_at: int
    ended_at: int | None = None
    version: int = 1


class Consent(Struct, frozen=True, kw_only=True):
    """What a person allowed a client, remembered: scopes by resource; those that are about the
    person alone stand under the userinfo endpoint."""

    account_id: str
    client_id: str
    scopes: dict[str, tuple[str, ...]]
    given_at: int
    version: int = 1

    @property
    def consent_id(self) -> str:
        """The key. Neither id has a space (RFC 6749 Appendix A.1 allows one in a client_id, and
        this server makes none)."""
        return f"{self.account_id} {self.client_id}"


class Grant(Struct, frozen=True, kw_only=True):
    """One authorization: this client may act for this account. The family of its refresh tokens.

    `scopes` are those of the person (openid, profile, …) and `resource_scopes` those at
    `resource`, if one was named. `session_id` is None where it outlives the session
    (`offline_access`); `given_in` is the session in which it was given, either way. `claims` is the
    claims parameter (OpenID Connect Core §5.5), as it came.
    """

    grant_id: str
    client_id: str
    account_id: str
    session_id: str | None
    given_in: str | None = None
    scopes: tuple[str, ...]
    resource: str | None = None
    resource_scopes: tuple[str, ...] = ()
    claims: dict[str, Any] = {}
    auth_time: int
    amr: tuple[str, ...] = ()
    acr: str | None = None
    created_at: int
    expires_at: int
    ended_at: int | None = None
    version: int = 1


class Code(Struct, frozen=True, kw_only=True):
    """An authorization code (RFC 6749 §4.1.2). A spent one is remembered until it has expired and
    longer, so that a second use is noticed."""

    code_id: str
    digest: bytes
    grant_id: str
    client_id: str
    redirect_uri: str | None
    code_challenge: str | None
    nonce: str | None
    valid_until: int
    expires_at: int
    used_at: int | None = None
    version: int = 1


class RefreshToken(Struct, frozen=True, kw_only=True):
    """One refresh token of a grant. Once it is used, `answer` is the response that its client was
    given, sealed under a key that only the token yields, until the window for retries is over;
    `successor` is the token in it."""

    token_id: str
    digest: bytes
    grant_id: str
    client_id: str
    issued_at: int
    expires_at: int
    used_at: int | None = None
    successor: str | None = None
    answer: bytes | None = None
    version: int = 1


class Interaction(Struct, frozen=True, kw_only=True):
    """An authorization request that waits for a person. `digest` is of the cookie of the one
    browser that may go on with it; `parameters` are the request's, checked; `session_id` is whose
    consent is asked, and `signed_in_at` when that person last proved who they are for it; `pushed`
    names the pushed request that it goes back to, and `signed` says that the client signed it."""

    interaction_id: str
    digest: bytes
    client_id: str
    parameters: dict[str, str]
    created_at: int
    expires_at: int
    session_id: str | None = None
    signed_in_at: int | None = None
    pushed: str | None = None
    signed: bool = False
    version: int = 1


class PushedRequest(Struct, frozen=True, kw_only=True):
    """An authorization request that its client pushed (RFC 9126), and may have `signed`.
    `request_id` is the SHA-256 of its request_uri (base64url)."""

    request_id: str
    client_id: str
    parameters: dict[str, str]
    signed: bool = False
    expires_at: int
    version: int = 1


class Attempts(Struct, frozen=True, kw_only=True):
    """Failed attempts to sign in, of an account or a network, since `since`."""

    subject: str
    count: int
    since: int
    expires_at: int
    version: int = 1


class LogoutNotice(Struct, frozen=True, kw_only=True):
    """A client that is still to be told that a session ended (OpenID Connect Back-Channel Logout
    §2.5). `sub` is what the client calls the person."""

    notice_id: str
    client_id: str
    session_id: str
    sub: str
    due_at: int
    attempts: int = 0
    expires_at: int
    version: int = 1


class Registration(Struct, frozen=True, kw_only=True):
    """A client that registered itself (RFC 7591), and all that it said of itself. `digest` is of
    its registration access token (RFC 7592 §3)."""

    client_id: str
    digest: bytes
    metadata: dict[str, Any]
    registered_at: int
    version: int = 1


class RegistrationToken(Struct, frozen=True, kw_only=True):
    """An initial access token (RFC 7591 §3): whoever holds it may register so many clients, of
    which `left` are left. `label` is for operators."""

    token_id: str
    digest: bytes
    label: str
    left: int
    created_at: int
    expires_at: int
    version: int = 1


Record: TypeAlias = (
    Account
    | SignInName
    | Session
    | Consent
    | Grant
    | Code
    | RefreshToken
    | Interaction
    | PushedRequest
    | Attempts
    | LogoutNotice
    | Registration
    | RegistrationToken
)
R = TypeVar("R", bound=Record)
