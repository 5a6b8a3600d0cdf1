"""The metrics page: counts kept as plain numbers, written out in Prometheus's text format.

Labels come from fixed words in the source, never from a request, so the page stays small and
holds no secret (C117). prometheus-client is slow to import and is not needed for a token: the
first scrape brings it in, off the loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request, Response
from dojang.server.fleet import meet_followers
from dojang.web.feed_metrics import collect_feed
from dojang.web.fleet_metrics import collect_fleet
from dojang.web.service import Service

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from dojang.server.provider import Provider

MOST_SERIES: Final = 1000  # of one name

_HELP: Final = {
    "dojang_requests": "Requests to an endpoint, by what became of them.",
    "dojang_http_responses": "Answers of all listeners, by status.",
    "dojang_http_refusals": "Requests and connections cut off by a limit or a fault of syntax.",
    "dojang_jwks_from_memory": "Key sets served while the store could not be reached.",
    "dojang_feed_pages_signed": "Pages of the revocation feed that were signed.",
    "dojang_feed_witnesses": "What followers had seen signed and showed, by what it proved.",
}


class Metrics:
    """The page, and what it is made from."""

    def __init__(self, provider: Provider, service: Service) -> None:
        self._provider = provider
        self._service = service
        self._registry: CollectorRegistry | None = None

    async def answer(self, request: Request) -> Response:
        """Everything counted so far."""
        if self._registry is None:
            self._registry = await asyncio.to_thread(self._build_registry)
        with suppress(Unavailable):  # then as last heard
            await meet_followers(self._provider)
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        content_type = (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())
        return Response(200, (content_type,), generate_latest(self._registry))

    def _build_registry(self) -> CollectorRegistry:
        from prometheus_client import (
            CollectorRegistry,
            GCCollector,
            PlatformCollector,
            ProcessCollector,
        )

        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for at each scrape."""
        from prometheus_client.core import GaugeMetricFamily

        service = self._service
        yield from _build_counters(self._provider.counters)
        yield from _build_counters(
            {
                ("dojang_http_responses_total", "status", str(status)): count
                for status, count in service.statuses.items()
            }
        )
        yield from _build_counters(
            {
                ("dojang_http_refusals_total", "reason", reason): count
                for reason, count in service.refusals.items()
            }
        )
        open_now = GaugeMetricFamily("dojang_http_connections", "Connections that are open.")
        open_now.add_metric([], len(service.connections))
        yield open_now
        yield from collect_feed(self._provider)
        yield from collect_fleet(self._provider)


def _build_counters(counters: Mapping[tuple[str, ...], int]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    by_kind: dict[tuple[str, ...], list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    for key, count in counters.items():
        by_kind[key[0], *key[1::2]].append((key[2::2], count))
    for (full_name, *labels), series in by_kind.items():
        name = full_name.removesuffix("_total")
        family = CounterMetricFamily(name, _HELP.get(name, name), labels=labels)
        for values, count in series[:MOST_SERIES]:
            family.add_metric(values, count)
        yield family
