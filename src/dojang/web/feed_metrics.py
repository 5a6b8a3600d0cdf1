"""Gauges of the revocation feed of this node. What an alarm is set on: `dojang_feed_stopped`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from dojang.server.provider import Provider

_HELP: Final = {
    "dojang_feed_epoch": "The epoch of the record of facts.",
    "dojang_feed_head": "The number of the last fact.",
    "dojang_feed_followers": "Followers that ask this node.",
    "dojang_feed_holds": "Questions of followers that wait for news.",
    "dojang_feed_stopped": "1 while followers have seen more than the database holds.",
}


def collect_feed(provider: Provider) -> Iterator[Metric]:
    """One series each."""
    from prometheus_client.core import GaugeMetricFamily

    feed, state = provider.feed, provider.state
    (epoch, head), _ = state.facts.last
    now = provider.clock.now()
    values = {
        "dojang_feed_epoch": epoch,
        "dojang_feed_head": head,
        "dojang_feed_followers": sum(each.is_alive(now) for each in feed.followers.here),
        "dojang_feed_holds": feed.holds_open,
        "dojang_feed_stopped": int(not state.is_whole),
    }
    for name, value in values.items():
        family = GaugeMetricFamily(name, _HELP[name])
        family.add_metric([], value)
        yield family
