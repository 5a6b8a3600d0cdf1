"""What may be used once is used once, on all nodes, and is forgotten in time."""

import asyncio

import pytest

from dojang.server.ports import Store

pytestmark = pytest.mark.proves("A6", "C48")


async def test_the_second_use_is_refused_until_the_entry_has_expired(store: Store) -> None:
    assert await store.consume_once(b"jti", until=100, now=50)
    assert not await store.consume_once(b"jti", until=100, now=50)
    assert not await store.consume_once(b"jti", until=300, now=100)
    assert await store.consume_once(b"other", until=100, now=100)
    assert await store.consume_once(b"jti", until=200, now=101)
    assert not await store.consume_once(b"jti", until=200, now=101)


async def test_of_many_simultaneous_uses_one_wins(nodes: tuple[Store, Store]) -> None:
    for turn in range(20):
        key = b"key %d" % turn
        won = await asyncio.gather(
            *(nodes[number % 2].consume_once(key, until=100, now=1) for number in range(20))
        )
        assert won.count(True) == 1


async def test_of_many_simultaneous_uses_of_an_expired_entry_one_wins(
    nodes: tuple[Store, Store],
) -> None:
    assert await nodes[0].consume_once(b"key", until=10, now=1)
    won = await asyncio.gather(
        *(nodes[number % 2].consume_once(b"key", until=100, now=11) for number in range(20))
    )
    assert won.count(True) == 1


async def test_forgetting_keeps_what_may_still_be_replayed(store: Store) -> None:
    spent = (store.consume_once(b"%d" % number, until=number, now=0) for number in range(1500))
    assert all(await asyncio.gather(*spent))
    await store.forget(now=1000)
    kept = [await store.consume_once(b"%d" % n, until=n, now=0) for n in (0, 999, 1000, 1499)]
    assert kept == [True, True, False, False]


async def test_spent_entries_leave_the_position_alone(store: Store) -> None:
    before = await store.position()
    await store.consume_once(b"key", until=10, now=1)
    await store.forget(now=100)
    assert await store.position() == before


@pytest.mark.parametrize("key", [b"", b"x" * 65], ids=["empty", "65 bytes"])
async def test_a_key_has_1_to_64_bytes(store: Store, key: bytes) -> None:
    with pytest.raises(ValueError, match="64"):
        await store.consume_once(key, until=10, now=1)
    assert await store.consume_once(b"x" * 64, until=10, now=1)
