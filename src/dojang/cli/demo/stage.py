"""What every act needs: the world, the audience, and what is known so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

from dojang.cli.admin_client import AdminClient
from dojang.cli.demo.load import Door, Load
from dojang.cli.demo.report import Promise, Report, Strategy
from dojang.cli.demo.screen import NAMES, Screen
from dojang.cli.demo.service import ORDERS
from dojang.cli.demo.world import World
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.server.config import Config

LIFETIME: Final = 30  # seconds: the shortest there is, so that its end can be seen
CLIENTS: Final = 2
WARM_UP: Final = 0.7
SLACK: Final = 1.0  # seconds that a busy machine may add to a cache's time
PATIENCE: Final = 10.0
ASKING: Final[tuple[Strategy, ...]] = (
    "introspection",
    "introspection_cached",
    "hybrid",
    "hybrid_pushed",
)
BOUNDED: Final[tuple[Strategy, ...]] = ("introspection_cached", "hybrid_pushed")
CURRENT: Final[tuple[Strategy, ...]] = ("introspection", "hybrid")


class Stage:
    """One world and its operator. `secrets` are the clients', `tokens` those that are revoked in
    the course of the story, `expiries` what waits for their end, and `listing` is where most calls
    go."""

    def __init__(self, world: World, screen: Screen, report: Report) -> None:
        self.world: Final = world
        self.screen: Final = screen
        self.report: Final = report
        self.issuer: Final = IssuerClient(world.issuer)
        self.secrets: Final[dict[str, str]] = {}
        self.tokens: Final[dict[str, str]] = {}
        self.expiries: Final[list[asyncio.Task[None]]] = []
        self.orders: Final = world.ports[2]
        self.payments: Final = world.ports[3]
        self.listing: Final = Door(self.orders, "/{strategy}/orders")
        self._act = 0

    def administer(self, config: Config) -> None:
        """Be the operator of the server that has this configuration."""
        self._admin = AdminClient(config)

    def open_act(self, title: str) -> None:
        """The next act."""
        self._act += 1
        self.screen.act(self._act, title)

    def promise(self, says: str, *, kept: bool) -> None:
        """Something the act shows, and whether it held."""
        self.report.promises.append(Promise(act=self._act, says=says, kept=kept))
        self.screen.promise(says, kept=kept)

    async def do(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """What the operator does."""
        return await asyncio.to_thread(self._admin.perform, operation, parameters)

    async def add_client(self, client_id: str, **parameters: Any) -> None:
        """Register a client."""
        answer = await self.do("client.add", client_id=client_id, **parameters)
        self.secrets[client_id] = answer["client_secret"]

    def prove(self, name: str) -> ClientSecretBasic:
        """The credentials of a client."""
        return ClientSecretBasic(name, self.secrets[name])

    async def issue(self, name: str) -> str:
        """A token of a client for orders."""
        granted = await asyncio.to_thread(self.issuer.issue, self.prove(name), ORDERS, None)
        return granted.value

    async def watch(self, load: Load, what: str, seconds: float) -> None:
        """Look at a load for a while."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            counts = " · ".join(
                f"{NAMES[strategy]} {count:,}" for strategy, count in load.accepted.items()
            )
            self.screen.doing(f"{what}: {counts}")
            await asyncio.sleep(min(0.1, seconds))

    async def watch_refusals(
        self, loads: Sequence[Load], strategies: Collection[Strategy], what: str, patience: float
    ) -> None:
        """Look at loads until these strategies refuse, for `patience` seconds at most."""
        deadline = time.perf_counter() + patience
        while time.perf_counter() < deadline and not all(
            load.find_last(strategy).status == 401 for load in loads for strategy in strategies
        ):
            await self.watch(loads[0], what, 0.1)

    def stop(self) -> None:
        """Leave nothing running."""
        for each in self.expiries:
            each.cancel()
