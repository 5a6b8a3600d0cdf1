"""Each strategy alone, as fast as it goes."""

from __future__ import annotations

from dojang.cli.demo.load import Load, measure
from dojang.cli.demo.report import STRATEGIES
from dojang.cli.demo.screen import NAMES
from dojang.cli.demo.stage import CLIENTS, Stage


async def race(stage: Stage) -> None:
    """One after the other, on the machine that everything else is on, too."""
    stage.open_act("Speed")
    for strategy in STRATEGIES:
        token = await stage.issue("shop")
        load = Load(stage.listing)
        async with load.run([strategy], token, clients=2 * CLIENTS):
            await stage.watch(load, f"{NAMES[strategy]}, alone", 1.5)
        stage.report.speed.append(measure(strategy, load.samples))
        refused = len(load.samples) - load.accepted[strategy]
        stage.promise(
            f"{NAMES[strategy]}: {stage.report.speed[-1].requests_per_s:,.0f} requests/s, "
            "each accepted",
            kept=bool(load.samples) and not refused,
        )
