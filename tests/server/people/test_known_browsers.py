"""Nobody is shut out of a browser of theirs by somebody who guesses at their password elsewhere."""

from __future__ import annotations

import pytest

from dojang.server.browsers import Browser
from dojang.server.interaction import Outcome, PersonAsked
from dojang.server.kept_accounts import KNOWN_FOR, MOST_OF_ACCOUNT, WINDOW
from dojang.server.people import Attempts
from dojang.testing.inline import run
from tests.server.people.world import PASSWORD, World


def failed(outcome: Outcome) -> bool:
    return isinstance(outcome, PersonAsked) and outcome.failed


def try_in(world: World, secret: bytes, username: str, password: str = PASSWORD) -> bool:
    """Whether somebody gets in with a browser that is signed in as nobody."""
    world.browser = Browser(secret=secret * 32, network="198.51.100.9")
    return not failed(world.sign_in(world.ask(), username, password))


def guess(
    world: World, secret: bytes, username: str = "hong", times: int = MOST_OF_ACCOUNT
) -> None:
    for place in range(times):
        assert not try_in(world, secret, username, f"guess {place}")


@pytest.mark.proves("C107")
def test_a_browser_of_ones_own_lets_one_in_whoever_guesses(world: World) -> None:
    assert try_in(world, b"b", "hong")
    guess(world, b"x")
    assert not try_in(world, b"x", "hong")
    assert not try_in(world, b"y", "hong")
    assert try_in(world, b"b", " HONG ")
    assert not try_in(world, b"y", "hong")


@pytest.mark.proves("C107")
def test_a_known_browser_guesses_no_more_than_others(world: World) -> None:
    assert try_in(world, b"b", "hong")
    guess(world, b"b")
    assert not try_in(world, b"b", "hong")
    assert try_in(world, b"y", "hong")  # those were not of the name
    world.issuer.clock.move(WINDOW)
    assert try_in(world, b"b", "hong")
    guess(world, b"b", times=MOST_OF_ACCOUNT - 1)
    assert try_in(world, b"b", "hong")


@pytest.mark.proves("C107")
def test_a_browser_is_known_for_one_person_and_a_while(world: World) -> None:
    world.add_user("kim")
    assert try_in(world, b"b", "hong")
    guess(world, b"x", "kim")
    assert not try_in(world, b"b", "kim")
    world.issuer.clock.move(WINDOW)
    guess(world, b"b", times=1)  # is no end to it
    world.issuer.clock.move(KNOWN_FOR - WINDOW)
    guess(world, b"x")
    assert not try_in(world, b"b", "hong")


@pytest.mark.proves("C107")
def test_a_browser_that_only_tried_is_not_known(world: World) -> None:
    guess(world, b"b", times=1)
    guess(world, b"x", times=MOST_OF_ACCOUNT - 1)
    assert not try_in(world, b"b", "hong")


@pytest.mark.proves("O2")
def test_what_is_kept_of_it_says_neither_who_nor_where(world: World) -> None:
    assert try_in(world, b"b", "hong")
    kept = [each.subject for each in run(world.issuer.provider.store.list_all(Attempts))]
    (subject,) = [each for each in kept if each.startswith("browser ")]
    assert "hong" not in subject
    assert world.browser.digest.hex() not in subject
