"""Prefork servers: in a forked child no other thread lives on, its locks may be held for ever, and
sockets are shared with the parent. Whoever has any of these starts over there."""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """What can start over."""

    def renew(self) -> None:
        """Make locks anew, forget threads and sockets; keep what was learned."""


_alive: WeakSet[Any] = WeakSet()


def renew_in_children(owner: Renewable) -> None:
    """Have `owner.renew` called in every child that is forked while it lives."""
    _alive.add(owner)


def _renew_all() -> None:
    for owner in list(_alive):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
