"""Handlers for tests of the connection itself."""

import asyncio

from dojang.oauth.http import JSON, Request, Response
from dojang.web.routing import Route


def echo(request: Request) -> Response:
    fields = [request.method, request.path, request.query.decode(), request.body.decode()]
    return Response(200, ((b"content-type", b"text/plain"),), "|".join(fields).encode())


def show_headers(request: Request) -> Response:
    return Response(200, (JSON,), b"\n".join(b"%s=%s" % pair for pair in request.headers))


async def at_once(request: Request) -> Response:
    return Response(200, (JSON,), b'"at once"')


async def after_a_turn(request: Request) -> Response:
    await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, int)
    return Response(200, (JSON,), b'"after a turn"')


ROUTES = [
    Route("/echo", {"GET": echo, "POST": echo}),
    Route("/headers", {"GET": show_headers, "POST": show_headers}),
    Route("/at-once", {"GET": at_once}),
    Route("/late", {"GET": after_a_turn, "POST": after_a_turn}),
]
