"""What the release before this one writes and reads beside it, on the level of rows (revision
0001: no digests, no `directory`, no keys for a feed)."""

import sqlite3
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import FIRST_DIGEST, FactKind, Rev, digest_fact
from dojang.server.model import AppendFact, KeyUse
from dojang.server.ports import DropKey, PutClient, PutKey, PutResource
from dojang.storage.migrate import downgrade, upgrade
from dojang.storage.opening import open_store
from tests.storage.samples import (
    FULL_CLIENT,
    FULL_KEY,
    FULL_RESOURCE,
    make_client,
    make_fact,
    make_key,
)

pytestmark = pytest.mark.proves("F19", "C118")

FEED_KEY = replace(FULL_KEY, kid="feed", use=KeyUse.FEED, algorithm="RS256")


async def append_as_before(url: str, identifier: str) -> None:
    """A fact, as the release before commits it."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        epoch, number, generation = await connection.fetchrow(
            "SELECT epoch, number, generation FROM head FOR UPDATE"
        )
        await connection.execute(
            "INSERT INTO facts (epoch, number, kind, identifier, at, forget_after) "
            "VALUES ($1, $2, 'token', $3, 7, 2000000000)",
            epoch,
            number + 1,
            identifier,
        )
        await connection.execute(
            "UPDATE head SET number = $1, generation = $2", number + 1, generation + 1
        )
    await connection.close()


async def test_facts_without_a_digest_leave_the_digest_as_it_was(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.commit([make_fact("first")])
    before = await store.position()
    await append_as_before(postgres_url, "old")
    position = await store.position()
    assert position == (1, 2, 0, before.digest)
    await store.commit([make_fact("last")])
    first, old, last = await store.load_facts(Rev(0, 0))
    assert (old.identifier, old.digest) == ("old", b"")
    assert first.digest == digest_fact(first, FIRST_DIGEST)
    assert last.digest == digest_fact(last, first.digest)
    assert (await store.position()).digest == last.digest
    await store.close()


async def test_what_it_changes_of_directories_is_counted(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.commit([PutClient(FULL_CLIENT), PutResource(FULL_RESOURCE), PutKey(FULL_KEY)])
    position = await store.position()
    connection = await asyncpg.connect(postgres_url)
    for statement in (
        "UPDATE clients SET enabled = true, version = version + 1",
        "UPDATE resources SET scopes = '[]'",
        "DELETE FROM keys",
        "UPDATE clients SET name = 'x'; UPDATE resources SET version = 2; DELETE FROM clients",
    ):
        await connection.execute(statement)
        counted = await store.position()
        assert counted == position._replace(generation=position.generation + 1)
        position = counted
    await connection.execute("DELETE FROM clients")  # there is none left
    assert await store.position() == position
    await connection.close()
    # What this release changes is counted once.
    changed = await store.commit([PutClient(make_client("a")), PutClient(make_client("b"))])
    assert changed.generation == position.generation + 1
    assert await store.position() == changed
    await store.close()


async def test_it_sees_every_change_in_the_generation_that_it_goes_by(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    seen = [await connection.fetchval("SELECT generation FROM head")]
    for change in (make_fact("t"), PutClient(FULL_CLIENT), PutKey(FEED_KEY)):
        await store.commit([change])
        seen.append(await connection.fetchval("SELECT generation FROM head"))
    assert seen == sorted(set(seen))
    await connection.close()
    await store.close()


async def test_keys_of_a_use_that_it_does_not_know_are_kept_from_it(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.commit([PutKey(FEED_KEY), PutKey(make_key("k"))])
    connection = await asyncpg.connect(postgres_url)
    assert [row[0] for row in await connection.fetch("SELECT kid FROM keys")] == ["k"]
    await connection.close()
    assert await store.load_keys() == [FEED_KEY, make_key("k")]
    await store.close()


async def test_what_it_does_not_know_of_a_client_it_leaves_alone(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.commit([PutClient(FULL_CLIENT)])
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "UPDATE clients SET name = 'x', secrets = '[]', enabled = true, version = version + 1"
    )
    await connection.close()
    found = await store.find_client(FULL_CLIENT.client_id)
    assert found is not None
    assert found.exchanges == FULL_CLIENT.exchanges
    await store.close()


async def test_a_key_of_the_feed_is_kept_as_any_other(lasting_url: str) -> None:
    store = await open_store(lasting_url)
    await store.commit([PutKey(FEED_KEY)])
    later = replace(FEED_KEY, version=2, revoked_at=9)
    await store.commit([PutKey(later)])
    assert await store.load_keys() == [later]
    await store.commit([DropKey("feed", 2)])
    assert await store.load_keys() == []
    await store.close()


async def go_back(url: str) -> None:
    """To the release that knows no digests."""
    while await downgrade(url) != "0002":
        pass


async def test_one_step_back_revives_nothing(lasting_url: str) -> None:
    """A fact that ends every token becomes facts that end every key: those are understood."""
    store = await open_store(lasting_url)
    everything = AppendFact(
        kind=FactKind.EVERYTHING, identifier="https://issuer", at=7, forget_after=2_000_000_000
    )
    await store.commit([PutKey(make_key("b")), PutKey(make_key("a")), PutKey(FEED_KEY)])
    await store.commit([make_fact("before"), everything, make_fact("after")])
    await store.close()
    await go_back(lasting_url)
    assert await read_facts(lasting_url) == [
        (1, 1, "token", "before", 2_000_000_000),
        (1, 3, "token", "after", 2_000_000_000),
        (1, 4, "key", "a", 2_000_000_000),
        (1, 5, "key", "b", 2_000_000_000),
    ]
    await upgrade(lasting_url)
    store = await open_store(lasting_url)
    # The digests begin anew, and nobody has seen this epoch with others.
    assert (await store.position())[:2] == (2, 5)
    position = await store.commit([make_fact("next")])
    assert position.rev == Rev(2, 6)
    await store.close()


async def test_one_step_back_adds_nothing_where_nothing_needs_it(lasting_url: str) -> None:
    store = await open_store(lasting_url)
    await store.commit([PutKey(make_key("a")), make_fact("t")])
    await store.close()
    await go_back(lasting_url)
    assert await read_facts(lasting_url) == [(1, 1, "token", "t", 2_000_000_000)]
    await upgrade(lasting_url)


async def read_facts(url: str) -> list[tuple[object, ...]]:
    statement = "SELECT epoch, number, kind, identifier, forget_after FROM facts ORDER BY number"
    if url.startswith("sqlite"):
        reading = sqlite3.connect(Path(url.removeprefix("sqlite://")))
        rows = reading.execute(statement).fetchall()
        reading.close()
        return rows
    connection = await asyncpg.connect(url)
    found = await connection.fetch(statement)
    await connection.close()
    return [tuple(row) for row in found]
