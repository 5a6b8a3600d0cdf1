"""Running coroutines that wait for nothing, without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from threading import Lock
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TURN: Final = Lock()  # verifiers refresh their keys on threads of their own


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns. Raises `RuntimeError` where it waits: over a store in memory the
    server never does."""
    with _TURN:
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        coroutine.close()
    raise RuntimeError("the in-process issuer had to wait")
