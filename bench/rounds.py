"""Paired rounds: whatever slows the machine slows both sides of a round, so ratios hold still."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import TypeVar

CONFIDENCE = 0.95
RESAMPLES = 4000
GROUP_RESAMPLES = 100

Contender = TypeVar("Contender")


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the bootstrap interval that holds it with a confidence of 95 %."""

    median: float
    low: float
    high: float


def alternate(contenders: Sequence[Contender], rounds: int) -> Iterator[tuple[int, Contender]]:
    """Everyone once a round; each round begins with the next one, so that no place is lucky."""
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            yield number, contender


def interval(samples: Sequence[float]) -> Interval:
    """The median of `samples` (not empty) with its percentile bootstrap interval."""
    if not samples:
        raise ValueError("nothing was measured")
    draw = random.Random(len(samples))  # same samples, same interval
    medians = sorted(median(draw.choices(samples, k=len(samples))) for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return Interval(
        median(samples),
        medians[int(tail * RESAMPLES)],
        medians[int((1 - tail) * RESAMPLES) - 1],
    )


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """The ratio of two rates, round by round, over the rounds that both have."""
    return interval([ours[number] / theirs[number] for number in sorted(ours.keys() & theirs)])


def percentile(groups: Sequence[Sequence[float]], share: float) -> Interval:
    """The percentile of all samples. They come in groups, whose members have their luck in common:
    the bootstrap draws whole groups."""
    draw = random.Random(len(groups))
    sorted_groups = [sorted(group) for group in groups]
    found = sorted(
        _find_percentile(draw.choices(sorted_groups, k=len(groups)), share)
        for _ in range(GROUP_RESAMPLES)
    )
    tail = (1 - CONFIDENCE) / 2
    return Interval(
        _find_percentile(sorted_groups, share),
        found[int(tail * GROUP_RESAMPLES)],
        found[int((1 - tail) * GROUP_RESAMPLES) - 1],
    )


def _find_percentile(groups: Sequence[Sequence[float]], share: float) -> float:
    samples = sorted(chain.from_iterable(groups))
    return samples[min(len(samples) - 1, int(share * len(samples)))]
