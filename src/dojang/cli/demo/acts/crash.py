"""The authorization server is killed, and comes back."""

from __future__ import annotations

import asyncio
import time

from dojang.cli.demo.judging import count
from dojang.cli.demo.load import Caller, Load
from dojang.cli.demo.report import STRATEGIES, Outage, Restart, Strategy
from dojang.cli.demo.service import CACHE
from dojang.cli.demo.stage import ASKING, BOUNDED, CLIENTS, PATIENCE, Stage


async def crash(stage: Stage) -> None:
    """What services answer meanwhile, and what the server remembers."""
    stage.open_act("The authorization server is killed, and comes back")
    good = await stage.issue("shop")
    doomed = stage.tokens["last"] = await stage.issue("shop")
    load = Load(stage.listing)
    async with load.run(STRATEGIES, good, clients=CLIENTS, pause=0.01):
        await stage.watch(load, "before the crash", 0.5)
        await stage.do("revoke.token", token=doomed)
        killed_at = stage.world.kill_server()
        stage.screen.say("took one more token back, and killed the server (SIGKILL) at once")
        await stage.watch(load, "the server is dead", CACHE + 1.5)
        started_at = time.perf_counter()
        ready_after = await stage.world.start_server()
        await _await_recovery(stage, load)
    outages = [count(load, strategy, killed_at, started_at) for strategy in STRATEGIES]
    tried, came_back = await _try_revoked(stage)
    stage.report.restart = Restart(
        down_s=round(started_at - killed_at, 2),
        ready_after_s=round(ready_after, 3),
        revoked_tokens_tried=tried,
        came_back=came_back,
        strategies=outages,
    )
    _judge_outage(stage, {each.strategy: each for each in outages})
    stage.promise(
        f"after the restart ({ready_after:.2f} s) every strategy accepts good tokens again",
        kept=all(
            any(each.status == 200 for each in load.select(strategy, after=started_at))
            for strategy in STRATEGIES
        ),
    )
    stage.promise(
        f"nothing revoked came back: {tried} tokens tried, {came_back} accepted",
        kept=tried > 0 and came_back == 0,
    )


def _judge_outage(stage: Stage, found: dict[Strategy, Outage]) -> None:
    local = found["local"]
    stage.promise(
        "local went on accepting: it needs no server until tokens expire",
        kept=local.accepted > 0 and not local.refused_401 + local.other,
    )
    stage.promise(
        "who has to ask said 503: never 401 to a good token, never yes unasked",
        kept=all(
            found[name].unavailable_503 > 0
            and not found[name].refused_401 + found[name].other
            and (name in BOUNDED or not found[name].accepted)
            for name in ASKING
        ),
    )


async def _await_recovery(stage: Stage, load: Load) -> None:
    back_at = time.perf_counter()
    while time.perf_counter() < back_at + PATIENCE and not all(
        load.find_last(strategy).sent_at > back_at and load.find_last(strategy).status == 200
        for strategy in STRATEGIES
    ):
        await stage.watch(load, "the server is back", 0.1)


async def _try_revoked(stage: Stage) -> tuple[int, int]:
    """Every token that was revoked: at the issuer and at the services that ask."""
    caller = Caller(stage.orders)
    orders = stage.prove("orders")
    came_back = 0
    for token in stage.tokens.values():
        answer = await asyncio.to_thread(stage.issuer.introspect, orders, token)
        statuses = [
            (await caller.ask("GET", f"/{strategy}/orders", token))[0] for strategy in ASKING
        ]
        came_back += answer.get("active") is not False or 200 in statuses
    caller.close()
    return len(stage.tokens), came_back
