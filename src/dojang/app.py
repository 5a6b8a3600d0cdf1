"""The composition root: a configuration in, an authorization server out. Wiring only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import OutwardTransport
from dojang.jose.seal import SealKey
from dojang.oauth.errors import Unavailable
from dojang.server.accounts import Accounts
from dojang.server.config import (
    Config,
    Keys,
    parse_address,
    parse_encryption_key,
    parse_registration,
)
from dojang.server.epochs import plan_failover
from dojang.server.key_plans import Schedule
from dojang.server.logout_notices import deliver_notices
from dojang.server.ports import Store
from dojang.server.provider import ENCRYPTION_KEY_ID, NotInitialised, Provider
from dojang.server.rotation import tend_keys
from dojang.storage.opening import open_store
from dojang.storage.witness import HeadWitness
from dojang.web import serving
from dojang.web.admin import build_admin_routes
from dojang.web.management import build_management_routes
from dojang.web.peer import TrustedProxies
from dojang.web.public import build_public_routes
from dojang.web.service import Service

MAINTENANCE_SECONDS: Final = 300
TENDING_SECONDS: Final = 1.0
WITNESS_SECONDS: Final = 1.0  # between two looks at how far the database is, for the head witness
MANAGEMENT_RESERVE: Final = 32  # connections: a crowd at the public door hides no health check

_log: Final = logging.getLogger("dojang")


@asynccontextmanager
async def open_provider(
    config: Config,
    *,
    clock: Clock = SYSTEM_CLOCK,
    accounts: Accounts | None = None,
    sign_in_page: str | None = None,
) -> AsyncIterator[Provider]:
    """The authorization server that `config` describes, over its store, closed at the end. People
    are those of `accounts`, or its own; they sign in on `sign_in_page`, or on its own pages.

    Raises `BadEncryptionKey`, and what `open_store`, `keep_witness` and `Provider.start` raise.
    """
    encryption_key = parse_encryption_key(config.keys.encryption_key)
    after_failover = partial(
        plan_failover,
        issuer=config.issuer,
        encryption_key=SealKey.from_bytes(ENCRYPTION_KEY_ID, encryption_key),
        clock=clock,
        lossless=config.storage.failover == "lossless",
    )
    outward = OutwardTransport(permitted=config.fetch.permitted_networks)
    store = await open_store(config.storage.url, plan=after_failover, redis=config.redis.url)
    try:
        if not await store.load_keys():
            raise NotInitialised  # rather than say that it is older than it was
        async with keep_witness(config.keys.witness, store):
            yield await Provider.start(
                issuer=config.issuer,
                store=store,
                clock=clock,
                key_encryption_key=encryption_key,
                offload=asyncio.to_thread,
                schedule=build_schedule(config.keys),
                accounts=accounts,
                sign_in_page=sign_in_page,
                outward=outward,
                registration=parse_registration(config.registration),
            )
    finally:
        await outward.aclose()
        await store.close()


def build_schedule(keys: Keys) -> Schedule:
    """When keys rotate, as `keys` says."""
    rotate_after = keys.rotate_after if keys.automatic_rotation else None
    return Schedule(rotate_after=rotate_after, hold_limit=keys.hold_limit)


@asynccontextmanager
async def keep_witness(path: str, store: Store) -> AsyncIterator[None]:
    """Have the file at `path` (there may be none) say how far `store` is, until the end.

    Raises `OlderThanWitness`, `BadWitness` and `Unavailable` before anything else is done.
    """
    if not path:
        yield
        return
    witness = HeadWitness(Path(path))
    witness.check(await store.position())
    ending = asyncio.Event()
    keeping = asyncio.create_task(_keep_witness(witness, store, ending))
    try:
        yield
    finally:
        ending.set()
        await keeping


async def _keep_witness(witness: HeadWitness, store: Store, ending: asyncio.Event) -> None:
    while not ending.is_set():
        await _save_witness(witness, store)
        with suppress(TimeoutError):
            async with asyncio.timeout(WITNESS_SECONDS):
                await ending.wait()
    await _save_witness(witness, store)


async def _save_witness(witness: HeadWitness, store: Store) -> None:
    try:
        await asyncio.to_thread(witness.save, await store.position())
    except Unavailable:
        pass  # it says later how far it is
    except OSError as error:
        _log.warning("%s cannot be written: %s", witness.path, error.strerror)


async def serve(config: Config, *, started: Callable[[list[str]], None] | None = None) -> None:
    """Serve both listeners until a signal. `started` is called with their real addresses.

    Raises what `open_provider` and `dojang.web.serving.serve` raise.
    """
    async with open_provider(config) as provider:
        service = Service(trusted_proxies=config.trusted_proxies)
        management = build_management_routes(provider, service, build_admin_routes(provider))
        listeners = [
            serving.Listener(
                parse_address(config.listen.public),
                build_public_routes(provider, TrustedProxies(config.trusted_proxies)),
            ),
            serving.Listener(
                parse_address(config.listen.management), management, MANAGEMENT_RESERVE
            ),
        ]
        async with keep_up(provider):
            await serving.serve(listeners, service, started=started, stopping=provider.feed.close)


@asynccontextmanager
async def keep_up(provider: Provider) -> AsyncIterator[None]:
    """Do what is to be done from time to time, until the end."""
    chores = [
        asyncio.create_task(_repeat("maintenance", provider.maintain, MAINTENANCE_SECONDS)),
        asyncio.create_task(_repeat("tending", partial(_tend, provider), TENDING_SECONDS)),
        asyncio.create_task(_repeat("logout", partial(_tell, provider), TENDING_SECONDS)),
    ]
    try:
        yield
    finally:
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)


async def _tend(provider: Provider) -> None:
    await provider.feed.exchange()
    if await provider.store.lead():
        await tend_keys(provider)


async def _tell(provider: Provider) -> None:
    if await provider.store.lead():
        await deliver_notices(provider, provider.outward)


async def _repeat(name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do `work` after every pause of `seconds`, whatever became of the last time."""
    failing = False
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
            failing = False
        except Unavailable as error:
            if not failing:
                _log.warning("%s is put off: %s", name, error)
            failing = True
        except Exception:  # noqa: BLE001  the next time may do
            if not failing:
                _log.exception("%s failed", name)
            failing = True
