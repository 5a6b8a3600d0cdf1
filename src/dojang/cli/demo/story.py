"""The demo from beginning to end: its world, its acts, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from importlib.metadata import version

import msgspec

from dojang.cli.demo.acts.crash import crash
from dojang.cli.demo.acts.expiry import expire
from dojang.cli.demo.acts.one_service import call_one_another
from dojang.cli.demo.acts.person import follow_person
from dojang.cli.demo.acts.rotating import rotate_keys
from dojang.cli.demo.acts.setting_up import set_up
from dojang.cli.demo.acts.speed import race
from dojang.cli.demo.acts.taking_back import take_back
from dojang.cli.demo.report import Report, Setting
from dojang.cli.demo.screen import Screen
from dojang.cli.demo.service import BOUND, CACHE, LEEWAY
from dojang.cli.demo.stage import CLIENTS, LIFETIME, Stage
from dojang.cli.demo.world import World
from dojang.cli.errors import Exit
from dojang.cli.output import show_json

_INTERRUPTED = 130
# The keys rotate before one is revoked: local verification that looks at the keys sees that, too.
_ACTS = (call_one_another, follow_person, rotate_keys, take_back, crash, race, expire)


def tell(*, as_json: bool) -> int:
    """Run the demo; its exit code: 0 where every promise held, 1 where one did not."""
    report = Report(
        version=version("dojang"),
        setting=Setting(
            token_lifetime_s=LIFETIME,
            leeway_s=LEEWAY,
            cache_s=CACHE,
            bound_s=BOUND,
            clients_per_strategy=CLIENTS,
            processors=len(os.sched_getaffinity(0)),
        ),
    )
    screen = Screen(sys.stderr if as_json else sys.stdout)
    try:
        asyncio.run(_tell(report, screen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    if as_json:
        show_json(msgspec.to_builtins(report))
    else:
        screen.show(report)
    return Exit.OK if report.ok else Exit.FINDINGS


async def _tell(report: Report, screen: Screen) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.perf_counter()
    world = World()
    stage = Stage(world, screen, report)
    screen.open()
    try:
        await set_up(stage)
        for play in _ACTS:
            await play(stage)
    finally:
        stage.stop()
        screen.close()
        world.close()
    report.seconds = round(time.perf_counter() - began, 1)
    report.ok = bool(report.promises) and all(each.kept for each in report.promises)
