"""The userinfo endpoint (OpenID Connect Core §5.3): what a client may know of the person, as of
now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dojang.jose import json_object
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.oauth.authorization import OPENID
from dojang.oauth.claims import limit_claims, select_claims
from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.http import NO_STORE, Request, Response, build_json, parse_form
from dojang.server.encrypting import find_encryptor
from dojang.server.live_grants import find_live_grant
from dojang.server.live_tokens import LiveToken, find_live_token
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_JWT: Final = (b"content-type", b"application/jwt")


@refusing("userinfo")
async def userinfo(provider: Provider, request: Request) -> Response:
    """Token → is it good, and for this endpoint → grant → the claims that it covers."""
    now = int(provider.clock.now())
    token = _find_token(request)
    await provider.state.reach_barrier()
    live = await find_live_token(provider, token, now=now)
    if live is None or live.claims.aud != provider.userinfo_audience:
        raise _refuse("token_refused")
    if OPENID not in live.claims.scope.split(" "):
        raise OAuthError(
            ErrorCode.INSUFFICIENT_SCOPE, "The token lacks openid.", reason="no_openid"
        )
    try:
        grant, profile = await find_live_grant(provider, live.claims.grant, now=now)
    except OAuthError as error:
        raise _refuse(error.reason) from None
    client = await provider.state.find_client(live.claims.client_id)
    sign_in = client.sign_in if client else None
    allowed = sign_in.scopes if sign_in else ()
    scopes = [scope for scope in live.claims.scope.split(" ") if scope in allowed]
    asked = limit_claims(grant.claims, allowed).get("userinfo", {})
    claims = {**select_claims(profile.claims, scopes, asked), "sub": live.claims.sub}
    if client is None or sign_in is None:
        return build_json(200, claims)
    encryptor = await find_encryptor(provider, client, sign_in.userinfo_encryption)
    signed_with = sign_in.userinfo_algorithm
    if signed_with is None and encryptor is None:
        return build_json(200, claims)
    said = json_object.dump(claims)
    if signed_with is not None:
        said = _sign(provider, live, claims, signed_with, now=now)
    if encryptor is not None:
        said = encryptor.encrypt(said, is_jwt=signed_with is not None).encode()
    return Response(200, (_JWT, *NO_STORE), said)


def _sign(
    provider: Provider, live: LiveToken, claims: dict[str, object], algorithm: str, *, now: int
) -> bytes:
    key = provider.state.keys.at(now).id_token_signers.get(algorithm)
    if key is None:
        raise Unavailable("the signing key")
    said = {**claims, "iss": provider.issuer, "aud": live.claims.client_id}
    signer = CompactSigner(key, typ="JWT")  # no id_token has a type
    return sign_jwt(said, signer).encode()


def _find_token(request: Request) -> str:
    """The token in the header, or in the form that is posted (RFC 6750 §2.1 and §2.2)."""
    header = request.header(b"authorization")
    in_form = None
    if request.method == "POST" and request.body:
        in_form = parse_form(request).get("access_token")
    if header is not None and in_form is not None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "The token stands twice.", reason="two_tokens")
    if header is not None and header[:7].lower() == b"bearer ":
        return header[7:].strip().decode("latin-1")
    if in_form is None:
        raise _refuse("no_token")
    return in_form


def _refuse(reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_TOKEN, "The access token is not good.", reason=reason)
