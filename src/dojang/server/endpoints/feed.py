"""The revocation feed: a follower joins, then asks again and again whether anything has happened.

`question` is the only answer that shows how fresh it is; pages and snapshots prove facts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dojang.oauth.feed import PROOF_HEADER, build_lease, prove_answer
from dojang.oauth.feed_notices import build_last_line
from dojang.oauth.feed_questions import parse_name, parse_question
from dojang.oauth.http import JSON, NO_STORE, Request, Response, build_json, parse_form
from dojang.server.callers import authenticate_caller
from dojang.server.feed_notices import HEADERS
from dojang.server.refusals import refusing

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_PROOF: Final = PROOF_HEADER.encode()
_HEADERS: Final = (JSON, *NO_STORE)
_CHUNK_HEADERS: Final = ((b"content-type", b"application/octet-stream"), *NO_STORE)


@refusing("feed.join")
async def join(provider: Provider, request: Request) -> Response:
    """Caller → is it somebody's introspector → a lease, and the keys that go with it."""
    now = provider.clock.now()
    form = parse_form(request)
    name = parse_name(form)
    position = await provider.state.reach_barrier()
    caller = await authenticate_caller(provider, request, form, now=int(now))
    lease, claims = provider.feed.leases.issue(
        caller.client_id, name, token=caller.token, position=position, now=now
    )
    return build_json(200, build_lease(provider.feed.build_lease(lease, claims, now=now)))


@refusing("feed")
async def question(provider: Provider, request: Request) -> Response:
    """Lease → is there a witness to be heard → the news, or a wait for them → proof. Who takes
    notices hears of facts while it waits."""
    now = provider.clock.now()
    asked = parse_question(parse_form(request))
    await provider.state.reach_barrier()
    lease = await provider.feed.leases.find(request, now=now)
    if asked.witness is not None:
        provider.feed.hear(asked.witness, now=now)
    provider.feed.note(lease, asked, now=now)
    body, listener = await provider.feed.answer(lease, asked, request.channel)
    proof = prove_answer(lease.proof_key, asked.nonce, body.sha256)
    if listener is not None and listener.begun:
        return Response(200, HEADERS, build_last_line(proof, body.octets))
    return Response(200, _HEADERS, body.octets, ((_PROOF, proof.encode()),))


@refusing("feed.snapshot")
async def snapshot(provider: Provider, request: Request) -> Response:
    """Lease → what the present snapshot consists of."""
    now = provider.clock.now()
    await provider.state.reach_barrier()
    await provider.feed.leases.find(request, now=now)
    found = await provider.feed.snapshots.load(provider.feed.load_keys(now), now=now)
    return build_json(200, {"manifest": found.manifest, "chunks": list(found.names)})


@refusing("feed.chunk")
async def chunk(provider: Provider, request: Request) -> Response:
    """Lease → the part of a snapshot that the last segment of the path names by its SHA-256."""
    now = provider.clock.now()
    await provider.state.reach_barrier()
    await provider.feed.leases.find(request, now=now)
    found = provider.feed.snapshots.find_chunk(request.path.rpartition("/")[2], now=now)
    if found is None:
        return build_json(404, {"error": "not_found"})
    return Response(200, _CHUNK_HEADERS, found)
