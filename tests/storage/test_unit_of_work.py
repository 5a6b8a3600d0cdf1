"""A unit of work is all or nothing, and holds its preconditions."""

import asyncio

import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import Rev
from dojang.server.ports import (
    Change,
    Conflict,
    DropClient,
    DropKey,
    PutClient,
    PutKey,
    PutResource,
    Store,
)
from tests.storage.samples import (
    EVENT,
    FULL_CLIENT,
    FULL_KEY,
    FULL_RESOURCE,
    make_client,
    make_fact,
    make_key,
)

pytestmark = pytest.mark.proves("A6")

BEGINNING = Rev(0, 0)


async def test_every_field_comes_back(store: Store) -> None:
    await store.commit([PutClient(FULL_CLIENT), PutResource(FULL_RESOURCE), PutKey(FULL_KEY)])
    assert await store.find_client(FULL_CLIENT.client_id) == FULL_CLIENT
    assert await store.list_resources() == [FULL_RESOURCE]
    assert await store.load_keys() == [FULL_KEY]


async def test_a_version_replaces_the_one_before(store: Store) -> None:
    await store.commit([PutClient(make_client("c"))])
    second = replace(FULL_CLIENT, client_id="c", version=2)
    await store.commit([PutClient(second)])
    assert await store.find_client("c") == second
    assert await store.list_clients() == [second]


STALE: dict[str, tuple[list[Change], Change, str, str]] = {
    "client is there": ([PutClient(make_client("x"))], PutClient(make_client("x")), "client", "x"),
    "client is missing": ([], PutClient(make_client("x", version=2)), "client", "x"),
    "client moved": (
        [PutClient(make_client("x")), PutClient(make_client("x", version=2))],
        PutClient(make_client("x", version=2)),
        "client",
        "x",
    ),
    "client skips a version": (
        [PutClient(make_client("x"))],
        PutClient(make_client("x", version=3)),
        "client",
        "x",
    ),
    "client to drop moved": (
        [PutClient(make_client("x")), PutClient(make_client("x", version=2))],
        DropClient(make_client("x")),
        "client",
        "x",
    ),
    "client to drop is missing": ([], DropClient(make_client("x")), "client", "x"),
    "resource is there": (
        [PutResource(FULL_RESOURCE)],
        PutResource(FULL_RESOURCE),
        "resource",
        FULL_RESOURCE.identifier,
    ),
    "key is there": ([PutKey(make_key("k"))], PutKey(make_key("k")), "key", "k"),
    "key to drop moved": (
        [PutKey(make_key("k")), PutKey(make_key("k", version=2))],
        DropKey("k", 1),
        "key",
        "k",
    ),
    "key to drop is missing": ([], DropKey("k", 1), "key", "k"),
}


@pytest.mark.parametrize("before,change,what,identifier", STALE.values(), ids=STALE)
async def test_a_stale_precondition_undoes_everything(
    store: Store, before: list[Change], change: Change, what: str, identifier: str
) -> None:
    await store.commit(before)
    position = await store.position()
    held = await store.list_clients(), await store.list_resources(), await store.load_keys()

    with pytest.raises(Conflict) as caught:
        await store.commit(
            [
                make_fact("t"),
                EVENT,
                PutClient(make_client("a")),
                change,
                PutClient(make_client("z")),
            ]
        )

    assert (caught.value.what, caught.value.identifier) == (what, identifier)
    assert await store.position() == position
    now = await store.list_clients(), await store.list_resources(), await store.load_keys()
    assert now == held
    assert await store.load_facts(BEGINNING) == []
    assert await store.load_audit() == []


async def test_a_key_is_dropped_and_its_name_is_free(store: Store) -> None:
    await store.commit([PutKey(make_key("k"))])
    await store.commit([DropKey("k", 1), PutKey(make_key("other"))])
    assert [key.kid for key in await store.load_keys()] == ["other"]
    await store.commit([PutKey(make_key("k"))])
    assert [key.kid for key in await store.load_keys()] == ["k", "other"]


async def test_a_client_is_dropped_and_every_server_reads_again(store: Store) -> None:
    before = await store.commit([PutClient(make_client("c")), PutClient(make_client("d"))])
    after = await store.commit([DropClient(make_client("c")), make_fact("t")])
    assert after == (*before[:1], before.head + 1, before.generation + 1, after.digest)
    assert await store.find_client("c") is None
    assert [client.client_id for client in await store.list_clients()] == ["d"]
    await store.commit([PutClient(make_client("c"))])
    assert await store.find_client("c") == make_client("c")


async def test_one_unit_may_change_a_thing_twice(store: Store) -> None:
    await store.commit(
        [PutClient(make_client("c")), PutClient(make_client("c", version=2, name="renamed"))]
    )
    found = await store.find_client("c")
    assert found is not None
    assert found.name == "renamed"


async def test_of_many_concurrent_writers_of_a_version_one_wins(nodes: tuple[Store, Store]) -> None:
    await nodes[0].commit([PutClient(make_client("c"))])

    async def rename(number: int) -> bool:
        client = make_client("c", version=2, name=f"name {number}")
        try:
            await nodes[number % 2].commit([PutClient(client), make_fact(f"t{number}")])
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*(rename(number) for number in range(40)))
    assert won.count(True) == 1
    found = await nodes[1].find_client("c")
    assert found is not None
    assert found.name == f"name {won.index(True)}"
    facts = await nodes[0].load_facts(BEGINNING)
    assert [fact.identifier for fact in facts] == [f"t{won.index(True)}"]


async def test_a_conflict_costs_its_neighbours_nothing(store: Store) -> None:
    await store.commit([PutClient(make_client("taken"))])

    async def add(number: int) -> bool:
        try:
            await store.commit(
                [PutClient(make_client("taken" if number % 3 == 0 else f"c{number}")), EVENT]
            )
        except Conflict:
            return False
        return True

    outcomes = await asyncio.gather(*(add(number) for number in range(60)))
    assert outcomes == [number % 3 != 0 for number in range(60)]
    assert len(await store.list_clients()) == 41
    assert len(await store.load_audit()) == 40


UNSTORABLE = ("nul\0", "half \ud800")


@pytest.mark.parametrize("text", UNSTORABLE, ids=["NUL", "surrogate"])
async def test_what_no_database_can_hold_is_refused_before_it_is_written(
    store: Store, text: str
) -> None:
    for change in (
        PutClient(make_client(text)),
        PutClient(make_client("c", name=text)),
        make_fact(text),
        replace(EVENT, target=text),
    ):
        with pytest.raises(ValueError, match="cannot be stored"):
            await store.commit([EVENT, change])
    assert await store.find_client(text) is None
    assert await store.list_resources() == []
    assert await store.load_audit() == []


async def test_lists_are_by_code_point_and_in_pages(store: Store) -> None:
    names = ["a", "B", "ä", "z", "Z", "ab", "a-", "한", "0", "é", "\U0001f600", "\uffff"]
    await store.commit([PutClient(make_client(name)) for name in names])
    await store.commit([PutResource(replace(FULL_RESOURCE, identifier=name)) for name in names])
    await store.commit([PutKey(make_key(name)) for name in names])
    assert [resource.identifier for resource in await store.list_resources()] == sorted(names)
    assert [key.kid for key in await store.load_keys()] == sorted(names)

    sizes: list[int] = []
    found = [""]
    while page := await store.list_clients(after=found[-1], limit=5):
        sizes.append(len(page))
        found += [client.client_id for client in page]
    assert sizes == [5, 5, 2]
    assert found[1:] == sorted(names)


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.find_client("nobody") is None
