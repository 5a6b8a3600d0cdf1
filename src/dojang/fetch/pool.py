"""Connections that wait to be used again, in bounded number."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Generic, Protocol, TypeVar
from urllib.parse import SplitResult

Origin = tuple[str, str, int]


def parse_origin(parts: SplitResult) -> Origin:
    """Scheme, host and port of a URL that `check_request` has let pass."""
    host = parts.hostname or ""
    return parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80)


class Reusable(Protocol):
    """A connection."""

    def is_quiet(self) -> bool:
        """Whether nothing came since the last answer: an end of file would have."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Reusable)


class Pool(Generic[C]):
    """At most `per_origin` idle connections to one origin, and `total` in all."""

    def __init__(self, *, per_origin: int, total: int) -> None:
        self._per_origin = per_origin
        self._total = total
        self._idle: dict[Origin, deque[C]] = {}
        self._lock = Lock()

    def take(self, origin: Origin) -> C | None:
        """The one used last that its peer has not closed meanwhile."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None or connection.is_quiet():
                return connection
            connection.close()

    def keep(self, origin: Origin, connection: C) -> None:
        """Take a connection back, or close it where there are enough."""
        with self._lock:
            idle = self._idle.setdefault(origin, deque())
            if len(idle) < self._per_origin and sum(map(len, self._idle.values())) < self._total:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def renew(self) -> None:
        """In a forked child: close this process's halves of what the parent uses."""
        self._lock = Lock()
        self.close()
