"""The signing key rotates under load."""

from __future__ import annotations

import time
from typing import Final

from dojang.cli.demo.judging import count_rotated
from dojang.cli.demo.load import Load
from dojang.cli.demo.report import STRATEGIES, Rotation
from dojang.cli.demo.service import COOLDOWN
from dojang.cli.demo.stage import CLIENTS, PATIENCE, WARM_UP, Stage

ROTATIONS: Final = 2


async def rotate_keys(stage: Stage) -> None:
    """Rotate more than once, so that a key is used that nobody had when they started."""
    stage.open_act("The signing key rotates under load")
    load = Load(stage.listing)
    longest = 0.0
    async with load.run(STRATEGIES, await stage.issue("shop"), clients=CLIENTS, pause=0.002):
        await stage.watch(load, "before the rotation", WARM_UP)
        for number in range(ROTATIONS):
            if number:  # local verification looks at the keys again after this time at the earliest
                await stage.watch(load, "with a token of the new key", COOLDOWN)
            longest = max(longest, await _rotate(stage, load))
            load.token = await stage.issue("shop")
            await stage.watch(load, "with a token of the new key", WARM_UP)
    strategies = count_rotated(load)
    stage.report.rotation = Rotation(
        rotations=ROTATIONS, took_over_after_s=round(longest, 3), strategies=strategies
    )
    accepted = sum(each.accepted for each in strategies)
    refused = sum(each.refused for each in strategies)
    stage.promise(
        f"the key rotated {ROTATIONS} times: {accepted:,} requests accepted, {refused} refused",
        kept=accepted > 0 and not refused,
    )
    stage.promise(
        f"each new key signed after {longest * 1000:,.0f} ms at most: the services are given a key "
        "before its turn comes",
        kept=longest < PATIENCE,
    )


async def _rotate(stage: Stage, load: Load) -> float:
    """Rotate, and wait until the new key signs; the seconds that took."""
    before = await _find_signer(stage)
    began = time.perf_counter()
    await stage.do("keys.rotate")
    while await _find_signer(stage) == before and time.perf_counter() < began + PATIENCE:
        await stage.watch(load, "the new key waits for the followers", 0.1)
    return time.perf_counter() - began


async def _find_signer(stage: Stage) -> str:
    answer = await stage.do("keys.list")
    (kid,) = (
        each["kid"]
        for each in answer["keys"]
        if (each["use"], each["state"]) == ("access_token", "active")
    )
    return str(kid)
