"""The one thread that keeps things fresh off the request path."""

from __future__ import annotations

from threading import Condition, Thread
from typing import Any, Final, Protocol
from weakref import WeakSet

from dojang.fetch.forking import renew_in_children


class Perishable(Protocol):
    """What is to be kept fresh."""

    def tick(self) -> float:
        """Start what is due, without waiting for it; seconds until there may be more to do."""


class Background:
    """Ticks what it watches, on a daemon thread that starts with the first and ends with the last.

    Watching is weak: what nobody else holds is forgotten. In a forked child the thread starts
    again when something is watched there.
    """

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        self._changed = Condition()
        self._watched: WeakSet[Any] = WeakSet()
        self._running = False

    def watch(self, owner: Perishable) -> None:
        """Keep `owner` fresh from now on; cheap where it is watched already."""
        if self._running and owner in self._watched:
            return
        with self._changed:
            self._watched.add(owner)
            if self._running:
                self._changed.notify()
                return
            self._running = True
        try:
            Thread(target=self._run, name="dojang-background", daemon=True).start()
        except RuntimeError:  # the interpreter shuts down, or has no thread to give now
            self._running = False

    def _run(self) -> None:
        while True:
            with self._changed:
                owners: list[Perishable] = list(self._watched)
            pause = min((owner.tick() for owner in owners), default=0.0)
            del owners
            with self._changed:
                if not self._watched:
                    self._running = False
                    return
                self._changed.wait(max(pause, 0.05))


BACKGROUND: Final = Background()
