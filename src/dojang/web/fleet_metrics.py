"""Gauges of the keys and of who waits for them, as this node knows it. What an alarm is set on:
`dojang_rotation_waiting_seconds` above zero, with `dojang_rotation_lacking_followers` beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dojang.server.fleet import assess_verifiers
from dojang.server.key_plans import Line, find_takeovers
from dojang.server.key_records import find_state

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from dojang.server.provider import Provider

_LINE = ["use", "algorithm"]


def collect_fleet(provider: Provider) -> Iterator[Metric]:
    """One series for each line of keys, whether anything happens there or not."""
    from prometheus_client.core import GaugeMetricFamily

    now = provider.clock.now()
    records = provider.state.keys.records
    verifiers = assess_verifiers(provider)
    held = GaugeMetricFamily("dojang_keys", "Keys, by state.", labels=[*_LINE, "state"])
    counts = Counter((Line(key.use, key.algorithm), find_state(key, int(now))) for key in records)
    for (line, state), count in counts.items():
        held.add_metric([*line, state], count)
    yield held

    waiting = GaugeMetricFamily(
        "dojang_rotation_waiting_seconds", "How long a takeover has been held up.", labels=_LINE
    )
    lacking = GaugeMetricFamily(
        "dojang_rotation_lacking_followers", "Followers without the key to come.", labels=_LINE
    )
    coming = {Line(each.key.use, each.key.algorithm): each for each in find_takeovers(records)}
    for line in sorted({line for line, _ in counts}):
        takeover = coming.get(line)
        found = verifiers.find_lacking(takeover.key) if takeover and now < takeover.at else []
        since = takeover.by - provider.schedule.hold_limit if takeover and found else now
        waiting.add_metric([*line], max(0.0, now - since))
        lacking.add_metric([*line], len(found))
    yield waiting
    yield lacking

    followers = GaugeMetricFamily("dojang_followers", "Followers of the feed, on every node.")
    followers.add_metric([], len(verifiers.followers))
    yield followers
    facts = GaugeMetricFamily("dojang_facts_held", "Facts of revocation that are remembered.")
    facts.add_metric([], len(provider.state.revocations))
    yield facts
