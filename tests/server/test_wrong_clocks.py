"""F12: a server whose clock is wrong for a while, or was, has forgotten no revocation that matters
once it is put right."""

import pytest

from dojang.server.lifetimes import CLOCKS_APART, DRAIN, LEEWAY, LONGEST_ACCESS_TOKEN
from dojang.server.passed_time import PassedTime
from dojang.testing import Issuer, SettableClock
from dojang.testing.inline import run
from tests.server.front_door import ORDERS

pytestmark = pytest.mark.proves("F12")

DAY = 86_400


class LooseClock(SettableClock):
    """Its wall clock can be set while its boot clock goes on."""

    wrong = 0.0

    def now(self) -> float:
        return super().now() + self.wrong


def make_issuer() -> tuple[Issuer, LooseClock]:
    clock = LooseClock()
    issuer = Issuer(clock=clock)
    issuer.add_resource(ORDERS, ["read"], access_token_lifetime=LONGEST_ACCESS_TOKEN)
    issuer.add_client("shop", {ORDERS: ["read"]})
    return issuer, clock


def make(issuer: Issuer) -> str:
    return issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")


def is_active(issuer: Issuer, token: str) -> bool:
    return bool(issuer.introspect(token, audience=ORDERS)["active"])


@pytest.mark.parametrize("ahead", [DRAIN, DAY, 365 * DAY])
def test_a_clock_that_runs_ahead_for_a_while_forgets_nothing_alive(ahead: float) -> None:
    issuer, clock = make_issuer()
    token, kept = make(issuer), make(issuer)
    issuer.revoke(token)
    clock.wrong = ahead
    for _ in range(8):
        run(issuer.provider.maintain())
        clock.move(300)
    clock.wrong = 0
    run(issuer.provider.maintain())
    assert is_active(issuer, kept)
    assert not is_active(issuer, token)


@pytest.mark.parametrize("ahead", [60, 300, CLOCKS_APART])
def test_what_a_clock_issued_that_was_ahead_stays_revoked_until_it_ends(ahead: float) -> None:
    """The fact is of a right clock: another node's, or of the same one when it was put right."""
    issuer, clock = make_issuer()
    clock.wrong = ahead
    token = make(issuer)
    clock.wrong = 0
    issuer.revoke_client("shop")
    clock.move(DRAIN + 1)
    run(issuer.provider.maintain())
    assert not is_active(issuer, token)
    clock.move(ahead)
    run(issuer.provider.maintain())
    assert not is_active(issuer, token)


def test_a_clock_that_was_slow_at_the_start_is_believed_in_the_end() -> None:
    clock = LooseClock()
    clock.wrong = -365 * DAY
    passed = PassedTime(clock)
    right = clock.now() + 365 * DAY
    clock.wrong = 0
    assert passed.find() < right - 364 * DAY
    clock.move(DRAIN)
    assert passed.find() == int(clock.now())


def test_each_jump_ahead_has_to_last() -> None:
    clock = LooseClock()
    passed = PassedTime(clock)
    for _ in range(5):
        clock.wrong += DAY
        clock.move(DRAIN - 1)
        passed.find()
        assert passed.find() <= clock.now() - clock.wrong
    clock.move(LEEWAY)
    clock.wrong = -10
    assert passed.find() == int(clock.now())
