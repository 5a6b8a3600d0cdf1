"""Requests of the application's pages go on to a resource server, with an access token that the
browser never sees."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from dojang.fetch import AsyncTransport, FetchFailed, FetchProblem, FetchRequest, FetchResponse
from dojang.integrations.bff.freshening import SessionOver
from dojang.integrations.bff.parts import SAFE_HEADERS, Parts, refuse
from dojang.integrations.bff.records import Access
from dojang.integrations.bff.upstreams import (
    METHODS,
    BadTarget,
    Upstream,
    build_target,
    find_upstream,
    select_answer_headers,
    select_request_headers,
)
from dojang.integrations.bff.vault import Kept
from dojang.oauth.challenge import find_challenge, parse_challenges
from dojang.oauth.http import NO_STORE, Request, Response

# An answer is read by scripts of the application; a browser that went there would show nothing.
_INERT: Final = (b"content-security-policy", b"default-src 'none'; sandbox")
_STATUS: Final = {FetchProblem.TIMEOUT: 504, FetchProblem.BUSY: 503}

_log: Final = logging.getLogger("dojang.bff")


class Forwarding:
    """To `upstreams`, over `transport`."""

    def __init__(
        self, parts: Parts, upstreams: Sequence[Upstream], transport: AsyncTransport
    ) -> None:
        self._parts = parts
        self._upstreams = tuple(upstreams)
        self._transport = transport

    def find(self, path: str) -> Upstream | None:
        """Where a path leads."""
        return find_upstream(self._upstreams, path)

    async def forward(self, upstream: Upstream, request: Request) -> Response:
        """Session → token → the upstream; where that refuses the token, once more with another.

        Raises `Unavailable`: whether anybody is signed in is not known.
        """
        if request.method not in METHODS:
            return refuse(405, "method_not_allowed")
        try:
            prepared = self._prepare(upstream, request)
        except BadTarget:
            return refuse(400, "bad_target")
        parts = self._parts
        kept = await parts.vault.find(parts.cookies.find_session(request), use=True)
        if kept is None:
            return self._say_signed_out()
        try:
            return await self._send(upstream, prepared, kept)
        except SessionOver:
            return self._say_signed_out()

    async def _send(self, upstream: Upstream, prepared: FetchRequest, kept: Kept) -> Response:
        resource = upstream.resource or self._parts.party.resource
        access = await self._parts.freshening.find_access(kept, resource)
        try:
            response = await self._ask(prepared, access)
            if _is_refused(response):
                another = await self._parts.freshening.find_another(kept, resource, access)
                if another.token != access.token:
                    response = await self._ask(prepared, another)
        except FetchFailed as failure:
            _log.warning("%s gives no answer: %s", failure.host, failure.problem)
            return refuse(_STATUS.get(failure.problem, 502), "upstream_unavailable")
        headers = select_answer_headers(upstream, response.headers)
        return Response(
            response.status, (*headers, *NO_STORE, *SAFE_HEADERS, _INERT), response.body
        )

    async def _ask(self, prepared: FetchRequest, access: Access) -> FetchResponse:
        bearer = ("Authorization", f"Bearer {access.token}")
        return await self._transport.send(prepared._replace(headers=(*prepared.headers, bearer)))

    def _prepare(self, upstream: Upstream, request: Request) -> FetchRequest:
        return FetchRequest(
            request.method,
            build_target(upstream, request),
            tuple(select_request_headers(upstream, request)),
            request.body,
            timeout=upstream.timeout,
            max_bytes=upstream.most_answer,
        )

    def _say_signed_out(self) -> Response:
        # The cookie stays: it may be a new one by now, from a sign-in in another tab.
        return refuse(401, "signed_out")


def _is_refused(response: FetchResponse) -> bool:
    """Whether the token was refused, and not what it may do (RFC 6750 §3.1)."""
    if response.status != 401:
        return False
    challenges = parse_challenges(response.headers.get("www-authenticate", ""))
    challenge = find_challenge(challenges, "Bearer")
    return challenge is not None and challenge.parameters.get("error") == "invalid_token"
