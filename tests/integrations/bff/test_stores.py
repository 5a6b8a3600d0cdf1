"""What both stores of sessions owe, and what one in Redis keeps to itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dojang.client import Unavailable
from dojang.integrations.bff import BrowserSessions, RedisSessions, SessionsInOneProcess
from dojang.integrations.bff import redis_sessions as redis_module
from tests.integrations.bff.stage import SESSION, Stage
from tests.services.redis import RedisServer


@pytest.fixture(params=["memory", "redis"])
async def sessions(request: pytest.FixtureRequest) -> AsyncIterator[BrowserSessions]:
    if request.param == "memory":
        yield SessionsInOneProcess()
        return
    store = RedisSessions(request.getfixturevalue("redis_server").url)
    yield store
    await store.aclose()


async def begin(sessions: BrowserSessions, key: str, *names: str, at: int = 100) -> bool:
    return await sessions.begin(key, b"value", names=names, at=at, idle=60, longest=600)


@pytest.mark.proves("T2")
async def test_a_session_is_kept_replaced_and_ended(sessions: BrowserSessions) -> None:
    assert await sessions.find("a", idle=None) is None
    assert not await sessions.replace("a", b"x")
    assert await begin(sessions, "a", "sid", "sub")
    assert await sessions.find("a", idle=60) == b"value"
    assert await sessions.replace("a", b"other")
    assert await sessions.find("a", idle=None) == b"other"
    await sessions.end("a")
    assert await sessions.find("a", idle=60) is None
    assert not await sessions.replace("a", b"revived")
    assert await sessions.find("a", idle=None) is None


@pytest.mark.proves("T2")
async def test_all_sessions_of_a_name_end(sessions: BrowserSessions) -> None:
    for key, at in (("a", 100), ("b", 101), ("c", 102)):
        assert await begin(sessions, key, f"sid-{key}", "sub", at=at)
    await sessions.end_all("sub", at=101, remember=60)
    await sessions.end_all("sub", at=90, remember=60)  # one that was late takes nothing back
    found = [await sessions.find(key, idle=None) for key in "abc"]
    assert found == [None, None, b"value"]
    assert not await begin(sessions, "d", "sid-d", "sub", at=101)
    assert await sessions.find("d", idle=None) is None
    assert await begin(sessions, "e", "sid-e", "sub", at=102)
    await sessions.end_all("nobody", at=10**9, remember=60)
    assert await sessions.find("e", idle=None) == b"value"


@pytest.mark.proves("T2")
async def test_a_name_is_claimed_once(sessions: BrowserSessions) -> None:
    assert await sessions.claim("jti", seconds=60)
    assert not await sessions.claim("jti", seconds=60)
    await sessions.release("jti")
    assert await sessions.claim("jti", seconds=60)


@pytest.mark.proves("T2")
async def test_one_at_a_time_has_the_lock(sessions: BrowserSessions) -> None:
    inside: list[str] = []

    async def work(key: str) -> None:
        async with sessions.lock(key):
            assert key not in inside
            inside.append(key)
            await asyncio.sleep(0.002)
            inside.remove(key)

    await asyncio.gather(*(work(key) for key in "aaaabbbb"))
    with pytest.raises(ZeroDivisionError):
        async with sessions.lock("a"):
            raise ZeroDivisionError
    async with sessions.lock("a"):
        pass


@pytest.mark.proves("T2")
async def test_who_reads_redis_has_no_token_and_no_session(redis_server: RedisServer) -> None:
    store = RedisSessions(redis_server.url)
    stage = Stage(sessions=store)
    browser = await stage.meet()
    stage.clock.move(540)
    assert (await browser.call("GET", "/api/orders")).status == 200
    client = store._redis
    everything = [await client.keys("*")]
    for key in everything[0]:
        kind = await client.type(key)
        everything.append(
            await (client.get(key) if kind == b"string" else client.zrange(key, 0, -1))
        )
    dumped = repr(everything)
    assert len(everything) > 3
    assert not [secret for secret in stage.list_secrets() if secret in dumped]
    assert browser.cookies[SESSION] not in dumped
    assert "홍길동".encode() not in everything[1:]
    assert "account-hong" not in dumped
    (key,) = [each for each in everything[0] if b"session" in each]
    other = await stage.meet()
    (second,) = [each for each in await client.keys("*session*") if each != key]
    await client.set(second, await client.get(key))  # the value of another session
    assert await other.tell() == {"signed_in": False}
    await store.aclose()


@pytest.mark.proves("T2")
async def test_two_processes_share_a_redis(redis_server: RedisServer) -> None:
    stores = [RedisSessions(redis_server.url) for _ in range(2)]
    stage = Stage(sessions=stores[0])
    first = await stage.meet()
    second = stage.browse(stage.make_bff(stores[1]))
    second.cookies = first.cookies
    stage.clock.move(540)
    browsers = [first, second] * 4
    answers = await asyncio.gather(*(each.call("GET", "/api/orders") for each in browsers))
    assert [each.status for each in answers] == [200] * 8
    assert stage.line.tokens == 2
    assert (await second.call("POST", "/logout")).status == 200
    assert await first.tell() == {"signed_in": False}
    for store in stores:
        await store.aclose()


@pytest.mark.proves("T2")
async def test_a_redis_that_is_away_signs_nobody_in_or_out(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisSessions(redis_server.url)
    stage = Stage(sessions=store)
    browser = await stage.meet()
    redis_server.kill()
    for method, path in (("GET", "/session"), ("GET", "/api/orders"), ("POST", "/logout")):
        away = await browser.call(method, path)
        assert (away.status, away.json) == (503, {"error": "unavailable"})
    assert SESSION in browser.cookies
    assert browser.cookies[SESSION] not in caplog.text
    arrived = await stage.sign_in(stage.browse())
    assert arrived.location == "/?sign_in_error=unavailable"
    redis_server.start()
    assert await browser.tell() == {"signed_in": False}  # it kept nothing; people sign in again
    await stage.sign_in(browser)
    assert (await browser.tell())["signed_in"] is True
    await store.aclose()


async def test_a_lock_that_is_never_given_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "LOCK_WAIT", 0.05)
    store = RedisSessions(redis_server.url)
    async with store.lock("a"):
        with pytest.raises(Unavailable):
            async with store.lock("a"):
                pass
        redis_server.command("SET", "dojang:bff:lock:a", "another's")
    assert redis_server.command("EXISTS", "dojang:bff:lock:a") == ":1"
    await store.aclose()
