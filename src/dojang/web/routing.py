"""Which handler answers a request: a table of paths, and of methods at each path.

A path is compared with the raw bytes of the request target: nothing is decoded, merged or
case-folded, so that no two spellings reach one endpoint and a proxy in front cannot be fooled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from dojang.oauth.http import Request, Response, build_json
from dojang.web.cors import build_preflight

Answer = Response | Coroutine[Any, Any, Response]
Handler = Callable[[Request], Answer]
TemplateHandler = Callable[[Request, Mapping[str, str]], Answer]

MOST_SEGMENT_BYTES: Final = 3 * 1024  # 1024 characters, each percent-encoded


class Route(NamedTuple):
    """Handlers by method at one path. `cross_origin` lets scripts of other origins call it."""

    path: str
    methods: Mapping[str, Handler]
    cross_origin: bool = False


class TemplateRoute(NamedTuple):
    """Handlers by method at paths such as `/v1/clients/{client_id}/disable`; a name in braces
    takes one whole segment, which is percent-decoded and given to the handler."""

    path: str
    methods: Mapping[str, TemplateHandler]


class Place(NamedTuple):
    """What stands at a path: handlers by method, and the one for every other method."""

    methods: Mapping[bytes, Handler]
    otherwise: Handler
    cross_origin: bool = False


class Found(NamedTuple):
    """A place, and the query of the target that led there."""

    place: Place
    path: str
    query: bytes


class RouteTable:
    """Every route of a listener. `exact` leads from a whole target to its place."""

    def __init__(self, routes: Iterable[Route | TemplateRoute]) -> None:
        self.exact: Final[dict[bytes, Found]] = {}
        self._templates: list[tuple[tuple[str, ...], Mapping[str, TemplateHandler]]] = []
        for route in routes:
            if isinstance(route, TemplateRoute):
                self._templates.append((tuple(route.path.split("/")), route.methods))
            elif (target := route.path.encode()) in self.exact:
                raise ValueError(f"two routes have the path {route.path}")
            else:
                place = _build_place(route.methods, cross_origin=route.cross_origin)
                self.exact[target] = Found(place, route.path, b"")

    def wrap(self, wrap: Callable[[Handler], Handler]) -> RouteTable:
        """The same table, with `wrap` around every handler."""
        wrapped = RouteTable([])
        for target, found in self.exact.items():
            methods = {name: wrap(each) for name, each in found.place.methods.items()}
            wrapped.exact[target] = found._replace(place=found.place._replace(methods=methods))
        for template, handlers in self._templates:
            bound = {name: partial(_wrap_template, wrap, each) for name, each in handlers.items()}
            wrapped._templates.append((template, bound))
        return wrapped

    def find(self, target: bytes) -> Found:
        """The place a request target leads to; `NOWHERE`'s where it leads to none."""
        found = self.exact.get(target)
        if found is not None:
            return found
        path, _, query = target.partition(b"?")
        found = self.exact.get(path)
        text = path.decode("latin-1")
        if found is not None:
            return Found(found.place, text, query)
        segments = text.split("/")
        for template, methods in self._templates:
            parameters = _match(template, segments)
            if parameters is not None:
                bound = {name: partial(_bind, each, parameters) for name, each in methods.items()}
                return Found(_build_place(bound), text, query)
        return Found(NOWHERE, text, query)


def _build_place(methods: Mapping[str, Handler], *, cross_origin: bool = False) -> Place:
    handlers = dict(methods)
    if "GET" in handlers:
        handlers.setdefault("HEAD", handlers["GET"])
    allowed = ", ".join(sorted({*handlers, "OPTIONS"})).encode()
    handlers.setdefault("OPTIONS", partial(_options, allowed, cross_origin))
    by_bytes = {name.encode(): handler for name, handler in handlers.items()}
    return Place(by_bytes, partial(_wrong_method, allowed), cross_origin)


def _wrap_template(
    wrap: Callable[[Handler], Handler],
    handler: TemplateHandler,
    request: Request,
    parameters: Mapping[str, str],
) -> Answer:
    return wrap(partial(_bind, handler, parameters))(request)


def _bind(handler: TemplateHandler, parameters: Mapping[str, str], request: Request) -> Answer:
    return handler(request, parameters)


def _match(template: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    parameters = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected[:1] == "{":
            if not segment or len(segment) > MOST_SEGMENT_BYTES:
                return None
            try:
                parameters[expected[1:-1]] = unquote_to_bytes(segment).decode()
            except UnicodeDecodeError:
                return None
        elif expected != segment:
            return None
    return parameters


def _not_found(request: Request) -> Response:
    return build_json(404, {"error": "not_found"})


def _wrong_method(allowed: bytes, request: Request) -> Response:
    return build_json(405, {"error": "method_not_allowed"}, (b"allow", allowed))


def _options(allowed: bytes, cross_origin: bool, request: Request) -> Response:  # noqa: FBT001
    return Response(204, ((b"allow", allowed), *build_preflight(allowed, cross_origin)), b"")


NOWHERE: Final = Place({}, _not_found)
