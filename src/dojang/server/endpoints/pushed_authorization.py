"""The pushed authorization request endpoint (RFC 9126 §2): a client says what it wants of a person
before any browser carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.authorization import PARAMETERS
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, Response, build_json, parse_form
from dojang.server.authentication import authenticate_client
from dojang.server.authorizing import check_authorization, find_target
from dojang.server.people import PushedRequest
from dojang.server.ports import Put
from dojang.server.pushed_requests import KEPT, LIFETIME, identify, make_request_uri
from dojang.server.refusals import refusing
from dojang.server.request_objects import open_request_object

if TYPE_CHECKING:
    from dojang.server.provider import Provider


@refusing("par")
async def push_authorization(provider: Provider, request: Request) -> Response:
    """Client → its request, checked as far as can be without a person → a name for it."""
    now = int(provider.clock.now())
    form = parse_form(request)
    await provider.state.reach_barrier()
    client = (await authenticate_client(provider, request, form, now=now)).client
    if "request_uri" in form:  # RFC 9126 §2.1
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "A pushed request has no request_uri.", reason="request_uri"
        )
    given = {**form, "client_id": client.client_id}
    opened = await open_request_object(provider, given, now=now)
    parameters = {name: value for name, value in (opened or given).items() if name in PARAMETERS}
    signed = opened is not None
    check_authorization(
        provider, await find_target(provider, parameters, pushed=True, signed=signed)
    )
    request_uri = make_request_uri()
    pushed = PushedRequest(
        request_id=identify(request_uri),
        client_id=client.client_id,
        parameters=parameters,
        signed=signed,
        expires_at=now + KEPT,
    )
    await provider.store.commit([Put(pushed)])
    return build_json(201, {"request_uri": request_uri, "expires_in": LIFETIME})
