"""What clients were told, in order, and whether it may have been so (failures: I1 to I5).

A test notes every answer as it comes, from any thread. The time is the boot clock's, made so that
no two moments are the same.
"""

from __future__ import annotations

import gc
import math
import time
from collections import defaultdict
from pathlib import Path
from threading import Lock


class History:
    """`check` lists what is wrong; it is empty where nothing is."""

    def __init__(self) -> None:
        self._time = 0.0
        self._ticking = Lock()
        self._issued: dict[str, float] = {}
        self._asked_to_revoke: dict[str, float] = {}
        self._revoked: dict[str, float] = {}
        self._successors: dict[str, set[str]] = defaultdict(set)
        self._void_before = 0.0
        self._outage = False
        self.problems: list[str] = []
        self.outages = 0
        self.answers = 0

    def tick(self) -> float:
        """Now, in seconds; later than all before."""
        with self._ticking:
            self._time = max(time.monotonic(), math.nextafter(self._time, math.inf))
            return self._time

    def issued(self, token: str) -> None:
        self._issued[token] = self.tick()

    def rotated(self, old: str, new: str) -> None:
        """`new` was given for `old` (I1)."""
        self._successors[old].add(new)
        if len(self._successors[old]) > 1:
            self.problems.append("I1: a token has two successors")

    def revoking(self, token: str) -> None:
        """Somebody has asked for it; the outcome is not known yet."""
        self._asked_to_revoke.setdefault(token, self.tick())

    def revoked(self, token: str) -> None:
        """It was acknowledged."""
        self._revoked.setdefault(token, self.tick())

    def begin_outage(self) -> None:
        """From now on anything may be refused, until `end_outage`."""
        self._outage = True

    def end_outage(self) -> None:
        """What was issued before may still be refused: an epoch is over."""
        self._outage = False
        self._void_before = self.tick()

    def failed(self, error: BaseException) -> None:
        """A request was answered by nothing but "try again later" (`Unavailable`, 503)."""
        self.outages += 1

    def crashed(self, what: object) -> None:
        """I4: a 500, or an exception that is no answer."""
        self.problems.append(f"I4: {what!r}")

    def answered(self, token: str, *, active: bool, asked_at: float, promised: float = 0.0) -> None:
        """What was said of `token` to somebody who asked at the moment `asked_at`, by one who
        promises to know of what is `promised` seconds old."""
        self.answers += 1
        revoked_at = self._revoked.get(token)
        if active and revoked_at is not None and revoked_at + promised < asked_at:
            self.problems.append("I2: a revoked token was accepted")
        wanted = token not in self._asked_to_revoke and self._issued[token] > self._void_before
        if not active and wanted and not self._outage:
            self.problems.append("I3: a good token was refused")

    @property
    def dead(self) -> list[str]:
        """Every token whose revocation was acknowledged."""
        return list(self._revoked)

    @property
    def asked(self) -> set[str]:
        """Every token that somebody wanted revoked, whatever became of it."""
        return set(self._asked_to_revoke)

    @property
    def alive(self) -> list[str]:
        """Every token that must be good."""
        return [
            token
            for token, at in self._issued.items()
            if token not in self._asked_to_revoke and at > self._void_before
        ]

    @property
    def all(self) -> list[str]:
        return list(self._issued)


class OpenFiles:
    """I5: as many open files afterwards as before, a few aside, once the other ends of connections
    have noticed."""

    SLACK = 8
    PATIENCE = 5.0  # seconds
    PAUSE = 0.3

    def __init__(self) -> None:
        self._before = self._count()
        until = time.monotonic() + self.PATIENCE
        while self._closes_some() and time.monotonic() < until:
            pass

    def _closes_some(self) -> bool:
        """Whether there are fewer after a pause."""
        time.sleep(self.PAUSE)
        before, self._before = self._before, self._count()
        return self._before < before

    @staticmethod
    def _count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    def check(self) -> None:
        most, until = self._before + self.SLACK, time.monotonic() + self.PATIENCE
        while (now := self._count()) > most:
            assert time.monotonic() < until, f"I5: {now} open files, {self._before} before"
            time.sleep(self.PAUSE)
