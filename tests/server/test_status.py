"""What operators see of followers and rotations: `status`, and the gauges beside it."""

from typing import Any

import pytest

from dojang.oauth.http import Request
from dojang.server.rotation import tend_keys
from dojang.server.verifiers import POLLING
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.web.metrics import Metrics
from dojang.web.service import Service
from tests.server.fleet import SimulatedFollower
from tests.server.front_door import NOW, ORDERS, open_issuer

ASKED = Request("GET", "/metrics", b"", (), b"", "127.0.0.1")


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.rotate_keys()
    run(tend_keys(issuer.provider))
    return issuer


def hold_up(issuer: Issuer) -> SimulatedFollower:
    """A rotation that a follower holds up, of two that are there."""
    SimulatedFollower(issuer, "a:1")
    follower = SimulatedFollower(issuer, "b:2", client_id="payments")
    follower.lose(*follower.kids)
    issuer.rotate_keys()
    issuer.clock.move_to(NOW + POLLING - 1)
    SimulatedFollower(issuer, "a:1")
    follower.report()
    run(tend_keys(issuer.provider))
    return follower


def read_gauges(issuer: Issuer) -> dict[str, float]:
    provider = issuer.provider
    text = "".join(
        line + "\n"
        for line in _expose(Metrics(provider, Service())).splitlines()
        if line.startswith("dojang_")
    )
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines())
    }


def _expose(metrics: Metrics) -> str:
    metrics._registry = metrics._build_registry()
    return run(metrics.answer(ASKED)).body.decode()


def test_with_nobody_there_it_is_short(issuer: Issuer) -> None:
    status = issuer.perform("status")
    assert (status["followers"], status["rotations"], status["missing"]) == ([], [], [])


@pytest.mark.proves("O3", "A5")
def test_status_says_who_follows_and_who_holds_up_what(issuer: Issuer) -> None:
    hold_up(issuer)
    issuer.add_client("shop")
    issuer.revoke_client("shop")
    status = issuer.perform("status")
    followers: list[dict[str, Any]] = sorted(status["followers"], key=lambda each: each["name"])
    assert [(each["name"], each["client_id"]) for each in followers] == [
        ("a:1", "orders"),
        ("b:2", "payments"),
    ]
    assert [each["lag"] for each in followers] == [1, 1]  # they have not asked since
    assert [each["seen_at"] for each in followers] == [NOW + POLLING - 1] * 2
    assert len(followers[0]["keys"]) == 4
    assert followers[1]["keys"] == []
    (rotation,) = status["rotations"]
    assert rotation["algorithm"] == "ES256"
    assert rotation["soonest"] == NOW + POLLING
    assert rotation["takes_over_at"] == rotation["latest"] == NOW + POLLING + 3600
    assert rotation["lacking"] == [{"client_id": "payments", "name": "b:2"}]
    assert rotation["kid"] in followers[0]["keys"]


@pytest.mark.proves("O3")
def test_gauges_say_the_same(issuer: Issuer) -> None:
    line = 'algorithm="ES256",use="access_token"'
    quiet = read_gauges(issuer)
    assert quiet[f"dojang_rotation_waiting_seconds{{{line}}}"] == 0
    assert quiet["dojang_followers"] == 0
    follower = hold_up(issuer)
    gauges = read_gauges(issuer)
    assert gauges["dojang_followers"] == 2
    assert gauges[f"dojang_rotation_lacking_followers{{{line}}}"] == 1
    assert gauges[f"dojang_rotation_waiting_seconds{{{line}}}"] == 0
    assert gauges['dojang_keys{algorithm="ES256",state="active",use="access_token"}'] == 1
    assert gauges['dojang_keys{algorithm="RS256",state="upcoming",use="feed"}'] == 1
    issuer.clock.move(101)
    follower.report()
    run(tend_keys(issuer.provider))
    gauges = read_gauges(issuer)
    assert gauges[f"dojang_rotation_waiting_seconds{{{line}}}"] == 100
    follower.fetch()
    run(tend_keys(issuer.provider))
    gauges = read_gauges(issuer)
    assert gauges[f"dojang_rotation_waiting_seconds{{{line}}}"] == 0
    assert gauges[f"dojang_rotation_lacking_followers{{{line}}}"] == 0


def test_gauges_are_there_without_the_database(issuer: Issuer) -> None:
    with issuer.without_database():
        assert read_gauges(issuer)["dojang_followers"] == 0
