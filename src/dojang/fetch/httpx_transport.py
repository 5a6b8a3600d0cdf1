"""The door over httpx or httpx2 (one code: their interfaces agree where it matters here)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.message import FetchRequest, FetchResponse, check_request, check_response

_IDENTITY: Final = ("Accept-Encoding", "identity")


class _HttpxFamilyTransport:
    """An `AsyncTransport` over an `AsyncClient` of the caller's, or one of its own."""

    _package: Any

    def __init__(self, client: Any = None) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    async def aclose(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, request: FetchRequest) -> FetchResponse:
        check_request(request)
        package = self._package
        if self._client is None:
            self._client = package.AsyncClient(trust_env=False)
        try:
            async with asyncio.timeout(request.timeout):
                return await self._send(self._client, request)
        except (TimeoutError, package.TimeoutException):
            problem = FetchProblem.TIMEOUT
        except package.RemoteProtocolError:
            problem = FetchProblem.MALFORMED
        except package.TransportError:
            problem = FetchProblem.CONNECTION
        raise FetchFailed(request.host, problem)

    async def _send(self, client: Any, request: FetchRequest) -> FetchResponse:
        async with client.stream(
            request.method,
            request.url,
            headers=[*request.headers, _IDENTITY],
            content=request.body or None,
            follow_redirects=False,
            auth=None,
            timeout=request.timeout,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            check_response(request, response.status_code, headers)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > request.max_bytes:
                    raise FetchFailed(request.host, FetchProblem.TOO_LARGE)
            return FetchResponse(response.status_code, headers, bytes(body))


class HttpxTransport(_HttpxFamilyTransport):
    """Over `httpx` (extra `httpx`)."""

    def __init__(self, client: Any = None) -> None:
        """`client` is an `httpx.AsyncClient`; its TLS settings and proxies are the caller's."""
        import httpx

        self._package = httpx
        super().__init__(client)


class Httpx2Transport(_HttpxFamilyTransport):
    """Over `httpx2` (extra `httpx2`)."""

    def __init__(self, client: Any = None) -> None:
        """`client` is an `httpx2.AsyncClient`; its TLS settings and proxies are the caller's."""
        import httpx2

        self._package = httpx2
        super().__init__(client)
