"""Before the first act: the server, two APIs, who calls them, and the two services."""

from __future__ import annotations

import asyncio
from typing import Final

from dojang.cli.demo.report import Strategy
from dojang.cli.demo.screen import NAMES
from dojang.cli.demo.service import BOUND, CACHE, ORDERS, PAYMENTS
from dojang.cli.demo.stage import LIFETIME, Stage

MACHINES: Final = ("shop", "kiosk", "partner")
_WAYS: Final[dict[Strategy, str]] = {
    "local": "by the token's signature and times alone",
    "introspection": "the authorization server is asked about every request",
    "introspection_cached": f"it is asked, and its answer serves for {CACHE:.0f} s",
    "hybrid": "by the signature first; then it is asked",
    "hybrid_pushed": "by the signature, and by the revocations that the server pushes, "
    f"{BOUND:.0f} s old at most",
}


async def set_up(stage: Stage) -> None:
    """Start everything and register everybody but the person and their app."""
    screen, world = stage.screen, stage.world
    screen.say(
        "Real processes, on this machine alone. ✓ is a promise that held, ✗ one that did not."
    )
    screen.doing("starting the authorization server")
    stage.administer(await asyncio.to_thread(world.initialise))
    seconds = await world.start_server()
    screen.say(f"authorization server at {world.issuer}, up in {seconds:.2f} s")
    for uri, scopes in (
        (ORDERS, ["orders:read", "orders:write"]),
        (PAYMENTS, ["payments:charge"]),
    ):
        await stage.do(
            "resource.add",
            identifier=uri,
            scopes=scopes,
            access_token_lifetime=LIFETIME,
            introspectors=["orders", "payments"],
            followers_only=True,
        )
    for name in MACHINES:
        grant = {"resource": ORDERS, "scopes": ["orders:read", "orders:write"]}
        await stage.add_client(name, grants=[grant])
    charging = {"resource": PAYMENTS, "scopes": ["payments:charge"]}
    rule = {**charging, "needs": ["orders:write"]}
    await stage.add_client("orders", grants=[charging], exchanges=[rule])
    await stage.add_client("payments", grants=[charging])
    screen.doing("starting the services")
    await world.start_services(stage.secrets)
    screen.say(f"service orders   at http://127.0.0.1:{stage.orders}    for {ORDERS}")
    screen.say(f"service payments at http://127.0.0.1:{stage.payments}    for {PAYMENTS}")
    screen.say("Both check tokens in five ways:")
    for strategy, how in _WAYS.items():
        screen.say(f"  {NAMES[strategy]:<25}{how}")
