"""The client registration endpoint (RFC 7591 §3), and the configuration endpoint of each client
that registered itself (RFC 7592 §2). There only where the operator turned registration on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import NO_STORE, Request, Response, build_json
from dojang.oauth.registration import parse_members
from dojang.server.admin.client_plans import PlannedClient
from dojang.server.refusals import refusing
from dojang.server.registering import change, describe, find_registered, register, remove
from dojang.server.registration_policy import RegistrationPolicy

if TYPE_CHECKING:
    from dojang.server.provider import Provider


@refusing("registration")
async def register_client(provider: Provider, request: Request) -> Response:
    """Token, if one is needed → metadata → a client, by the rules of every client."""
    policy = _find_policy(provider)
    await provider.state.reach_barrier()
    shown = _find_token(request)
    members = parse_members(_read_json(request))
    return build_json(201, await register(provider, policy, members, shown=shown))


@refusing("client_configuration")
async def read_client(provider: Provider, request: Request) -> Response:
    """What is registered, and no secret."""
    _find_policy(provider)
    await provider.state.reach_barrier()
    client, registration, token = await find_registered(
        provider, _find_client_id(request), _find_token(request)
    )
    answer = describe(provider, PlannedClient(client, None, []), registration, token)
    return build_json(200, answer)


@refusing("client_configuration")
async def change_client(provider: Provider, request: Request) -> Response:
    """Other metadata in the place of all that was registered."""
    policy = _find_policy(provider)
    await provider.state.reach_barrier()
    client_id, shown = _find_client_id(request), _find_token(request)
    await find_registered(provider, client_id, shown)
    members = parse_members(_read_json(request))
    return build_json(200, await change(provider, policy, client_id, members, shown=shown))


@refusing("client_configuration")
async def remove_client(provider: Provider, request: Request) -> Response:
    """An end to the client and to everything it holds."""
    _find_policy(provider)
    await provider.state.reach_barrier()
    await remove(provider, _find_client_id(request), shown=_find_token(request))
    return Response(204, NO_STORE, b"")


def _find_policy(provider: Provider) -> RegistrationPolicy:
    if provider.registration is None:
        raise OAuthError(
            ErrorCode.ACCESS_DENIED, "No client registers itself here.", reason="registration_off"
        )
    return provider.registration


def _find_client_id(request: Request) -> str:
    return request.path.rpartition("/")[2]


def _find_token(request: Request) -> str | None:
    header = request.header(b"authorization") or b""
    if header[:7].lower() != b"bearer ":
        return None
    return header[7:].strip().decode("latin-1")


def _read_json(request: Request) -> bytes:
    media_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "The body must be application/json.", reason="media_type"
        )
    return request.body
