"""The acts: what is done, what is measured, and what has to hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec

from dojang.cli.admin_client import AdminClient
from dojang.cli.demo.judging import count, count_rotated, judge
from dojang.cli.demo.load import Caller, Load, measure
from dojang.cli.demo.report import (
    STRATEGIES,
    MachineToMachine,
    Outage,
    Promise,
    Report,
    Restart,
    Revocation,
    Rotation,
    Strategy,
)
from dojang.cli.demo.screen import NAMES, Screen
from dojang.cli.demo.service import BOUND, CACHE, COOLDOWN, LEEWAY, ORDERS, PAYMENTS
from dojang.cli.demo.world import World
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.jose.header import parse_header

LIFETIME: Final = 30  # seconds: the shortest there is, so that its end can be seen
CLIENTS: Final = 2
ROTATIONS: Final = 2
ASKING: Final[tuple[Strategy, ...]] = (
    "introspection",
    "introspection_cached",
    "hybrid",
    "hybrid_pushed",
)
BOUNDED: Final[tuple[Strategy, ...]] = ("introspection_cached", "hybrid_pushed")
CURRENT: Final[tuple[Strategy, ...]] = ("introspection", "hybrid")
_WARM_UP: Final = 0.7
_SLACK: Final = 1.0  # seconds that a busy machine may add to a cache's time
_PATIENCE: Final = 10.0
_PROBE_PAUSE: Final = 0.1


class Story:
    """The acts in order, on one world. What they find is in `report`."""

    def __init__(self, world: World, screen: Screen, report: Report) -> None:
        self._world = world
        self._screen = screen
        self._report = report
        self._issuer = IssuerClient(world.issuer)
        self._secrets: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._expiries: list[asyncio.Task[None]] = []
        self._orders = world.ports[2]
        self._payments = world.ports[3]

    async def set_up(self) -> None:
        """The server, two APIs, five clients, two services."""
        self._screen.doing("starting the authorization server")
        config = await asyncio.to_thread(self._world.initialise)
        seconds = await self._world.start_server()
        self._screen.say(f"authorization server at {self._world.issuer}, up in {seconds:.2f} s")
        self._admin = AdminClient(config)
        for uri, scopes in (
            (ORDERS, ["orders:read", "orders:write"]),
            (PAYMENTS, ["payments:charge"]),
        ):
            await self._do(
                "resource.add",
                identifier=uri,
                scopes=scopes,
                access_token_lifetime=LIFETIME,
                introspectors=["orders", "payments"],
                followers_only=True,
            )
        for name in ("shop", "kiosk", "partner"):
            await self._add_client(name, ORDERS, ["orders:read", "orders:write"])
        await self._add_client("orders", PAYMENTS, ["payments:charge"])
        await self._add_client("payments", PAYMENTS, ["payments:charge"])
        self._screen.doing("starting the services")
        await self._world.start_services(self._secrets)
        self._screen.say(f"service orders   at http://127.0.0.1:{self._orders}    for {ORDERS}")
        self._screen.say(f"service payments at http://127.0.0.1:{self._payments}    for {PAYMENTS}")

    async def call_one_another(self) -> None:
        """Act 1."""
        self._screen.act(1, "A token is for one service")
        token = await self._issue("shop")
        orders, payments = Caller(self._orders), Caller(self._payments)
        status, _ = await orders.ask("GET", "/hybrid/orders", token)
        other, _ = await payments.ask("POST", "/charges", token)
        _, body = await orders.ask("POST", "/orders", token)
        orders.close()
        payments.close()
        seen: dict[str, Any] = {}
        with suppress(msgspec.DecodeError, KeyError, TypeError):
            seen = msgspec.json.decode(body)["answer"]
        found = MachineToMachine(
            orders_status=status,
            payments_status_same_token=other,
            payments_saw_client=str(seen.get("client", "")),
            payments_saw_scope=str(seen.get("scope", "")),
        )
        self._report.machine_to_machine = found
        self._promise(1, "shop calls orders with a token for orders: accepted", kept=status == 200)
        self._promise(
            1, "payments refuses the same token: it is for another audience", kept=other == 401
        )
        self._promise(
            1,
            "orders calls payments with its own token, for payments:charge and no more",
            kept=(found.payments_saw_client, found.payments_saw_scope)
            == ("orders", "payments:charge"),
        )

    async def rotate_keys(self) -> None:
        """Act 2."""
        self._screen.act(2, "The signing key rotates under load")
        load = Load(self._orders)
        longest = 0.0
        async with load.run(STRATEGIES, await self._issue("shop"), clients=CLIENTS, pause=0.002):
            await self._watch(load, "before the rotation", _WARM_UP)
            for _ in range(ROTATIONS):
                longest = max(longest, await self._rotate(load))
                load.token = await self._issue("shop")
                await self._watch(load, "with a token of the new key", COOLDOWN + _WARM_UP)
        strategies = count_rotated(load)
        self._report.rotation = Rotation(
            rotations=ROTATIONS, took_over_after_s=round(longest, 2), strategies=strategies
        )
        accepted = sum(each.accepted for each in strategies)
        refused = sum(each.refused for each in strategies)
        self._promise(
            2,
            f"{ROTATIONS} rotations, each {longest:.1f} s at most until every follower held the "
            f"new key: {accepted:,} requests accepted, {refused} refused",
            kept=accepted > 0 and not refused,
        )

    async def _rotate(self, load: Load) -> float:
        """Rotate, and wait until the new key signs; the seconds that took."""
        before = await self._find_signer()
        began = time.perf_counter()
        await self._do("keys.rotate")
        deadline = began + _PATIENCE
        while await self._find_signer() == before and time.perf_counter() < deadline:
            await self._watch(load, "the new key waits for the followers", 0.1)
        return time.perf_counter() - began

    async def _find_signer(self) -> str:
        answer = await self._do("keys.list")
        (kid,) = (
            each["kid"]
            for each in answer["keys"]
            if (each["use"], each["state"]) == ("access_token", "active")
        )
        return str(kid)

    async def take_back(self) -> None:
        """Act 3: a token, a client, a key."""
        self._screen.act(3, "Taken back under load")
        self._screen.say(
            f"{CLIENTS} callers for each strategy at once; tokens live {LIFETIME} s, cached "
            f"answers {CACHE:.0f} s; the pushed view is {BOUND:.0f} s old at most"
        )
        for name in ("shop", "kiosk", "partner"):
            self._tokens[name] = await self._issue(name)
        kid = parse_header(self._tokens["partner"].encode().partition(b".")[0])["kid"]
        await self._take_back(
            "token", "shop", lambda: self._do("revoke.token", token=self._tokens["shop"])
        )
        await self._take_back(
            "client", "kiosk", lambda: self._do("revoke.client", client_id="kiosk")
        )
        await self._take_back("key", "partner", lambda: self._do("keys.revoke", kid=kid))

    async def _take_back(
        self,
        kind: Literal["token", "client", "key"],
        name: str,
        revoke: Callable[[], Awaitable[object]],
    ) -> None:
        load = Load(self._orders)
        token = self._tokens[name]
        async with load.run(STRATEGIES, token, clients=CLIENTS):
            await self._watch(load, f"{kind}: accepted so far", _WARM_UP)
            await revoke()
            accepted_at = time.perf_counter()
            deadline = accepted_at + CACHE + _PATIENCE
            while time.perf_counter() < deadline and not all(
                load.find_last(strategy).status == 401 for strategy in ASKING
            ):
                await self._watch(load, f"{kind}: taken back", 0.1)
            await asyncio.sleep(0.2)
        revocation = Revocation(
            kind=kind,
            strategies=[judge(load, strategy, accepted_at) for strategy in STRATEGIES],
        )
        self._report.revocations.append(revocation)
        found = {each.strategy: each for each in revocation.strategies}
        for strategy in CURRENT:
            self._promise(
                3,
                f"{kind}, {NAMES[strategy]}: nothing slipped through",
                kept=found[strategy].slipped_through == 0 and found[strategy].refused > 0,
            )
        for strategy, bound in zip(BOUNDED, (CACHE, BOUND), strict=True):
            first = found[strategy].first_refusal_s
            self._promise(
                3,
                f"{kind}, {NAMES[strategy]}: refused within its {bound:.0f} s",
                kept=first is not None and first < bound + _SLACK,
            )
        self._expiries.append(
            asyncio.create_task(self._await_expiry(token, accepted_at, revocation))
        )

    async def _await_expiry(self, token: str, accepted_at: float, revocation: Revocation) -> None:
        """Try now and then what cannot see a revocation, until the token is refused."""
        caller = Caller(self._orders)
        slipped = status = 0
        deadline = accepted_at + LIFETIME + LEEWAY + _PATIENCE
        while time.perf_counter() < deadline:
            status, _ = await caller.ask("GET", "/local/orders", token)
            if status == 401:
                break
            slipped += status == 200
            await asyncio.sleep(_PROBE_PAUSE)
        caller.close()
        after = round(time.perf_counter() - accepted_at, 3)
        revocation.strategies = [
            msgspec.structs.replace(
                each,
                slipped_through=each.slipped_through + slipped,
                refused_at_expiry_s=after if status == 401 else None,
            )
            if each.strategy == "local"
            else each
            for each in revocation.strategies
        ]

    async def crash(self) -> None:
        """Act 4."""
        self._screen.act(4, "The authorization server is killed, and comes back")
        good = await self._issue("shop")
        doomed = self._tokens["last"] = await self._issue("shop")
        load = Load(self._orders)
        async with load.run(STRATEGIES, good, clients=CLIENTS, pause=0.01):
            await self._watch(load, "before the crash", 0.5)
            await self._do("revoke.token", token=doomed)
            killed_at = self._world.kill_server()
            self._screen.say("took one more token back, and killed the server (SIGKILL) at once")
            await self._watch(load, "the server is dead", CACHE + 1.5)
            started_at = time.perf_counter()
            ready_after = await self._world.start_server()
            await self._await_recovery(load)
        outages = [count(load, strategy, killed_at, started_at) for strategy in STRATEGIES]
        tried, came_back = await self._try_revoked()
        self._report.restart = Restart(
            down_s=round(started_at - killed_at, 2),
            ready_after_s=round(ready_after, 3),
            revoked_tokens_tried=tried,
            came_back=came_back,
            strategies=outages,
        )
        self._judge_outage({each.strategy: each for each in outages})
        self._promise(
            4,
            f"after the restart ({ready_after:.2f} s) every strategy accepts good tokens again",
            kept=all(
                any(each.status == 200 for each in load.select(strategy, after=started_at))
                for strategy in STRATEGIES
            ),
        )
        self._promise(
            4,
            f"nothing revoked came back: {tried} tokens tried, {came_back} accepted",
            kept=tried > 0 and came_back == 0,
        )

    def _judge_outage(self, found: dict[Strategy, Outage]) -> None:
        local = found["local"]
        self._promise(
            4,
            "local went on accepting: it needs no server until tokens expire",
            kept=local.accepted > 0 and not local.refused_401 + local.other,
        )
        self._promise(
            4,
            "who has to ask said 503: never 401 to a good token, never yes unasked",
            kept=all(
                found[name].unavailable_503 > 0
                and not found[name].refused_401 + found[name].other
                and (name in BOUNDED or not found[name].accepted)
                for name in ASKING
            ),
        )

    async def _await_recovery(self, load: Load) -> None:
        back_at = time.perf_counter()
        while time.perf_counter() < back_at + _PATIENCE and not all(
            load.find_last(strategy).sent_at > back_at and load.find_last(strategy).status == 200
            for strategy in STRATEGIES
        ):
            await self._watch(load, "the server is back", 0.1)

    async def _try_revoked(self) -> tuple[int, int]:
        """Every revoked token that has not expired: at the issuer and at the services that ask."""
        caller = Caller(self._orders)
        orders = ClientSecretBasic("orders", self._secrets["orders"])
        came_back = 0
        for token in self._tokens.values():
            answer = await asyncio.to_thread(self._issuer.introspect, orders, token)
            statuses = [
                (await caller.ask("GET", f"/{strategy}/orders", token))[0] for strategy in ASKING
            ]
            came_back += answer.get("active") is not False or 200 in statuses
        caller.close()
        return len(self._tokens), came_back

    async def race(self) -> None:
        """Each strategy alone, as fast as it goes."""
        self._screen.act(5, "Speed")
        for strategy in STRATEGIES:
            token = await self._issue("shop")
            load = Load(self._orders)
            async with load.run([strategy], token, clients=2 * CLIENTS):
                await self._watch(load, f"{NAMES[strategy]}, alone", 1.5)
            self._report.speed.append(measure(strategy, load.samples))
            refused = len(load.samples) - load.accepted[strategy]
            self._promise(
                5,
                f"{NAMES[strategy]}: {self._report.speed[-1].requests_per_s:,.0f} requests/s, "
                "each accepted",
                kept=bool(load.samples) and not refused,
            )

    async def expire(self) -> None:
        """The end of what local could not see."""
        self._screen.act(6, "What local cannot see ends when the token expires")
        while not all(each.done() for each in self._expiries):
            self._screen.doing("waiting for the revoked tokens to expire")
            await asyncio.sleep(0.1)
        for each in self._expiries:
            await each
        for revocation in self._report.revocations:
            (local,) = (each for each in revocation.strategies if each.strategy == "local")
            after = local.refused_at_expiry_s
            self._promise(
                6,
                f"{revocation.kind}, local: refused {after or 0:.1f} s later, at expiry; "
                f"{local.slipped_through:,} slipped through",
                kept=after is not None,
            )

    def stop(self) -> None:
        """Leave nothing running."""
        for each in self._expiries:
            each.cancel()

    async def _watch(self, load: Load, what: str, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            counts = " · ".join(
                f"{NAMES[strategy]} {count:,}" for strategy, count in load.accepted.items()
            )
            self._screen.doing(f"{what}: {counts}")
            await asyncio.sleep(min(0.1, seconds))

    async def _do(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._admin.perform, operation, parameters)

    async def _add_client(self, name: str, resource: str, scopes: list[str]) -> None:
        grants = [{"resource": resource, "scopes": scopes}]
        answer = await self._do("client.add", client_id=name, grants=grants)
        self._secrets[name] = answer["client_secret"]

    async def _issue(self, name: str) -> str:
        credentials = ClientSecretBasic(name, self._secrets[name])
        granted = await asyncio.to_thread(self._issuer.issue, credentials, ORDERS, None)
        return granted.value

    def _promise(self, act: int, says: str, *, kept: bool) -> None:
        self._report.promises.append(Promise(act=act, says=says, kept=kept))
        self._screen.promise(says, kept=kept)
