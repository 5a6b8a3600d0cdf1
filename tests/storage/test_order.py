"""Facts are numbered in commit order without gaps, and the barrier is never behind."""

import asyncio
import random
from itertools import pairwise

import pytest

from dojang.oauth.revocation_fact import FIRST_DIGEST, Fact, FactKind, Rev, digest_fact
from dojang.server.model import AppendFact, Position
from dojang.server.ports import DropKey, PutClient, PutKey, PutResource, Store
from tests.storage.samples import EVENT, FULL_RESOURCE, make_client, make_fact, make_key

pytestmark = pytest.mark.proves("A6", "K6")

BEGINNING = Rev(0, 0)


async def test_a_new_store_is_at_the_beginning(store: Store) -> None:
    assert await store.position() == Position(epoch=1, head=0, generation=0, digest=FIRST_DIGEST)
    assert (await store.position()).rev == Rev(1, 0)
    assert await store.load_facts(BEGINNING) == []


async def test_the_head_counts_facts_and_the_generation_what_changes(store: Store) -> None:
    begun = await store.commit([PutClient(make_client("c"))])
    assert begun == (1, 0, 1, FIRST_DIGEST)
    revoked = await store.commit([make_fact("a"), EVENT, make_fact("b")])
    assert revoked[:3] == (1, 2, 1)
    assert await store.commit([EVENT]) == revoked
    assert await store.position() == revoked
    changed = await store.commit([PutResource(FULL_RESOURCE), PutKey(make_key("k"))])
    assert changed == (1, 2, 2, revoked.digest)
    dropped = await store.commit([DropKey("k", 1)])
    assert dropped == (1, 2, 3, revoked.digest)
    both = await store.commit([PutClient(make_client("c", version=2)), make_fact("c")])
    assert both[:3] == (1, 3, 4)
    assert [record.number for record in await store.load_audit()] == [1, 2]


@pytest.mark.parametrize("kind", FactKind)
async def test_a_fact_comes_back_as_it_was(store: Store, kind: FactKind) -> None:
    await store.commit([AppendFact(kind=kind, identifier="x-한", at=7, forget_after=9)])
    fact = Fact(Rev(1, 1), kind, "x-한", at=7, forget_after=9, digest=b"")
    expected = fact._replace(digest=digest_fact(fact, FIRST_DIGEST))
    assert await store.load_facts(BEGINNING) == [expected]


async def test_every_digest_covers_the_record_up_to_its_fact(nodes: tuple[Store, Store]) -> None:
    units = [[make_fact(f"{n}-{part}") for part in range(3)] for n in range(10)]
    positions = await asyncio.gather(*(nodes[n % 2].commit(u) for n, u in enumerate(units)))
    facts = await nodes[0].load_facts(BEGINNING)
    digest = FIRST_DIGEST
    for fact in facts:
        digest = digest_fact(fact, digest)
        assert fact.digest == digest
    digests = {fact.rev.number: fact.digest for fact in facts}
    assert all(position.digest == digests[position.head] for position in positions)
    assert (await nodes[1].position()).digest == digest
    await nodes[1].forget(now=2**40)
    assert (await nodes[0].position()).digest == digest


async def test_facts_are_read_from_a_position_on(store: Store) -> None:
    await store.commit([make_fact(f"t{number}") for number in range(1, 11)])
    later = await store.load_facts(Rev(1, 6))
    assert [fact.rev.number for fact in later] == [7, 8, 9, 10]
    assert [fact.identifier for fact in later] == ["t7", "t8", "t9", "t10"]
    assert await store.load_facts(Rev(1, 10)) == []
    assert len(await store.load_facts(Rev(0, 99))) == 10
    assert await store.load_facts(Rev(2, 0)) == []


async def test_concurrent_facts_have_no_gaps_and_every_commit_its_own(
    nodes: tuple[Store, Store],
) -> None:
    answered: dict[str, Position] = {}

    async def revoke(worker: int) -> None:
        for turn in range(8):
            names = [f"{worker}-{turn}-{part}" for part in range(random.randint(1, 3))]
            position = await nodes[worker % 2].commit([make_fact(name) for name in names])
            assert position.head >= len(names)
            answered[names[-1]] = position

    await asyncio.gather(*(revoke(worker) for worker in range(24)))

    facts = await nodes[0].load_facts(BEGINNING)
    assert [fact.rev for fact in facts] == [Rev(1, n) for n in range(1, len(facts) + 1)]
    by_name = {fact.identifier: fact.rev.number for fact in facts}
    assert all(by_name[name] <= position.head for name, position in answered.items())
    assert len({position.head for position in answered.values()}) == 24 * 8
    for fact, follower in pairwise(facts):  # a unit's facts lie together
        worker, turn, part = fact.identifier.split("-")
        if follower.identifier.rpartition("-")[2] != "0":
            assert follower.identifier == f"{worker}-{turn}-{int(part) + 1}"


async def test_the_barrier_is_never_older_than_what_was_acknowledged(
    nodes: tuple[Store, Store],
) -> None:
    acknowledged = Position(0, 0, 0, FIRST_DIGEST)
    done = False

    async def write(worker: int) -> None:
        nonlocal acknowledged
        for turn in range(20):
            position = await nodes[worker % 2].commit([make_fact(f"{worker}-{turn}")])
            acknowledged = max(acknowledged, position)

    async def watch(worker: int) -> None:
        node = nodes[worker % 2]
        while not done:
            before = acknowledged
            position = await node.position()
            assert position >= before
            facts = await node.load_facts(Rev(1, max(0, before.head - 1)))
            assert before.head == 0 or facts[0].rev.number == before.head
            await asyncio.sleep(0)

    async def work() -> None:
        nonlocal done
        await asyncio.gather(*(write(worker) for worker in range(8)))
        done = True

    await asyncio.gather(work(), *(watch(worker) for worker in range(8)))
    assert acknowledged[:3] == (1, 160, 0)
    assert await nodes[0].position() == acknowledged


async def test_what_was_committed_on_one_node_is_read_on_the_other(
    nodes: tuple[Store, Store],
) -> None:
    one, other = nodes
    for number in range(20):
        position = await one.commit([PutClient(make_client(f"c{number}")), make_fact(f"t{number}")])
        assert await other.position() >= position
        assert await other.find_client(f"c{number}") is not None
        assert len(await other.load_facts(Rev(1, number))) == 1
        one, other = other, one


async def test_forgotten_facts_are_gone_and_their_numbers_are_not_given_again(
    store: Store,
) -> None:
    await store.commit(
        [make_fact("old", forget_after=99), make_fact("edge", forget_after=100), make_fact("new")]
    )
    await store.commit([make_fact("old too", forget_after=5)])
    before = await store.position()
    await store.forget(now=100)
    facts = await store.load_facts(BEGINNING)
    assert [(fact.identifier, fact.rev.number) for fact in facts] == [("edge", 2), ("new", 3)]
    assert await store.position() == before
    await store.commit([make_fact("next")])
    assert (await store.load_facts(Rev(1, 3)))[0].rev == Rev(1, 5)


async def test_many_facts_are_forgotten(store: Store) -> None:
    await store.commit([make_fact(f"t{n}", forget_after=n % 2) for n in range(5_000)])
    await store.forget(now=1)
    assert len(await store.load_facts(BEGINNING)) == 2_500


async def test_a_caller_that_goes_away_leaves_the_others_their_answer(store: Store) -> None:
    commits = [asyncio.create_task(store.commit([make_fact(f"t{n}")])) for n in range(20)]
    reads = [asyncio.create_task(store.position()) for _ in range(20)]
    await asyncio.sleep(0)
    for task in (*commits[::2], *reads[::2]):
        task.cancel()
    kept = await asyncio.gather(*commits[1::2], *reads[1::2])
    assert all(isinstance(position, Position) for position in kept)
    await asyncio.gather(*commits, *reads, return_exceptions=True)
    facts = {fact.identifier for fact in await store.load_facts(BEGINNING)}
    assert facts >= {f"t{n}" for n in range(1, 20, 2)}
