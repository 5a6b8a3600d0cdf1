"""A token, a client and a key are taken back under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from dojang.cli.demo.acts.setting_up import MACHINES
from dojang.cli.demo.expiring import await_expiry
from dojang.cli.demo.judging import judge
from dojang.cli.demo.load import Load
from dojang.cli.demo.report import STRATEGIES, Revocation
from dojang.cli.demo.screen import NAMES
from dojang.cli.demo.service import BOUND, CACHE, LEEWAY
from dojang.cli.demo.stage import (
    ASKING,
    BOUNDED,
    CLIENTS,
    CURRENT,
    LIFETIME,
    PATIENCE,
    SLACK,
    WARM_UP,
    Stage,
)
from dojang.jose.header import parse_header


async def take_back(stage: Stage) -> None:
    """One after the other. What local verification cannot see is tried on, until it expires."""
    stage.open_act("Taken back under load")
    stage.screen.say(
        f"{CLIENTS} callers for each strategy at once. Tokens live {LIFETIME} s; services allow "
        f"{LEEWAY} s more (leeway), for clocks that differ."
    )
    tokens = stage.tokens
    for name in MACHINES:
        tokens[name] = await stage.issue(name)
    kid = parse_header(tokens["partner"].encode().partition(b".")[0])["kid"]
    await _take_back(stage, "token", "shop", lambda: stage.do("revoke.token", token=tokens["shop"]))
    await _take_back(stage, "client", "kiosk", lambda: stage.do("revoke.client", client_id="kiosk"))
    await _take_back(stage, "key", "partner", lambda: stage.do("keys.revoke", kid=kid))


async def _take_back(
    stage: Stage,
    kind: Literal["token", "client", "key"],
    name: str,
    revoke: Callable[[], Awaitable[object]],
) -> None:
    door = stage.listing
    load = Load(door)
    token = stage.tokens[name]
    async with load.run(STRATEGIES, token, clients=CLIENTS):
        await stage.watch(load, f"{kind}: accepted so far", WARM_UP)
        await revoke()
        accepted_at = time.perf_counter()
        await stage.watch_refusals([load], ASKING, f"{kind}: taken back", CACHE + PATIENCE)
        await asyncio.sleep(0.2)
    revocation = Revocation(
        kind=kind,
        strategies=[judge(load, strategy, accepted_at) for strategy in STRATEGIES],
    )
    stage.report.revocations.append(revocation)
    _judge(stage, revocation)
    waiting = await_expiry(door, token, accepted_at, revocation.strategies)
    stage.expiries.append(asyncio.create_task(waiting))


def _judge(stage: Stage, revocation: Revocation) -> None:
    kind = revocation.kind
    found = {each.strategy: each for each in revocation.strategies}
    for strategy in CURRENT:
        stage.promise(
            f"{kind}, {NAMES[strategy]}: nothing slipped through",
            kept=found[strategy].slipped_through == 0 and found[strategy].refused > 0,
        )
    for strategy, bound in zip(BOUNDED, (CACHE, BOUND), strict=True):
        first = found[strategy].first_refusal_s
        stage.promise(
            f"{kind}, {NAMES[strategy]}: refused within its {bound:.0f} s",
            kept=first is not None and first < bound + SLACK,
        )
