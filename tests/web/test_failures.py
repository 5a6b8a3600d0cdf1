"""What a peer sees, and what an operator sees, when a handler fails."""

import asyncio
import logging

import pytest

from dojang.oauth.errors import ErrorCode, OAuthError, Unavailable
from dojang.oauth.http import Request, Response
from dojang.web.routing import Route
from tests.web.peers import peer_of, serving
from tests.web.world import read_json

FAILURES = {
    "broken": RuntimeError("an inner detail"),
    "down": Unavailable("database", retry_after=7),
    "refused": OAuthError(ErrorCode.INVALID_SCOPE, "Not that scope.", reason="scope"),
}


def fail(request: Request) -> Response:
    raise FAILURES[request.path[1:]]


async def fail_late(request: Request) -> Response:
    await asyncio.sleep(0)
    return fail(request._replace(path=request.path.removesuffix("-late")))


ROUTES = [
    *(Route(f"/{name}", {"GET": fail}) for name in FAILURES),
    *(Route(f"/{name}-late", {"GET": fail_late}) for name in FAILURES),
]


@pytest.mark.parametrize("late", ["", "-late"])
async def test_a_failure_is_answered_by_whose_fault_it_was(late: str) -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        broken = await peer.ask(f"/broken{late}?secret=x")
        down = await peer.ask(f"/down{late}")
        refused = await peer.ask(f"/refused{late}")
    assert (broken.status, read_json(broken)["error"]) == (500, "server_error")
    assert (down.status, read_json(down)["error"]) == (503, "temporarily_unavailable")
    assert down.headers["retry-after"] == "7"
    assert (refused.status, read_json(refused)["error"]) == (400, "invalid_scope")
    for answer in (broken, down, refused):
        assert answer.headers["cache-control"] == "no-store"
        assert b"detail" not in answer.body
        assert b"RuntimeError" not in answer.body
        assert b"database" not in answer.body


async def test_an_operator_reads_where_and_why(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        await peer.ask("/broken?query=hidden")
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    where = vars(record)
    assert (where["method"], where["path"], where["client"]) == ("GET", "/broken", "127.0.0.1")
    assert record.exc_info is not None
    assert "hidden" not in caplog.text


async def test_an_outage_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(ROUTES) as site, peer_of(site.address) as peer:
        for _ in range(20):
            assert (await peer.ask("/down")).status == 503
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [each.getMessage() for each in warnings] == ["database is unavailable"]
