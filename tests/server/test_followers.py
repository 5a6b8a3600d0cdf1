"""Who follows: leases, one word of each follower, and what other nodes say of theirs."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import Rev
from dojang.server.fleet import LONGEST_ABSENCE, meet_followers
from dojang.server.followers import (
    LATENESS,
    MOST_PER_CLIENT,
    Follower,
    Followers,
    TooManyFollowers,
)
from dojang.server.key_plans import Line
from dojang.server.model import KeyUse
from dojang.server.provider import Provider, initialise
from dojang.server.rotation import rotate, tend_keys
from dojang.server.verifiers import POLLING
from dojang.storage.memory import MemoryStore
from dojang.testing import SettableClock
from dojang.testing.feed_keys import share_feed_keys
from dojang.testing.inline import run
from tests.server.front_door import NOW

ONE = Follower(
    follower_id="f",
    client_id="orders",
    name="n",
    rev=Rev(1, 0),
    kids=("k",),
    hold=0.5,
    seen_at=NOW,
)


class SharedStore(MemoryStore):
    """As the store of several nodes does, it tells one node of the followers of another."""

    def __init__(self) -> None:
        super().__init__()
        self.followers: dict[str, Follower] = {}

    async def save_followers(self, followers: Sequence[Follower]) -> None:
        self.followers |= {each.follower_id: each for each in followers}

    async def load_followers(self, *, since: float) -> Sequence[Follower]:
        return [each for each in self.followers.values() if each.seen_at > since]


def start_nodes(*ahead: float) -> list[Provider]:
    """Nodes on one store, whose clocks are so much ahead (seconds)."""
    store = SharedStore()
    key = bytes(32)
    run(
        initialise(
            issuer="https://issuer.test",
            store=store,
            clock=SettableClock(NOW),
            key_encryption_key=key,
            feed_keys=share_feed_keys(),
        )
    )
    clocks = [SettableClock(NOW + seconds) for seconds in ahead]
    return [
        run(
            Provider.start(
                issuer="https://issuer.test", store=store, clock=clock, key_encryption_key=key
            )
        )
        for clock in clocks
    ]


def find_names(node: Provider) -> list[str]:
    return [each.name for each in node.feed.followers.find_alive(node.clock.now())]


@pytest.mark.parametrize("hold, lease", [(0.5, 5.0), (1.0, 5.0), (2.0, 6.0), (20.0, 60.0)])
def test_a_follower_is_there_for_three_heartbeats(hold: float, lease: float) -> None:
    followers = Followers()
    followers.report(replace(ONE, hold=hold))
    assert followers.find_alive(NOW + lease)
    assert not followers.find_alive(NOW + lease + 0.1)
    followers.drop_absent(NOW + lease)
    assert list(followers.here)
    followers.drop_absent(NOW + lease + 0.1)
    assert not list(followers.here)


def test_a_client_has_so_many_and_no_more() -> None:
    followers = Followers()
    for number in range(MOST_PER_CLIENT):
        followers.report(replace(ONE, follower_id=str(number)))
    with pytest.raises(TooManyFollowers):
        followers.report(ONE)
    followers.report(replace(ONE, follower_id="0", seen_at=NOW + 9))
    followers.report(replace(ONE, client_id="payments"))
    followers.drop_absent(NOW + 9)
    followers.report(ONE)


@pytest.mark.proves("C96", "A6")
def test_a_follower_of_one_node_is_known_on_the_other() -> None:
    here, there = start_nodes(0, 0)
    here.feed.followers.report(ONE)
    assert find_names(there) == []
    run(here.feed.exchange())
    run(meet_followers(there))
    assert find_names(there) == ["n"]
    there.clock.move(5 + LATENESS + 1)  # type: ignore[attr-defined]
    assert find_names(there) == []


@pytest.mark.parametrize("ahead", [-10, 10])
@pytest.mark.proves("C96", "A6", "F12")
def test_clocks_that_differ_make_no_follower_absent(ahead: float) -> None:
    here, there = start_nodes(0, ahead)
    here.feed.followers.report(ONE)
    run(here.feed.exchange())
    run(meet_followers(there))
    assert find_names(there) == ["n"]


def test_the_latest_word_of_a_follower_that_moved_counts() -> None:
    here, there = start_nodes(0, 0)
    here.feed.followers.report(ONE)
    run(here.feed.exchange())
    there.feed.followers.report(replace(ONE, seen_at=NOW + 1, kids=("k", "l")))
    run(meet_followers(there))
    (found,) = there.feed.followers.find_alive(NOW + 1)
    assert found.kids == ("k", "l")
    there.feed.followers.report(replace(ONE, seen_at=NOW - 1, kids=()))
    (found,) = there.feed.followers.find_alive(NOW)
    assert found.kids == ("k",)


def test_what_is_long_past_is_not_read_again() -> None:
    here, there = start_nodes(0, LONGEST_ABSENCE)
    here.feed.followers.report(ONE)
    run(here.feed.exchange())
    run(meet_followers(there))
    assert list(there.feed.followers.others) == []


@pytest.mark.proves("C96", "A6")
def test_a_follower_of_one_node_holds_up_a_takeover_that_another_leads() -> None:
    here, there = start_nodes(0, 0)
    key = run(rotate(there, Line(KeyUse.ACCESS_TOKEN, "ES256"), actor="test"))
    assert (key.active_from, key.active_by) == (NOW + POLLING, NOW + POLLING + 3600)
    for kids, date in (((), key.active_by), ((key.kid,), NOW + POLLING)):
        for node in (here, there):
            node.clock.move_to(NOW + POLLING - 2)  # type: ignore[attr-defined]
        here.feed.followers.report(replace(ONE, seen_at=NOW + POLLING - 2, kids=kids))
        run(here.feed.exchange())
        run(there.feed.exchange())
        run(tend_keys(there))
        run(here.state.reach_barrier())
        (found,) = (each for each in here.state.keys.records if each.kid == key.kid)
        assert found.active_from == date
