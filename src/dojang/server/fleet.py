"""The followers of all nodes, as this one knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dojang.server.verifiers import Verifiers, find_followed

if TYPE_CHECKING:
    from dojang.server.provider import Provider

LONGEST_ABSENCE: Final = 120  # seconds: more than any lease, and than clocks of nodes differ by


async def meet_followers(provider: Provider) -> None:
    """Read who follows on the other nodes. Raises `Unavailable`."""
    since = provider.clock.now() - LONGEST_ABSENCE
    provider.feed.followers.others = tuple(await provider.store.load_followers(since=since))


def assess_verifiers(provider: Provider) -> Verifiers:
    """Who verifies tokens now, as far as is known here. The server verifies those that are for
    itself with the keys that it has."""
    own = (provider.introspection_audience, provider.admin_audience)
    others = [each for each in provider.state.resources.values() if each.identifier not in own]
    alive = provider.feed.followers.find_alive(provider.clock.now())
    return Verifiers(tuple(alive), find_followed(others))
