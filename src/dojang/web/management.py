"""The routes of the management listener: health, metrics, and the admin API (conventions: health).

Live says that the process answers; ready, that it can issue tokens; started, that it once could.
A failing database must take traffic away and must not have the process killed, so only ready
looks at it (C115).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from dojang.oauth.http import Request, Response, build_json
from dojang.web.metrics import Metrics
from dojang.web.routing import Route, RouteTable, TemplateRoute
from dojang.web.service import Service

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_log: Final = logging.getLogger("dojang.web")


def build_management_routes(
    provider: Provider, service: Service, admin: Iterable[Route | TemplateRoute]
) -> RouteTable:
    """`admin` are the routes of the admin API."""
    health = Health(provider)
    return RouteTable(
        [
            Route("/health/live", {"GET": health.live}),
            Route("/health/ready", {"GET": health.ready}),
            Route("/health/started", {"GET": health.started}),
            Route("/metrics", {"GET": Metrics(provider, service).answer}),
            *admin,
        ]
    )


class Health:
    """What an orchestrator asks."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._was_missing: list[str] = []

    def live(self, request: Request) -> Response:
        """The process runs and its loop turns."""
        return build_json(200, {"status": "live"})

    def started(self, request: Request) -> Response:
        """The server has started: this listener opens after that."""
        return build_json(200, {"status": "started"})

    async def ready(self, request: Request) -> Response:
        """Whether tokens can be issued now; if not, what is missing."""
        missing = await self._provider.ready()
        if missing != self._was_missing:
            self._was_missing = missing
            if missing:
                _log.error("not ready: %s missing", ", ".join(missing))
            else:
                _log.info("ready again")
        if missing:
            return build_json(503, {"status": "not ready", "missing": missing})
        return build_json(200, {"status": "ready"})
