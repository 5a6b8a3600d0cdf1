"""A takeover waits for those who verify: followers that say what they hold, others that poll."""

import logging
from typing import Any

import pytest

from dojang.oauth.errors import Unavailable
from dojang.server.administration import OperationRefused
from dojang.server.key_plans import CLOSE
from dojang.server.model import KeyUse
from dojang.server.rotation import tend_keys
from dojang.server.verifiers import POLLING, RENEWAL
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.fleet import SimulatedFollower
from tests.server.front_door import NOW, ORDERS, decode_jwt, open_issuer

HOLD_LIMIT = 3600
LIMIT = NOW + POLLING + HOLD_LIMIT


@pytest.fixture
def issuer() -> Issuer:
    """One whose standby was published just now."""
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.rotate_keys()
    tend(issuer)
    return issuer


def tend(issuer: Issuer, at: float | None = None) -> None:
    if at is not None:
        issuer.clock.move_to(at)
    run(tend_keys(issuer.provider))


def tell(follower: SimulatedFollower, at: float) -> None:
    """Let the follower be there at a time, with what it holds."""
    follower.issuer.clock.move_to(at)
    follower.report()
    tend(follower.issuer)


def find_signing_kid(issuer: Issuer, audience: str = ORDERS) -> str:
    kid: str = decode_jwt(issuer.token(scopes=["read"], audience=audience))[0]["kid"]
    return kid


def find_standby(issuer: Issuer, algorithm: str = "ES256") -> str:
    (kid,) = [
        key["kid"]
        for key in issuer.perform("keys.list")["keys"]
        if key["algorithm"] == algorithm and key["state"] == "upcoming" and not key["active_from"]
    ]
    assert isinstance(kid, str)
    return kid


def find_events(issuer: Issuer, *actions: str) -> list[dict[str, Any]]:
    records = issuer.perform("audit.list", limit=1000)["records"]
    return [each for each in records if each["action"] in actions]


def rotate_behind_its_back(issuer: Issuer) -> tuple[SimulatedFollower, str]:
    """A follower that does not hold the key that is to take over at NOW + POLLING."""
    follower = SimulatedFollower(issuer, "orders-1:7")
    lacked = find_standby(issuer)
    follower.lose(lacked)
    assert issuer.rotate_keys() == NOW + POLLING
    return follower, lacked


def hold_up(issuer: Issuer) -> tuple[SimulatedFollower, str]:
    """The same, and the takeover has come so close that it waits."""
    follower, lacked = rotate_behind_its_back(issuer)
    tell(follower, NOW + POLLING - 1)
    return follower, lacked


@pytest.mark.proves("C96", "K3")
def test_a_takeover_waits_for_a_follower_and_goes_on_when_it_has_the_key(issuer: Issuer) -> None:
    before = find_signing_kid(issuer)
    follower, lacked = rotate_behind_its_back(issuer)
    tell(follower, NOW + POLLING - CLOSE - 1)
    assert find_events(issuer, "key.wait") == []
    for second in (-CLOSE, -1, 0, 1, 1000, HOLD_LIMIT - 1):
        tell(follower, NOW + POLLING + second)
        assert find_signing_kid(issuer) == before
    (event,) = find_events(issuer, "key.wait")  # one change, however long it waits
    assert (event["target"], event["detail"]["lacking"]) == (lacked, "orders orders-1:7")
    issuer.clock.move(-1000)
    follower.fetch()
    tend(issuer)
    assert find_signing_kid(issuer) == lacked


@pytest.mark.proves("C96", "K3")
def test_polling_verifiers_are_waited_for_where_every_follower_has_the_key(issuer: Issuer) -> None:
    before = find_signing_kid(issuer)
    follower, lacked = rotate_behind_its_back(issuer)
    tell(follower, NOW + POLLING - 5)
    follower.fetch()
    tend(issuer)
    for second in (-5, -1):
        tell(follower, NOW + POLLING + second)
        assert find_signing_kid(issuer) == before
    tell(follower, NOW + POLLING)
    assert find_signing_kid(issuer) == lacked


@pytest.mark.proves("C96")
def test_a_takeover_that_could_be_at_once_waits_too() -> None:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    before = find_signing_kid(issuer)
    follower = SimulatedFollower(issuer, "a")
    follower.lose(*follower.kids)
    answer = issuer.perform("keys.rotate")
    assert answer["takes_over_at"] == answer["latest"] == NOW + HOLD_LIMIT
    assert answer["lacking"] == [{"client_id": "orders", "name": "a"}]
    assert find_signing_kid(issuer) == before
    follower.fetch()
    tend(issuer)
    assert find_signing_kid(issuer) != before


@pytest.mark.proves("C96", "K3")
def test_at_its_limit_it_goes_ahead_with_an_alarm_that_names_who_lacks_it(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    follower, lacked = hold_up(issuer)
    with caplog.at_level(logging.WARNING, "dojang.keys"):
        tell(follower, LIMIT - 1)
        assert caplog.messages == []
        for second in (0, 1, 2):
            tell(follower, LIMIT + second)
    assert find_signing_kid(issuer) == lacked
    (message,) = caplog.messages
    assert lacked in message
    assert "orders orders-1:7" in message
    (event,) = find_events(issuer, "key.take_over")[1:]
    assert event["detail"]["lacking"] == "orders orders-1:7"


@pytest.mark.proves("C96")
def test_the_limit_needs_nobody_to_act(issuer: Issuer) -> None:
    _, lacked = hold_up(issuer)
    issuer.clock.move_to(LIMIT)
    assert find_signing_kid(issuer) == lacked


@pytest.mark.proves("C96")
def test_a_follower_that_went_away_is_not_waited_for(issuer: Issuer) -> None:
    follower, lacked = hold_up(issuer)
    tell(follower, NOW + POLLING)
    tend(issuer, NOW + POLLING + 5)
    assert find_signing_kid(issuer) != lacked
    tend(issuer, NOW + POLLING + 6)
    assert find_signing_kid(issuer) == lacked


def test_a_long_list_of_who_is_waited_for_is_cut(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    _, lacked = rotate_behind_its_back(issuer)
    with caplog.at_level(logging.INFO, "dojang.keys"):
        issuer.clock.move_to(NOW + POLLING - 1)
        for number in range(50):
            SimulatedFollower(issuer, f"n{number:02}").lose(lacked)
        tend(issuer)
    (message,) = caplog.messages
    assert "orders n00, orders n01" in message
    assert message.endswith("orders n19 and 30 more")


@pytest.mark.proves("C96", "K3")
def test_where_all_follow_nobody_who_polls_is_waited_for() -> None:
    issuer = open_issuer()
    issuer.add_resource("urn:a", ["read"], algorithm="ES384", followers_only=True)
    follower = SimulatedFollower(issuer, "a")
    for _ in range(3):
        lacked = find_standby(issuer, "ES384")
        assert issuer.rotate_keys("ES384") == NOW
        assert find_signing_kid(issuer, "urn:a") == lacked
        follower.fetch()
    issuer.perform("resource.add", identifier="urn:b", scopes=["read"], algorithm="ES384")
    assert issuer.rotate_keys("ES384") == NOW + POLLING


@pytest.mark.proves("C96")
def test_where_all_follow_followers_are_waited_for() -> None:
    issuer = open_issuer()
    issuer.add_resource("urn:a", ["read"], algorithm="ES384", followers_only=True)
    follower = SimulatedFollower(issuer, "a")
    issuer.rotate_keys("ES384")
    assert issuer.rotate_keys("ES384") == NOW + HOLD_LIMIT
    follower.fetch()
    tend(issuer)
    follower.fetch()
    assert issuer.rotate_keys("ES384") == NOW


@pytest.mark.proves("C96")
def test_a_resource_that_is_polled_joins_in_the_middle_of_a_rotation() -> None:
    issuer = open_issuer()
    issuer.add_resource("urn:a", ["read"], algorithm="ES384", followers_only=True)
    before = find_signing_kid(issuer, "urn:a")
    follower = SimulatedFollower(issuer, "a")
    issuer.rotate_keys("ES384")
    tend(issuer)
    assert issuer.rotate_keys("ES384") == NOW + HOLD_LIMIT
    before = find_signing_kid(issuer, "urn:a")
    issuer.add_resource("urn:b", ["read"], algorithm="ES384")
    follower.fetch()
    tend(issuer)
    issuer.clock.move_to(NOW + POLLING - 1)
    assert find_signing_kid(issuer, "urn:a") == before
    issuer.clock.move_to(NOW + POLLING)
    assert find_signing_kid(issuer, "urn:a") != before


@pytest.mark.proves("C96")
def test_the_servers_own_audiences_do_not_stand_for_somebody_who_polls() -> None:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"], followers_only=True)
    issuer.rotate_keys()
    assert issuer.rotate_keys() == NOW


@pytest.mark.parametrize(
    "use, algorithm, wait",
    [(KeyUse.SEAL, "A256GCM", POLLING), (KeyUse.FEED, "RS256", RENEWAL)],
)
def test_keys_that_no_follower_holds_wait_for_none(use: KeyUse, algorithm: str, wait: int) -> None:
    issuer = open_issuer()
    follower = SimulatedFollower(issuer, "a")
    follower.report()
    assert issuer.perform("keys.rotate", use=use, algorithm=algorithm)["takes_over_at"] == NOW
    again = issuer.perform("keys.rotate", use=use, algorithm=algorithm)
    assert again["takes_over_at"] == NOW + wait
    assert again["lacking"] == []
    tell(follower, NOW + wait)
    (state,) = [
        key["state"]
        for key in issuer.perform("keys.list")["keys"]
        if key["use"] == use and key["active_from"] == NOW + wait
    ]
    assert state == "active"


@pytest.mark.proves("C97")
def test_an_emergency_waits_for_nobody(issuer: Issuer) -> None:
    follower, lacked = hold_up(issuer)
    issuer.clock.move(1)
    issuer.revoke_key(find_signing_kid(issuer))
    assert find_signing_kid(issuer) == lacked
    tell(follower, NOW + POLLING + 1)
    assert find_signing_kid(issuer) == lacked
    (key,) = [each for each in issuer.perform("keys.list")["keys"] if each["kid"] == lacked]
    assert (key["active_from"], key["active_by"]) == (NOW + POLLING, None)


@pytest.mark.proves("C97")
def test_the_key_that_is_waited_for_is_revoked(issuer: Issuer) -> None:
    before = find_signing_kid(issuer)
    follower, lacked = hold_up(issuer)
    issuer.revoke_key(lacked)
    tell(follower, LIMIT + 10)
    assert find_signing_kid(issuer) == before
    assert issuer.perform("status")["rotations"] == []


def test_a_second_rotation_is_refused_while_the_first_waits(issuer: Issuer) -> None:
    hold_up(issuer)
    with pytest.raises(OperationRefused, match="under way"):
        issuer.rotate_keys()


@pytest.mark.proves("C96", "F7")
def test_without_its_database_nothing_moves_and_afterwards_it_does(issuer: Issuer) -> None:
    follower, lacked = hold_up(issuer)
    tell(follower, NOW + POLLING)
    follower.fetch()
    with issuer.without_database(), pytest.raises(Unavailable):
        tend(issuer)
    tend(issuer)
    assert find_signing_kid(issuer) == lacked


def test_a_rotation_changes_little_in_the_record(issuer: Issuer) -> None:
    """Each change makes every node read its keys again: there are few."""
    follower, _ = rotate_behind_its_back(issuer)
    before = issuer.provider.state.position.generation
    for second in range(100):
        tell(follower, NOW + POLLING - CLOSE + second)
    follower.fetch()
    for _ in range(10):
        issuer.clock.move(1)
        follower.report()
        tend(issuer)
    assert issuer.provider.state.position.generation - before == 3  # waits, moves, takes over
