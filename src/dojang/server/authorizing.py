"""An authorization request, from what the browser brought to what is known to be right.

The order: parameters, client, redirect target. Until there is a target every failure is a page
(RFC 6749 §4.1.2.1); from then on it is sent to the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from dojang.oauth.authorization import (
    AuthorizationRequest,
    check_response_mode,
    parse_authorization_request,
    parse_response_mode,
)
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.redirects import BadRedirectUri, RedirectTarget, check_redirect_uri
from dojang.server.checks.authorization import Wanted, check_pkce, check_wanted
from dojang.server.model import Client, SignIn

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class Addressed(Struct, frozen=True, kw_only=True):
    """A request of a client that is known, with a redirect target that is the client's. Nothing
    else of it has been looked at."""

    client: Client
    sign_in: SignIn
    target: RedirectTarget
    parameters: Mapping[str, str]
    pushed: bool = False
    signed: bool = False

    @property
    def imitable(self) -> bool:
        """Whether other software on the person's device could have sent this (RFC 8252 §8.6): the
        client keeps no secret, and anybody may listen where the answer goes, whatever type of
        application it calls itself."""
        return self.sign_in.public and not self.target.uri.startswith("https://")


class CheckedAuthorization(Struct, frozen=True, kw_only=True):
    """A request that may be granted, if the person agrees."""

    addressed: Addressed
    request: AuthorizationRequest
    wanted: Wanted

    @property
    def max_age(self) -> int | None:
        """Seconds since the person last proved who they are, at most."""
        asked = self.request.max_age
        return self.addressed.sign_in.default_max_age if asked is None else asked


async def find_client_for_people(
    provider: Provider, parameters: Mapping[str, str]
) -> tuple[Client, SignIn]:
    """The client that a request names. Raises `OAuthError`, which is shown and never sent."""
    client_id = parameters.get("client_id", "")
    client = None
    if client_id.isascii() and client_id.isprintable():
        client = await provider.state.find_client(client_id)
    if client is None or client.sign_in is None or not client.enabled:
        raise OAuthError(
            ErrorCode.INVALID_CLIENT, "invalid client_id", reason="client_not_for_people"
        )
    return client, client.sign_in


async def find_target(
    provider: Provider,
    parameters: Mapping[str, str],
    *,
    pushed: bool = False,
    signed: bool = False,
) -> Addressed:
    """The client and where it may be answered. The barrier was reached before. `pushed`: the client
    said it itself (RFC 9126); `signed`: it signed it (RFC 9101).

    Raises `OAuthError`, which is shown and never sent.
    """
    client, sign_in = await find_client_for_people(provider, parameters)
    asked = parameters.get("redirect_uri")
    openid = "openid" in parameters.get("scope", "").split(" ")
    try:
        if asked is None and openid:  # OpenID Connect Core §3.1.2.1
            raise BadRedirectUri
        target = check_redirect_uri(
            asked,
            sign_in.redirect_uris,
            mode=parse_response_mode(parameters, sign_in.response_modes),
            state=parameters.get("state"),
        )
    except BadRedirectUri:
        phrase = "missing redirect_uri" if asked is None else "invalid redirect_uri"
        raise OAuthError(ErrorCode.INVALID_REQUEST, phrase, reason="redirect_uri") from None
    return Addressed(
        client=client,
        sign_in=sign_in,
        target=target,
        parameters=parameters,
        pushed=pushed,
        signed=signed,
    )


def check_authorization(provider: Provider, addressed: Addressed) -> CheckedAuthorization:
    """Everything that can be said without the person. Raises `OAuthError`, which goes to the
    target."""
    if "request_uri" in addressed.parameters:
        raise OAuthError(
            ErrorCode.REQUEST_URI_NOT_SUPPORTED,
            "This server fetches no request objects; push the request.",
            reason="request_uri",
        )
    if addressed.sign_in.require_pushed and not addressed.pushed:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "This client pushes its requests.", reason="not_pushed"
        )
    if addressed.sign_in.require_signed_request_object and not addressed.signed:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "This client signs its requests.", reason="not_signed"
        )
    check_response_mode(addressed.parameters, addressed.sign_in.response_modes)
    request = parse_authorization_request(addressed.parameters)
    check_pkce(request, addressed.sign_in)
    wanted = check_wanted(request, addressed.sign_in, provider.state.resources)
    return CheckedAuthorization(addressed=addressed, request=request, wanted=wanted)


def build_answer(
    provider: Provider, target: RedirectTarget, parameters: Mapping[str, str]
) -> dict[str, str]:
    """What the client is told: with its state, and with who tells it (RFC 9207 §2)."""
    state = {} if target.state is None else {"state": target.state}
    return {**parameters, **state, "iss": provider.issuer}


def build_refusal(provider: Provider, target: RedirectTarget, error: OAuthError) -> dict[str, str]:
    """The error response of RFC 6749 §4.1.2.1."""
    return build_answer(
        provider, target, {"error": error.code, "error_description": error.description}
    )
