"""The trail is contiguous and chained, whoever appends to it."""

import asyncio

import pytest
from msgspec.structs import replace

from dojang.server.audit import find_break
from dojang.server.ports import Store
from tests.storage.samples import EVENT, make_fact

pytestmark = pytest.mark.proves("A5")


async def test_an_event_comes_back_as_it_was(store: Store) -> None:
    event = replace(EVENT, outcome="refused", detail={"reason": "한\0", "b": "2", "a": ""})
    await store.commit([event, EVENT])
    records = await store.load_audit()
    assert [record.event for record in records] == [event, EVENT]
    assert [record.number for record in records] == [1, 2]
    assert find_break(records) is None


async def test_concurrent_events_form_one_chain(nodes: tuple[Store, Store]) -> None:
    async def act(worker: int) -> None:
        for turn in range(5):
            event = replace(EVENT, actor=f"worker {worker}", target=f"{turn}")
            await nodes[worker % 2].commit([event, make_fact(f"{worker}-{turn}"), event])

    await asyncio.gather(*(act(worker) for worker in range(16)))
    records = await nodes[1].load_audit()
    assert [record.number for record in records] == list(range(1, 161))
    assert find_break(records) is None


async def test_the_trail_is_read_in_pages_that_verify_one_after_the_other(store: Store) -> None:
    await store.commit([replace(EVENT, target=str(number)) for number in range(25)])
    first = await store.load_audit(limit=10)
    second = await store.load_audit(after=first[-1].number, limit=10)
    third = await store.load_audit(after=second[-1].number, limit=10)
    assert [len(page) for page in (first, second, third)] == [10, 10, 5]
    assert find_break(second, previous=first[-1].digest) is None
    assert find_break(third, previous=second[-1].digest) is None
    assert await store.load_audit(after=25) == []


async def test_a_row_taken_out_or_changed_shows(store: Store) -> None:
    await store.commit([replace(EVENT, target=str(number)) for number in range(5)])
    records = list(await store.load_audit())
    assert find_break([*records[:2], *records[3:]]) == 4
    forged = replace(records[2], event=replace(records[2].event, actor="nobody"))
    assert find_break([*records[:2], forged, *records[3:]]) == 3
