"""The routes of the public listener."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dojang.oauth.http import Request
from dojang.oauth.metadata import find_metadata_paths
from dojang.server.endpoints.discovery import jwks, metadata
from dojang.server.endpoints.feed import chunk, join, question, snapshot
from dojang.server.endpoints.introspection import introspect
from dojang.server.endpoints.pushed_authorization import push_authorization
from dojang.server.endpoints.registration import (
    change_client,
    read_client,
    register_client,
    remove_client,
)
from dojang.server.endpoints.revocation import revoke
from dojang.server.endpoints.token import token
from dojang.server.endpoints.userinfo import userinfo
from dojang.server.paths import (
    CLIENT_CONFIGURATION,
    FEED,
    FEED_CHUNK,
    FEED_JOIN,
    FEED_SNAPSHOT,
    INTROSPECTION,
    JWKS,
    PUSHED_AUTHORIZATION,
    REGISTRATION,
    REVOCATION,
    TOKEN,
    USERINFO,
)
from dojang.web.pages.routes import build_page_routes
from dojang.web.peer import TrustedProxies
from dojang.web.routing import Answer, Handler, Route, RouteTable, TemplateRoute

if TYPE_CHECKING:
    from dojang.server.provider import Provider


def build_public_routes(provider: Provider, trusted: TrustedProxies | None = None) -> RouteTable:
    """Every endpoint below the configured issuer's path; no request has a say in where (C110).
    `trusted` are proxies that say where browsers connect from."""
    base = urlsplit(provider.issuer).path.rstrip("/")

    def bind(endpoint: Callable[[Provider, Request], Answer]) -> Handler:
        return partial(endpoint, provider)

    return RouteTable(
        [
            Route(base + TOKEN, {"POST": bind(token)}, cross_origin=True),
            Route(
                base + USERINFO,
                {"GET": bind(userinfo), "POST": bind(userinfo)},
                cross_origin=True,
            ),
            Route(
                base + PUSHED_AUTHORIZATION,
                {"POST": bind(push_authorization)},
                cross_origin=True,
            ),
            Route(base + INTROSPECTION, {"POST": bind(introspect)}),
            Route(base + REVOCATION, {"POST": bind(revoke)}, cross_origin=True),
            Route(base + FEED, {"POST": bind(question)}),
            Route(base + FEED_JOIN, {"POST": bind(join)}),
            Route(base + FEED_SNAPSHOT, {"GET": bind(snapshot)}),
            TemplateRoute(base + FEED_CHUNK, {"GET": lambda request, _: chunk(provider, request)}),
            *(_build_registration_routes(provider, base) if provider.registration else ()),
            *build_page_routes(provider, trusted or TrustedProxies()),
            Route(base + JWKS, {"GET": bind(jwks)}, cross_origin=True),
            *(
                Route(path, {"GET": bind(metadata)}, cross_origin=True)
                for path in find_metadata_paths(provider.issuer)
            ),
        ]
    )


def _build_registration_routes(provider: Provider, base: str) -> list[Route | TemplateRoute]:
    return [
        Route(base + REGISTRATION, {"POST": partial(register_client, provider)}),
        TemplateRoute(
            base + CLIENT_CONFIGURATION,
            {
                "GET": lambda request, _: read_client(provider, request),
                "PUT": lambda request, _: change_client(provider, request),
                "DELETE": lambda request, _: remove_client(provider, request),
            },
        ),
    ]
