"""Request objects by value (RFC 9101 §5.1): what a client signed takes the place of what the
browser carries beside it (C38). None is ever fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from dojang.jose.errors import JoseError
from dojang.jose.jwt import JwtVerifier, SignedClaims
from dojang.jose.keys import KeySet
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import RedirectTarget
from dojang.oauth.request_object import (
    ALGORITHMS,
    TYPES,
    check_request_object,
    read_parameters,
    refuse_request_object,
)
from dojang.server.authorizing import find_client_for_people, find_target
from dojang.server.client_keys import JwkSet, NoClientKeys

if TYPE_CHECKING:
    from dojang.server.provider import Provider

REQUEST: Final = "request"


async def open_request_object(
    provider: Provider, parameters: Mapping[str, str], *, now: int
) -> dict[str, str] | None:
    """The parameters that the client signed, and nothing else but its client_id; None where it
    signed none. The barrier was reached before.

    Raises `OAuthError`, which is shown; unless `find_target_beside` says where to send it.
    """
    token = parameters.get(REQUEST)
    if token is None:
        return None
    if "request_uri" in parameters:  # RFC 9101 §5
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "request and request_uri stand both.", reason="two_requests"
        )
    client, sign_in = await find_client_for_people(provider, parameters)
    named = sign_in.request_object_algorithm
    algorithms = ALGORITHMS if named is None else {named}

    def verify(keys: JwkSet) -> SignedClaims:
        return JwtVerifier(KeySet.parse(keys), algorithms=algorithms, types=TYPES).verify(token)

    try:
        claims = (await provider.client_keys.try_keys(client, verify)).claims
    except NoClientKeys as error:
        raise refuse_request_object(error.reason) from error
    except JoseError as error:
        raise refuse_request_object(f"request_object_{error.reason}") from error
    check_request_object(claims, client_id=client.client_id, issuer=provider.issuer, now=now)
    return {**read_parameters(claims), "client_id": client.client_id}


async def find_target_beside(
    provider: Provider, parameters: Mapping[str, str], error: OAuthError
) -> RedirectTarget:
    """Where a client is told that what it signed is not right: at the address that stands beside
    it, where that is its own and it need not sign at all. Anybody can have an error sent there.

    Raises `error` for every other: it is shown.
    """
    if error.code is ErrorCode.INVALID_REQUEST_OBJECT and "redirect_uri" in parameters:
        try:
            addressed = await find_target(provider, parameters)
        except OAuthError:
            raise error from None
        if not addressed.sign_in.require_signed_request_object:
            return addressed.target
    raise error
