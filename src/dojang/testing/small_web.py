"""What lies at the addresses that clients register, for an issuer in process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dojang.fetch import (
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    check_outward_url,
    check_request,
    check_response,
)
from dojang.fetch.outward_rules import parse_networks

LOOPBACK: Final = parse_networks(["127.0.0.0/8", "::1/128"])


class SmallWeb:
    """A `dojang.fetch.Outward` that reaches no network: `documents` maps URLs to what lies there,
    `requests` lists what was asked for. Loopback addresses are permitted."""

    def __init__(self) -> None:
        self.documents: Final[dict[str, FetchResponse]] = {}
        self.requests: Final[list[FetchRequest]] = []

    def put(
        self,
        url: str,
        document: Any,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Let the JSON `document` lie at `url`, or the bytes that it is."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.documents[url] = FetchResponse(status, dict(headers or {}), body)

    def check(self, url: str) -> None:
        check_outward_url(url, LOOPBACK)

    async def send(self, request: FetchRequest) -> FetchResponse:
        check_request(request)
        try:
            self.check(request.url)
        except ValueError:
            raise FetchFailed("an address that is not public", FetchProblem.ADDRESS) from None
        self.requests.append(request)
        response = self.documents.get(request.url)
        if response is None:
            raise FetchFailed(request.host, FetchProblem.CONNECTION)
        check_response(request, response.status, response.headers)
        if len(response.body) > request.max_bytes:
            raise FetchFailed(request.host, FetchProblem.TOO_LARGE)
        return response
