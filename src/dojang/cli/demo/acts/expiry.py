"""The end of what local verification could not see."""

from __future__ import annotations

import asyncio

from dojang.cli.demo.report import Takeback
from dojang.cli.demo.service import LEEWAY
from dojang.cli.demo.stage import LIFETIME, Stage


async def expire(stage: Stage) -> None:
    """Wait for the last of them."""
    stage.open_act("What local cannot see ends when the token expires")
    stage.screen.say(
        f"Local verification sees no revocation: it refuses when a token's {LIFETIME} s are over, "
        f"and {LEEWAY} s of leeway."
    )
    while not all(each.done() for each in stage.expiries):
        stage.screen.doing("waiting for the revoked tokens to expire")
        await asyncio.sleep(0.1)
    for each in stage.expiries:
        await each
    person = stage.report.person
    if person is not None:
        _judge(stage, "app withdrawn, local at orders", person.orders)
        _judge(stage, "app withdrawn, local at payments", person.payments)
    for revocation in stage.report.revocations:
        _judge(stage, f"{revocation.kind}, local", revocation.strategies)


def _judge(stage: Stage, what: str, takebacks: list[Takeback]) -> None:
    for each in takebacks:
        if each.strategy != "local":
            continue
        after = each.refused_at_expiry_s
        when = (
            "never refused" if after is None else f"refused {after:.1f} s after it was taken back"
        )
        stage.promise(
            f"{what}: {when}; {each.slipped_through:,} slipped through", kept=after is not None
        )
