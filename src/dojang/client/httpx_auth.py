"""Tokens on the requests of httpx and httpx2 clients: their interfaces agree where it matters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dojang.client.auth import Answered, NeedToken, Reply, advance, authorize
from dojang.client.source import BoundSource

_PACKAGES: Final = {"HttpxAuth": "httpx", "Httpx2Auth": "httpx2"}


class _Family:
    requires_request_body = False
    requires_response_body = False
    _byte_stream: type

    def __init__(self, source: BoundSource) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source!r})"

    def _begin(self, request: Any) -> Generator[Any, Any, None]:
        replayable = isinstance(request.stream, self._byte_stream)
        return authorize(self._source, str(request.url), replayable=replayable)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        steps = self._begin(request)
        reply: Reply | None = None
        while (step := advance(steps, reply)) is not None:
            if isinstance(step, NeedToken):
                reply = self._source.token()
            else:
                request.headers["Authorization"] = f"Bearer {step.token}"
                reply = _read((yield request))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        steps = self._begin(request)
        reply: Reply | None = None
        while (step := advance(steps, reply)) is not None:
            if isinstance(step, NeedToken):
                reply = await self._source.token_async()
            else:
                request.headers["Authorization"] = f"Bearer {step.token}"
                reply = _read((yield request))


def _read(response: Any) -> Answered:
    return Answered(response.status_code, response.headers.get("www-authenticate", ""))


if TYPE_CHECKING:
    import httpx
    import httpx2

    class HttpxAuth(_Family, httpx.Auth):
        """`httpx.Client(auth=HttpxAuth(source.bind(resource=…)))`; for `AsyncClient` too."""

    class Httpx2Auth(_Family, httpx2.Auth):
        """As `HttpxAuth`, for httpx2."""


def __getattr__(name: str) -> type:
    """Make the class when it is asked for: neither package need be installed for the other."""
    if name not in _PACKAGES:
        raise AttributeError(name)
    package = import_module(_PACKAGES[name])
    members = {"_byte_stream": package.ByteStream, "__module__": __name__}
    made = type(name, (_Family, package.Auth), members)
    globals()[name] = made
    return made
