"""People: who may sign in, how often somebody may guess, and what they are called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dojang.server.accounts import TooManyAttempts
from dojang.server.administration import OperationRefused
from dojang.server.interaction import Outcome, PersonAsked
from dojang.server.kept_accounts import (
    MOST_OF_ACCOUNT,
    MOST_OF_NETWORK,
    WINDOW,
    KeptAccounts,
    find_network,
)
from dojang.server.passwords import Passwords
from dojang.server.people import Account, Consent
from dojang.testing import SettableClock
from dojang.testing.inline import run
from tests.server.front_door import read, refusal
from tests.server.people.world import PASSWORD, World, read_claims


def failed(outcome: Outcome) -> bool:
    return isinstance(outcome, PersonAsked) and outcome.failed


class CountingPasswords(Passwords):
    def __init__(self) -> None:
        super().__init__()
        self.checked = 0

    async def verify(self, password: str, hashed: str | None) -> bool:
        self.checked += 1
        return await super().verify(password, hashed)


@pytest.mark.proves("C106")
def test_who_is_unknown_wrong_locked_or_disabled_looks_the_same(world: World) -> None:
    world.add_user("kim")
    world.perform("user.disable", username="kim")
    passwords = CountingPasswords()
    accounts = KeptAccounts(world.issuer.provider.store, world.issuer.clock, passwords)
    world.issuer.provider.accounts = accounts
    for place, (name, password) in enumerate(
        [("nobody", PASSWORD), ("hong", "wrong"), ("kim", PASSWORD), ("\0", PASSWORD), ("", "")], 1
    ):
        assert failed(world.sign_in(world.ask(), name, password))
        assert passwords.checked == place  # each took as long as the others
    for _ in range(MOST_OF_ACCOUNT):
        world.sign_in(world.ask(), "hong", "wrong")
    before = passwords.checked
    assert failed(world.sign_in(world.ask(), "hong"))
    assert passwords.checked == before + 1


@pytest.mark.proves("C107")
def test_guessing_an_account_is_slowed_whatever_the_name_looks_like(world: World) -> None:
    spellings = ["hong", "HONG", " hong ", "ｈｏｎｇ"]
    for place in range(MOST_OF_ACCOUNT):
        name = spellings[place % len(spellings)]
        assert failed(world.sign_in(world.ask(), name, f"guess {place}"))
    assert failed(world.sign_in(world.ask(), "hong"))  # right, and too late
    world.issuer.clock.move(WINDOW)
    assert not failed(world.sign_in(world.ask(), "ＨＯＮＧ"))


@pytest.mark.proves("C107")
def test_a_restart_forgets_no_guess(world: World) -> None:
    provider = world.issuer.provider
    for place in range(MOST_OF_ACCOUNT):
        world.sign_in(world.ask(), "hong", f"guess {place}")
    provider.accounts = KeptAccounts(provider.store, provider.clock, Passwords())
    assert failed(world.sign_in(world.ask(), "hong"))


@pytest.mark.proves("C107")
def test_guesses_at_once_are_no_more_than_one_after_the_other(world: World) -> None:
    store, clock = world.issuer.provider.store, SettableClock(world.now)
    passwords = CountingPasswords()
    nodes = [KeptAccounts(store, clock, passwords) for _ in range(2)]

    async def guess_all() -> list[object]:
        guesses = [
            nodes[place % 2].authenticate("hong", PASSWORD + "!", network=f"10.0.0.{place}")
            for place in range(3 * MOST_OF_ACCOUNT)
        ]
        right = nodes[0].authenticate("hong", PASSWORD, network="10.0.1.1")
        return await asyncio.gather(*guesses, right)

    assert set(asyncio.run(guess_all())) == {None}


@pytest.mark.proves("C107")
def test_a_network_that_guesses_at_many_names_is_told_to_wait(world: World) -> None:
    for place in range(MOST_OF_NETWORK):
        world.sign_in(world.ask(), f"nobody{place}", "x" * 8)
    with pytest.raises(TooManyAttempts) as waiting:
        world.sign_in(world.ask())
    assert 0 < waiting.value.retry_after <= WINDOW
    world.issuer.clock.move(WINDOW)
    assert not failed(world.sign_in(world.ask()))


@pytest.mark.proves("C107")
@pytest.mark.parametrize(
    "address,network",
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_a_household_has_one_budget(address: str, network: str) -> None:
    assert find_network(address) == network


@pytest.mark.proves("C107")
def test_who_is_right_is_not_counted(world: World) -> None:
    for _ in range(MOST_OF_ACCOUNT + 1):
        assert not failed(world.sign_in(world.ask(prompt="login")))


@pytest.mark.proves("C108")
def test_a_pairwise_name_is_one_of_the_sector_and_of_nobody_else(world: World) -> None:
    world.add_user("kim")
    subjects: dict[tuple[str, str], str] = {}
    for client_id, sector in [("one", "a"), ("two", "a"), ("three", "b"), ("four", None)]:
        world.add_client(client_id, subject_type="pairwise", sector=sector)
        for username in ("hong", "kim"):
            outcome = world.sign_in(world.ask(client_id=client_id, prompt="login"), username)
            code = world.consent(outcome)
            assert not isinstance(code, PersonAsked)
            response = world.redeem(code.parameters["code"], client_id)
            claims = read_claims(read(response)["id_token"])
            subjects[client_id, username] = claims["sub"]
    assert subjects["one", "hong"] == subjects["two", "hong"]
    assert len(set(subjects.values())) == 6
    assert not set(subjects.values()) & {"account-hong", "account-kim"}


@pytest.mark.proves("C108")
def test_who_comes_after_somebody_of_the_same_name_is_another(world: World) -> None:
    first = read_claims(world.get_tokens()["id_token"])["sub"]
    world.perform("user.remove", username="hong")
    world.perform("user.add", username="hong", password=PASSWORD)
    second = read_claims(world.get_tokens(prompt="login")["id_token"])["sub"]
    assert first != second


def test_of_whoever_is_removed_nothing_that_they_allowed_is_kept(world: World) -> None:
    world.get_tokens()
    world.perform("user.remove", username="hong")
    assert run(world.issuer.provider.store.list_all(Consent)) == []


@pytest.mark.proves("K6", "A4")
def test_who_is_disabled_is_signed_out_and_stays_out(world: World) -> None:
    tokens = world.get_tokens()
    world.perform("user.disable", username="hong")
    assert refusal(world.ask_userinfo(tokens["access_token"])) == (401, "invalid_token")
    asked = world.ask()
    assert isinstance(asked, PersonAsked)
    assert failed(world.sign_in(asked))
    world.perform("user.enable", username="hong")
    assert refusal(world.ask_userinfo(tokens["access_token"])) == (401, "invalid_token")
    assert not failed(world.sign_in(world.ask()))


@pytest.mark.proves("A5")
@pytest.mark.parametrize(
    "operation,parameters,status",
    [
        ("user.add", {"username": "hong", "password": "long enough"}, 409),
        ("user.add", {"username": "HONG", "password": "long enough"}, 409),
        ("user.add", {"username": "", "password": "long enough"}, 400),
        ("user.add", {"username": "a\nb"}, 400),
        ("user.add", {"username": "kim", "password": "short"}, 400),
        ("user.add", {"username": "kim", "claims": {"admin": True}}, 400),
        ("user.add", {"username": "kim", "claims": {"name": " "}}, 400),
        ("user.add", {"username": "kim", "claims": {"email_verified": "true"}}, 400),
        ("user.add", {"username": "kim", "claims": {"updated_at": "1700000000"}}, 400),
        ("user.add", {"username": "kim", "claims": {"updated_at": True}}, 400),
        ("user.add", {"username": "kim", "claims": {"address": "Seoul"}}, 400),
        ("user.add", {"username": "kim", "claims": {"address": {"planet": "Earth"}}}, 400),
        ("user.set_claims", {"username": "hong", "claims": {"address": {}}}, 400),
        ("user.disable", {"username": "nobody"}, 404),
        ("session.end", {"session_id": "nothing"}, 404),
    ],
)
def test_operators_are_told_what_is_wrong(
    world: World, operation: str, parameters: dict[str, Any], status: int
) -> None:
    with pytest.raises(OperationRefused) as refused:
        world.perform(operation, **parameters)
    assert refused.value.status == status


@pytest.mark.proves("O2")
def test_no_operation_shows_a_password_or_a_cookie(world: World) -> None:
    world.get_tokens()
    shown = repr(
        [
            world.perform("user.list"),
            world.perform("session.list"),
            world.perform("audit.list", limit=1000),
        ]
    )
    (account,) = run(world.issuer.provider.store.list_all(Account))
    assert PASSWORD not in shown
    assert account.password is not None
    assert account.password not in shown
    assert "digest': b" not in shown
    assert (world.browser.session or "")[-43:] not in shown
