"""What the load says about a strategy."""

from __future__ import annotations

from dojang.cli.demo.load import Load, Sample
from dojang.cli.demo.report import STRATEGIES, Outage, Rotated, Strategy, Takeback


def judge(load: Load, strategy: Strategy, accepted_at: float) -> Takeback:
    """What became of a revocation that was accepted at `accepted_at` (`perf_counter` seconds)."""
    before = load.select(strategy, before=accepted_at)
    after = load.select(strategy, after=accepted_at)
    refusals = [each for each in load.select(strategy) if each.status == 401]
    first = min((each.done_at for each in refusals), default=None)
    return Takeback(
        strategy=strategy,
        accepted_before=tally(before, 200),
        slipped_through=tally(after, 200),
        refused=len(refusals),
        # A request under way meets the revocation before its own answer is back: that is no time.
        first_refusal_s=None if first is None else round(max(0.0, first - accepted_at), 4),
        refused_at_expiry_s=None,
    )


def count_rotated(load: Load) -> list[Rotated]:
    """What was answered while keys rotated, by strategy."""
    return [
        Rotated(
            strategy=strategy,
            accepted=load.accepted[strategy],
            refused=tally(load.select(strategy), 401),
        )
        for strategy in STRATEGIES
    ]


def count(load: Load, strategy: Strategy, after: float, before: float) -> Outage:
    """What was answered while the server was dead."""
    samples = load.select(strategy, after=after, before=before)
    accepted, refused, unavailable = (tally(samples, status) for status in (200, 401, 503))
    return Outage(
        strategy=strategy,
        accepted=accepted,
        refused_401=refused,
        unavailable_503=unavailable,
        other=len(samples) - accepted - refused - unavailable,
    )


def tally(samples: list[Sample], status: int) -> int:
    """How many got `status`."""
    return sum(each.status == status for each in samples)
