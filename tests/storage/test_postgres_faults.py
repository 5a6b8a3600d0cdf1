"""PostgreSQL killed, frozen and back again: nothing but `Unavailable`, and it heals by itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from dojang.oauth.errors import Unavailable
from dojang.oauth.revocation_fact import FIRST_DIGEST, Rev
from dojang.server.model import Position
from dojang.server.ports import Store
from dojang.storage import statements
from dojang.storage.opening import open_store
from dojang.storage.postgres_connections import connect
from tests.services.postgres import PostgresCluster
from tests.storage.samples import EVENT, make_fact

pytestmark = pytest.mark.proves("F7", "A6")

PATIENCE = 30.0  # seconds; far more than anything here takes


@pytest.fixture
async def store(broken_postgres: PostgresCluster) -> AsyncIterator[Store]:
    async with asyncio.timeout(PATIENCE):
        opened = await open_store(broken_postgres.make_database())
        yield opened
        await opened.close()


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "position": lambda store: store.position(),
    "commit": lambda store: store.commit([make_fact("t"), EVENT]),
    "find_client": lambda store: store.find_client("c"),
    "load_facts": lambda store: store.load_facts(Rev(0, 0)),
    "load_keys": lambda store: store.load_keys(),
    "consume_once": lambda store: store.consume_once(b"k", until=2, now=1),
    "forget": lambda store: store.forget(now=1),
}


async def wait_until_back(store: Store) -> None:
    for call in CALLS.values():
        while True:
            try:
                await call(store)
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                break


async def fail_every_call(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(call(store) for call in CALLS.values() for _ in range(5)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_a_killed_server(broken_postgres: PostgresCluster, store: Store) -> None:
    position = await store.commit([make_fact("before"), EVENT])
    broken_postgres.kill()
    await fail_every_call(store)
    await fail_every_call(store)
    broken_postgres.start()
    await wait_until_back(store)
    assert await store.position() > position
    assert (await store.load_facts(Rev(0, 0)))[0].identifier == "before"


async def test_a_frozen_server(broken_postgres: PostgresCluster, store: Store) -> None:
    await store.commit([make_fact("before")])
    broken_postgres.freeze()
    try:
        await fail_every_call(store)
    finally:
        broken_postgres.thaw()
    await wait_until_back(store)


async def test_a_restart_costs_the_barrier_nothing(
    broken_postgres: PostgresCluster, store: Store
) -> None:
    position = await store.commit([make_fact("t")])
    broken_postgres.stop()
    broken_postgres.start()
    assert await store.position() == position
    assert len(await store.load_facts(Rev(0, 0))) == 1


async def test_under_load_nothing_acknowledged_is_lost_and_order_holds(
    broken_postgres: PostgresCluster, store: Store
) -> None:
    acknowledged: list[str] = []
    latest = Position(0, 0, 0, FIRST_DIGEST)
    errors: Counter[type[BaseException]] = Counter()
    running = True

    async def write(worker: int) -> None:
        nonlocal latest
        turn = 0
        while running:
            turn += 1
            try:
                position = await store.commit([make_fact(f"{worker}-{turn}"), EVENT])
            except Exception as error:  # noqa: BLE001  all kinds are counted
                errors[type(error)] += 1
            else:
                acknowledged.append(f"{worker}-{turn}")
                latest = max(latest, position)

    async def watch() -> None:
        while running:
            before = latest
            try:
                assert await store.position() >= before
            except Unavailable:
                errors[Unavailable] += 1

    async def break_it() -> None:
        nonlocal running
        while len(acknowledged) < 50:
            await asyncio.sleep(0)
        broken_postgres.kill()
        while errors[Unavailable] < 20:
            await asyncio.sleep(0)
        await asyncio.to_thread(broken_postgres.start)
        mended = len(acknowledged)
        while len(acknowledged) < mended + 50:
            await asyncio.sleep(0)
        running = False

    await asyncio.gather(break_it(), *(write(n) for n in range(8)), *(watch() for _ in range(4)))
    assert errors.keys() == {Unavailable}
    facts = await store.load_facts(Rev(0, 0))
    assert [fact.rev.number for fact in facts] == list(range(1, len(facts) + 1))
    assert {fact.identifier for fact in facts} >= set(acknowledged)


async def test_a_node_that_stops_in_a_commit_does_not_stop_the_others(
    broken_postgres: PostgresCluster, store: Store
) -> None:
    stopped = await connect(broken_postgres.make_url(broken_postgres.last_database))
    await stopped.execute("BEGIN")
    await stopped.fetchrow(statements.LOCK_HEAD)
    with pytest.raises(Unavailable):
        await store.commit([make_fact("while it is held")])
    while True:
        try:
            await store.commit([make_fact("later")])
        except Unavailable:
            continue
        break
    stopped.terminate()
