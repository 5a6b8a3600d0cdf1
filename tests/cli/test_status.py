"""`dojang status` for people: who follows, and what a rotation waits for."""

import pytest

from dojang.cli.status import show_status

FOLLOWER = {
    "client_id": "orders",
    "name": "orders-1:7",
    "epoch": 1,
    "head": 41,
    "lag": 1,
    "keys": ["k1", "k2"],
    "hold": 0.5,
    "seen_at": 1_800_000_000.5,
}
ROTATION = {
    "kid": "k3",
    "use": "access_token",
    "algorithm": "ES256",
    "takes_over_at": 1_800_003_600,
    "latest": 1_800_003_600,
    "soonest": 1_800_000_000,
    "lacking": [{"client_id": "orders", "name": "orders-1:7"}],
}
STATUS = {"issuer": "https://issuer.test", "epoch": 1, "head": 42, "missing": []}


def show(capsys: pytest.CaptureFixture[str], **more: object) -> list[str]:
    show_status({**STATUS, "followers": [], "rotations": [], **more})
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_with_nobody_there_it_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(capsys) == [
        "issuer https://issuer.test", "epoch 1", "head 42", "missing -", "followers 0",
    ]  # fmt: skip


@pytest.mark.proves("O3", "A5")
def test_it_shows_who_follows_and_what_is_held_up(capsys: pytest.CaptureFixture[str]) -> None:
    strange = {**FOLLOWER, "name": "b", "epoch": 2, "lag": None, "keys": []}
    lines = show(capsys, followers=[FOLLOWER, strange], rotations=[ROTATION])
    assert lines[5:] == [
        "",
        "FOLLOWER CLIENT POSITION BEHIND KEYS LAST SEEN",
        "orders-1:7 orders 1.41 1 facts k1 k2 2027-01-15 08:00:00Z",
        "b orders 2.41 another epoch - 2027-01-15 08:00:00Z",
        "",
        "The access_token key k3 (ES256) takes over at 2027-01-15 09:00:00Z.",
        "It waits until 2027-01-15 09:00:00Z at the latest, for followers that do not hold it:",
        "FOLLOWER CLIENT",
        "orders-1:7 orders",
    ]
