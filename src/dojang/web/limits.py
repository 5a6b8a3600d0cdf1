"""How much and how long a request may take (C112)."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bytes, seconds, and open connections of a process. Times are kept to `sweep_seconds`."""

    head_bytes: int = 16 * 1024
    target_bytes: int = 8 * 1024
    body_bytes: int = 64 * 1024
    head_seconds: float = 10
    request_seconds: float = 30
    idle_seconds: float = 75
    crowded_idle_seconds: float = 5
    linger_seconds: float = 2
    sweep_seconds: float = 0.5
    connections: int = 10_000
