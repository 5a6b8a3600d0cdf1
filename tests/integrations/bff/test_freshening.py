"""One refresh for all who wait, and what becomes of a session that cannot be refreshed."""

import asyncio
from collections import Counter

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchResponse
from dojang.integrations.bff import Upstream
from dojang.integrations.bff.freshening import PAUSE, YOUNG
from tests.integrations.bff.stage import LIFE, UPSTREAM, Browser, Stage

LATE = LIFE * 0.9
LOST = FetchFailed("issuer.test", FetchProblem.TIMEOUT)


async def call_in_tabs(browser: Browser, tabs: int) -> list[int]:
    calls = [browser.call("GET", f"/api/orders?{number}") for number in range(tabs)]
    return [answered.status for answered in await asyncio.gather(*calls)]


@pytest.mark.proves("T2")
async def test_many_tabs_make_one_refresh(stage: Stage) -> None:
    browser = await stage.meet()
    for _ in range(3):  # the provider ends everything where a refresh token comes twice
        before = stage.line.tokens
        stage.clock.move(LATE)
        assert await call_in_tabs(browser, 8) == [200] * 8
        assert stage.line.tokens == before + 1
        assert len({*stage.api.tokens[-8:]}) == 1
    assert len({*stage.api.tokens}) == 3


@pytest.mark.proves("T2")
async def test_many_processes_make_one_refresh(stage: Stage) -> None:
    first = await stage.meet()
    second = stage.browse(stage.make_bff())
    second.cookies = first.cookies
    stage.clock.move(LATE)
    statuses = await asyncio.gather(*(call_in_tabs(each, 4) for each in (first, second)))
    assert statuses == [[200] * 4] * 2
    assert stage.line.tokens == 2


@pytest.mark.proves("T2")
async def test_a_tab_that_is_closed_does_not_stop_the_refresh(stage: Stage) -> None:
    browser = await stage.meet()
    stage.clock.move(LATE)
    leaving = asyncio.create_task(browser.call("GET", "/api/orders"))
    while stage.line.tokens == 1:
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await browser.call("GET", "/api/orders")).status == 200
    assert stage.line.tokens == 2


@pytest.mark.proves("T2")
async def test_a_refresh_that_is_refused_ends_the_session(stage: Stage) -> None:
    browser = await stage.meet()
    page = stage.house.hong.open("/account")
    stage.house.hong.press(page, "withdraw")
    refused = await browser.call("GET", "/api/orders")
    assert (refused.status, refused.json) == (401, {"error": "signed_out"})
    assert await browser.tell() == {"signed_in": False}
    assert (
        len(stage.api.requests) == 1
    )  # the API refused; nobody had to wait for the end of a token


@pytest.mark.proves("T2")
async def test_a_refused_token_is_renewed_once(stage: Stage) -> None:
    browser = await stage.meet()
    stage.house.issuer.revoke_key()
    answered = await browser.call("GET", "/api/orders")
    assert (answered.status, len(stage.api.requests)) == (200, 2)
    stage.api.refuses = True  # a service that refuses everything causes no storm
    stage.clock.move(YOUNG)
    before = stage.line.tokens
    for _ in range(5):
        assert (await browser.call("GET", "/api/orders")).status == 401
    assert stage.line.tokens == before + 1
    assert (await browser.tell())["signed_in"] is True


async def test_what_a_token_may_not_do_is_no_reason_for_another(stage: Stage) -> None:
    browser = await stage.meet()
    challenge = 'Bearer error="insufficient_user_authentication"'
    stage.api.answer = lambda _: FetchResponse(401, {"www-authenticate": challenge}, b"")
    answered = await browser.call("GET", "/api/orders")
    assert (answered.status, answered.find("www-authenticate")) == (401, challenge)
    assert stage.line.tokens == 1


@pytest.mark.proves("T2")
async def test_an_outage_of_the_provider_signs_nobody_out(stage: Stage) -> None:
    browser = await stage.meet()
    stage.clock.move(LATE)
    stage.api.asks = False
    with stage.house.issuer.down():
        for _ in range(3):
            assert (await browser.call("GET", "/api/orders")).status == 200
        stage.clock.move(LIFE - LATE)
        refused = await browser.call("GET", "/api/orders")
        assert (refused.status, refused.json) == (503, {"error": "unavailable"})
        assert refused.find("retry-after") == "1"
    assert (await browser.call("GET", "/api/orders")).status == 200
    assert stage.line.tokens == 2


@pytest.mark.proves("T2")
async def test_an_answer_that_is_lost_is_asked_for_again(stage: Stage) -> None:
    browser = await stage.meet()
    stage.clock.move(LATE)
    stage.line.lose = [LOST]
    assert (await browser.call("GET", "/api/orders")).status == 200
    assert stage.line.tokens == 3
    stage.clock.move(LATE)
    stage.line.lose = [LOST, LOST]
    assert (await browser.call("GET", "/api/orders")).status == 200  # with the old token
    assert (await browser.call("GET", "/api/orders")).status == 200  # nobody is asked again yet
    assert stage.line.tokens == 5
    stage.clock.move(PAUSE)
    assert (await browser.call("GET", "/api/orders")).status == 200
    used, *_, last = stage.api.tokens
    assert Counter(stage.api.tokens).most_common() == [(used, 3), (last, 1)]


@pytest.mark.proves("T2")
async def test_a_logout_beside_a_refresh_wins(stage: Stage) -> None:
    browser = await stage.meet()
    stage.clock.move(LATE)
    called = asyncio.create_task(browser.call("GET", "/api/orders"))
    for _ in range(4):
        await asyncio.sleep(0)
    shown = dict(browser.cookies)
    assert (await browser.call("POST", "/logout")).status == 200
    assert (await called).status == 401
    browser.cookies = shown
    assert await browser.tell() == {"signed_in": False}


@pytest.mark.proves("T2")
async def test_a_session_without_a_refresh_token_ends_with_its_access() -> None:
    me = Upstream(prefix="/api/me", url=UPSTREAM, resource="https://me.test")
    upstreams = [Upstream(prefix="/api", url=UPSTREAM), me]
    stage = Stage(client={"refresh": "none"}, bff={"upstreams": upstreams})
    browser = await stage.meet()
    assert (await browser.call("GET", "/api/me")).status == 503
    stage.clock.move(LIFE - 1)
    assert (await browser.call("GET", "/api/orders")).status == 200
    stage.clock.move(1)
    assert (await browser.call("GET", "/api/orders")).status == 401
