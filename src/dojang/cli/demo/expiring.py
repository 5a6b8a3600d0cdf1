"""The end of what local verification cannot see: a revoked token is tried until it expires."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from msgspec.structs import replace

from dojang.cli.demo.load import Caller, Door
from dojang.cli.demo.report import Takeback
from dojang.cli.demo.service import LEEWAY
from dojang.cli.demo.stage import LIFETIME, PATIENCE

_PAUSE: Final = 0.1


async def await_expiry(
    door: Door, token: str, accepted_at: float, takebacks: list[Takeback]
) -> None:
    """Try now and then, until local verification refuses, and note it in `takebacks`. The
    revocation was accepted at `accepted_at` (`perf_counter` seconds)."""
    caller = Caller(door.port)
    slipped = status = 0
    deadline = accepted_at + LIFETIME + LEEWAY + PATIENCE
    while time.perf_counter() < deadline:
        status, _ = await caller.ask(door.method, door.find_path("local"), token)
        if status == 401:
            break
        slipped += status == 200
        await asyncio.sleep(_PAUSE)
    caller.close()
    after = round(time.perf_counter() - accepted_at, 3)
    takebacks[:] = [
        replace(
            each,
            slipped_through=each.slipped_through + slipped,
            refused_at_expiry_s=after if status == 401 else None,
        )
        if each.strategy == "local"
        else each
        for each in takebacks
    ]
