"""A new epoch: numbers go on, everything is read again, and it is all or nothing."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from dojang.oauth.revocation_fact import FactKind, Rev, digest_fact
from dojang.server.audit import find_break
from dojang.server.model import AppendFact, KeyRecord
from dojang.server.ports import Change, Conflict, PutClient, PutKey, Store
from dojang.storage.opening import open_store
from tests.storage.samples import EVENT, make_client, make_fact, make_key

pytestmark = pytest.mark.proves("C63", "F15")

EVERYTHING = AppendFact(
    kind=FactKind.EVERYTHING, identifier="https://issuer", at=7, forget_after=2_000_000_000
)


def plan(
    keys: Sequence[KeyRecord], *, lost: bool, changes: Sequence[Change] = (EVERYTHING, EVENT)
) -> Sequence[Change]:
    assert not lost
    return changes


async def test_numbers_digests_and_the_trail_go_on(nodes: tuple[Store, Store]) -> None:
    one, other = nodes
    before = await one.commit([make_fact("a"), make_fact("b"), EVENT])
    begun = await other.begin_epoch(plan)
    assert begun.rev == Rev(2, 3)
    assert begun.generation > before.generation
    assert await one.position() == begun
    await one.commit([make_fact("c")])
    facts = await other.load_facts(before.rev)
    assert [(fact.rev, fact.kind) for fact in facts] == [
        (Rev(2, 3), FactKind.EVERYTHING),
        (Rev(2, 4), FactKind.TOKEN),
    ]
    assert facts[0].digest == digest_fact(facts[0], before.digest) == begun.digest
    records = await one.load_audit()
    assert [record.number for record in records] == [1, 2]
    assert find_break(records) is None


async def test_it_is_later_than_what_is_named(store: Store) -> None:
    assert (await store.begin_epoch(plan, beyond=7)).epoch == 8
    assert (await store.begin_epoch(plan, beyond=3)).epoch == 9
    assert (await store.position()).epoch == 9


async def test_it_can_begin_with_nothing(store: Store) -> None:
    before = await store.commit([make_fact("a")])
    begun = await store.begin_epoch(partial(plan, changes=()))
    assert begun.rev == Rev(2, 1)
    assert begun.digest == before.digest
    assert begun.generation > before.generation
    assert await store.position() == begun


async def test_the_plan_is_told_the_keys(store: Store) -> None:
    await store.commit([PutKey(make_key("k"))])

    def renew(keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
        assert list(keys) == [make_key("k")]
        return [PutKey(make_key("k", version=2)), PutKey(make_key("new"))]

    await store.begin_epoch(renew)
    assert await store.load_keys() == [make_key("k", version=2), make_key("new")]


async def test_a_conflict_leaves_the_epoch_as_it_was(store: Store) -> None:
    await store.commit([PutClient(make_client("c"))])
    position = await store.position()
    with pytest.raises(Conflict):
        await store.begin_epoch(partial(plan, changes=[EVERYTHING, PutClient(make_client("c"))]))
    assert await store.position() == position
    assert await store.load_facts(Rev(0, 0)) == []
    assert (await store.commit([make_fact("t")])).rev == Rev(1, 1)


async def test_it_lasts(lasting_url: str) -> None:
    store = await open_store(lasting_url)
    begun = await store.begin_epoch(plan)
    await store.close()
    store = await open_store(lasting_url)
    assert await store.position() == begun
    await store.close()


async def test_commits_beside_it_are_before_or_after(nodes: tuple[Store, Store]) -> None:
    commits = [nodes[n % 2].commit([make_fact(f"t{n}"), EVENT]) for n in range(40)]
    begun, *positions = await asyncio.gather(nodes[0].begin_epoch(plan), *commits)
    facts = await nodes[1].load_facts(Rev(0, 0))
    assert [fact.rev.number for fact in facts] == list(range(1, 42))
    assert [fact.rev for fact in facts] == sorted(fact.rev for fact in facts)
    by_number = {fact.rev.number: fact.rev for fact in facts}
    assert all(by_number[position.head] == position.rev for position in positions)
    assert by_number[begun.head] == begun.rev
    assert facts[begun.head - 1].kind is FactKind.EVERYTHING
