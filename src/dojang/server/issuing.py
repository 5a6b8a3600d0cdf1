"""What a client is given for a person's grant: an access token, an id_token, a refresh token
(RFC 6749 §5.1, OpenID Connect Core §3.1.3.3). Nothing is written here: what must be is returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.oauth.authorization import OPENID
from dojang.oauth.claims import limit_claims, select_claims
from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.id_token import build_id_token_claims, build_token_hash
from dojang.oauth.revocation_fact import Rev
from dojang.server.access_tokens import AccessTokenClaims, write_access_token
from dojang.server.accounts import Profile
from dojang.server.encrypting import Encryptor, find_encryptor
from dojang.server.ids import new_id
from dojang.server.model import Client, Position, Resource, SignIn
from dojang.server.people import Grant

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class Target(Struct, frozen=True, kw_only=True):
    """Where an access token of a grant may be used, and what for."""

    resource: Resource
    scopes: tuple[str, ...]

    @property
    def scope(self) -> str:
        """As a parameter."""
        return " ".join(self.scopes)


def find_sign_in(client: Client) -> SignIn:
    """What `client` may do for people. Raises `OAuthError(UNAUTHORIZED_CLIENT)` where that is
    nothing."""
    if client.sign_in is None:
        raise OAuthError(
            ErrorCode.UNAUTHORIZED_CLIENT, "People do not sign in here.", reason="not_for_people"
        )
    return client.sign_in


def find_target(provider: Provider, grant: Grant, sign_in: SignIn, named: str | None) -> Target:
    """The resource that the client names of those of its grant; the API's where it names none, or
    else the userinfo endpoint. A scope that the client or the resource has lost since is gone
    (C64). Raises `OAuthError(INVALID_TARGET)`."""
    about_person = (None, provider.userinfo_audience)
    identifier = grant.resource if named is None and grant.resource else named
    if identifier in about_person:
        identifier, granted, allowed = provider.userinfo_audience, grant.scopes, sign_in.scopes
    elif identifier == grant.resource and grant.resource is not None:
        granted, allowed = grant.resource_scopes, sign_in.resources.get(grant.resource, ())
    else:
        raise _bad_target("The grant is not for this resource.", "resource_not_granted")
    resource = provider.find_resource(identifier or "")
    if resource is None:
        raise _bad_target("The resource is gone.", "resource_gone")
    scopes = tuple(scope for scope in granted if scope in allowed and scope in resource.scopes)
    if granted and not scopes:
        raise _bad_target("The client has no scope left at this resource.", "no_scope_left")
    return Target(resource=resource, scopes=scopes)


def _bad_target(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_TARGET, description, reason=reason)


def issue_for_grant(
    provider: Provider,
    client: Client,
    grant: Grant,
    target: Target,
    profile: Profile,
    *,
    nonce: str | None,
    encryptor: Encryptor | None,
    position: Position,
    now: float,
) -> dict[str, Any]:
    """The token response, without a refresh token. `position` is the barrier of the request, and
    `encryptor` what `find_id_token_encryptor` found.

    Raises `Unavailable` where a key is missing.
    """
    at = int(now)
    claims = AccessTokenClaims(
        provider.issuer,
        provider.subjects.name(grant.account_id, client),
        target.resource.identifier,
        client.client_id,
        at + target.resource.access_token_lifetime,
        at,
        new_id(int(now * 1000)),
        target.scope,
        grant.grant_id,
        Rev(position.epoch, position.head),
        grant.session_id,
        grant.auth_time,
        grant.acr,
        grant.amr or None,
    )
    access_token = write_access_token(provider.state.keys, claims, target.resource)
    response: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": target.resource.access_token_lifetime,
        "scope": _join(_find_personal(client, grant), target.scopes),
    }
    if OPENID in _find_personal(client, grant) and client.sign_in is not None:
        id_token = _issue_id_token(
            provider,
            client.sign_in.id_token_algorithm,
            grant,
            access=claims,
            access_token=access_token,
            known=profile.claims,
            allowed=client.sign_in.scopes,
            nonce=nonce,
        )
        if encryptor is not None:
            id_token = encryptor.encrypt(id_token.encode(), is_jwt=True)
        response["id_token"] = id_token
    return response


async def find_id_token_encryptor(
    provider: Provider, client: Client, grant: Grant
) -> Encryptor | None:
    """How the id_token of a grant is encrypted, if there is one and it is: to be asked before
    anything is spent. Raises `OAuthError(UNAUTHORIZED_CLIENT)`."""
    if client.sign_in is None or OPENID not in _find_personal(client, grant):
        return None
    return await find_encryptor(provider, client, client.sign_in.id_token_encryption)


def _find_personal(client: Client, grant: Grant) -> tuple[str, ...]:
    """The scopes about the person, without those that the client has lost since (C64)."""
    allowed = client.sign_in.scopes if client.sign_in else ()
    return tuple(scope for scope in grant.scopes if scope in allowed)


def _join(*parts: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(scope for part in parts for scope in part))


def _issue_id_token(
    provider: Provider,
    algorithm: str,
    grant: Grant,
    *,
    access: AccessTokenClaims,
    access_token: str,
    known: Mapping[str, Any],
    allowed: Sequence[str],
    nonce: str | None,
) -> str:
    key = provider.state.keys.at(access.iat).id_token_signers.get(algorithm)
    if key is None:
        raise Unavailable("the signing key")
    asked = limit_claims(grant.claims, allowed).get("id_token", {})
    claims = build_id_token_claims(
        issuer=provider.issuer,
        subject=access.sub,
        client_id=access.client_id,
        now=access.iat,
        auth_time=grant.auth_time,
        nonce=nonce,
        at_hash=build_token_hash(access_token, algorithm),
        acr=grant.acr,
        amr=grant.amr,
        session_id=grant.given_in or grant.session_id,
        person=select_claims(known, (), asked),
    )
    return sign_jwt(claims, CompactSigner(key, typ=None))
