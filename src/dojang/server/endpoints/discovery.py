"""Discovery (RFC 8414 §3, the same document at both well-known places) and the key set
(RFC 7517 §5). Both may be cached, and say for how long."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from dojang.jose import json_object
from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request, Response
from dojang.server.discovery import build_server_metadata
from dojang.server.documents import CacheableDocument

if TYPE_CHECKING:
    from dojang.server.provider import Provider


def metadata(provider: Provider, request: Request) -> Response:
    """The discovery document."""
    registers = provider.registration is not None
    return _find_document(provider.issuer, registers=registers).answer(request)


@cache
def _find_document(issuer: str, *, registers: bool) -> CacheableDocument:
    return CacheableDocument(json_object.dump(build_server_metadata(issuer, registers=registers)))


async def jwks(provider: Provider, request: Request) -> Response:
    """The public halves of every published key, as of the barrier.

    Where the store cannot be reached the keys of the last barrier are served: they sign nothing
    that was not good then, and a verifier without keys refuses everything.
    """
    try:
        await provider.state.reach_barrier()
    except Unavailable:
        provider.counters["dojang_jwks_from_memory_total",] += 1
    return provider.state.keys.at(int(provider.clock.now())).jwks.answer(request)
