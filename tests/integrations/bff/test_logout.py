"""Out again: by the person, and by the provider."""

import asyncio

import pytest

from dojang.integrations.bff import Lifetimes
from dojang.server.logout_notices import deliver_notices
from tests.integrations.bff.stage import (
    LIFE,
    ORIGIN,
    SESSION,
    Browser,
    Stage,
    read_query,
    write_form,
)
from tests.web.pages.house import AFTER
from tests.web.pages.visitor import Visitor

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Post:
    """Brings the provider's notices to the application; keeps them."""

    def __init__(self, stage: Stage) -> None:
        self.bodies: list[bytes] = []
        self._provider = Browser(stage.bff)

    async def send(self, request: object) -> object:
        from dojang.fetch import FetchRequest, FetchResponse

        assert isinstance(request, FetchRequest)
        assert request.url == ORIGIN + "/backchannel-logout"
        self.bodies.append(request.body)
        answered = await self.bring(request.body)
        return FetchResponse(answered, {}, b"")

    async def bring(self, body: bytes) -> int:
        return (await self._provider.ask("POST", "/backchannel-logout", FORM, body)).status


async def deliver(stage: Stage, post: Post) -> None:
    await deliver_notices(stage.house.issuer.provider, post)  # type: ignore[arg-type]


@pytest.mark.proves("T2")
async def test_a_person_signs_out_here_and_there(stage: Stage) -> None:
    browser = await stage.meet()
    shown = dict(browser.cookies)
    left = await browser.call("POST", "/logout")
    location = left.json["location"]
    assert read_query(location) == {"client_id": "app", "post_logout_redirect_uri": AFTER}
    assert SESSION not in browser.cookies
    browser.cookies = shown
    assert await browser.tell() == {"signed_in": False}
    (refresh_token,) = [each for each in stage.list_secrets() if each.startswith("dojang_rt_")]
    assert stage.house.refresh(refresh_token).status == 400
    page = stage.house.hong.open(location.removeprefix(stage.house.issuer.url))
    assert "Sign out?" in page.text  # who shows no id_token has the person asked
    assert (await browser.call("POST", "/logout")).json["location"].startswith("https://issuer")


@pytest.mark.proves("T2")
async def test_the_id_token_is_shown_only_where_the_application_says_so() -> None:
    stage = Stage(bff={"id_token_in_logout_address": True})
    browser = await stage.meet()
    stage.clock.move(LIFE)
    await browser.call("GET", "/api/orders")  # the refresh brings another one
    location = (await browser.call("POST", "/logout")).json["location"]
    assert read_query(location)["id_token_hint"] == stage.list_secrets()[-1]
    page = stage.house.hong.open(location.removeprefix(stage.house.issuer.url))
    assert page.location is not None
    assert page.location.startswith(AFTER)


async def test_who_cannot_reach_the_provider_signs_out_here(stage: Stage) -> None:
    browser = await stage.meet()
    stage.clock.move(3600)
    with stage.house.issuer.down():
        left = await browser.call("POST", "/logout")
    assert left.status == 200
    assert await browser.tell() == {"signed_in": False}


@pytest.mark.proves("T2", "C123")
async def test_the_provider_ends_a_session(stage: Stage) -> None:
    phone, laptop = Visitor(stage.house.issuer), stage.house.hong
    on_phone, on_laptop, other = stage.browse(), stage.browse(), stage.browse()
    await stage.sign_in(on_phone, phone)
    await stage.sign_in(other, phone)
    await stage.sign_in(on_laptop, laptop)
    page = phone.open("/account")
    phone.press(page, "sign_out")
    post = Post(stage)
    await deliver(stage, post)
    assert len(post.bodies) == 1
    assert await on_phone.tell() == await other.tell() == {"signed_in": False}
    assert (await on_phone.call("GET", "/api/orders")).status == 401
    assert (await on_laptop.tell())["signed_in"] is True
    assert await post.bring(post.bodies[0]) == 400  # it counts once
    assert (await on_laptop.tell())["signed_in"] is True


@pytest.mark.proves("T2", "C123")
async def test_what_is_no_logout_token(stage: Stage) -> None:
    browser = await stage.meet()
    id_token = stage.list_secrets()[-1]
    post = Post(stage)
    for body in (b"", b"logout_token=", b"logout_token=x", b"x", b"logout_token=a&logout_token=b"):
        assert await post.bring(body) == 400
    assert await post.bring(write_form(logout_token=id_token)) == 400
    assert (await browser.tell())["signed_in"] is True
    bare = await browser.ask("POST", "/backchannel-logout", {}, b"{}")
    assert bare.status == 400


async def test_the_provider_is_told_to_come_again(stage: Stage) -> None:
    """A store that fails loses no logout."""
    from dojang.client import Unavailable

    browser = await stage.meet()
    page = stage.house.hong.open("/account")
    stage.house.hong.press(page, "sign_out")
    good = stage.sessions.end_all

    async def fail(name: str, *, at: int, remember: int) -> None:
        raise Unavailable("the store")

    stage.sessions.end_all = fail  # type: ignore[method-assign]
    post = Post(stage)
    await deliver(stage, post)
    assert await post.bring(post.bodies[0]) == 503
    stage.sessions.end_all = good  # type: ignore[method-assign]
    assert await post.bring(post.bodies[0]) == 200
    assert await browser.tell() == {"signed_in": False}


async def test_all_sessions_of_a_person(stage: Stage) -> None:
    """A provider that names no session; a session that began later lives on."""
    from dojang.integrations.bff.vault import name_person

    browser = await stage.meet()
    subject = (await browser.tell())["claims"]["sub"]
    at = int(stage.clock.now())
    stage.clock.move(1)
    later = stage.browse()
    await stage.sign_in(later)
    await stage.sessions.end_all(name_person(stage.house.issuer.url, subject), at=at, remember=3600)
    assert await browser.tell() == {"signed_in": False}
    assert (await later.tell())["signed_in"] is True


async def test_the_store_of_one_process_forgets() -> None:
    stage = Stage(bff={"lifetimes": Lifetimes(idle=60, absolute=120)})
    browsers = [await stage.meet() for _ in range(3)]
    assert "3 sessions" in repr(stage.sessions)
    assert await stage.sessions.claim("jti", seconds=60)
    assert not await stage.sessions.claim("jti", seconds=60)
    stage.clock.move(121)
    assert await asyncio.gather(*(each.tell() for each in browsers)) == [{"signed_in": False}] * 3
    assert "0 sessions" in repr(stage.sessions)
    assert await stage.sessions.claim("jti", seconds=60)


def test_lifetimes_that_cannot_be() -> None:
    for idle, absolute in ((0, 1), (2, 1)):
        with pytest.raises(ValueError, match="lasts"):
            Lifetimes(idle=idle, absolute=absolute)
