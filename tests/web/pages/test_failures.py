"""A person is shown a page, whatever happens; an operator is told as ever."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from dojang.oauth.http import Request
from dojang.server.own_account import withdraw_app
from dojang.server.ports import Conflict
from dojang.testing import Issuer
from dojang.web.pages import account, authorization
from dojang.web.pages.site import Site
from dojang.web.peer import TrustedProxies
from dojang.web.public import build_public_routes
from tests.web.pages.house import House
from tests.web.peers import peer_of, serving

PATHS = ("/authorize?client_id=app", "/interaction/x", "/account", "/logout")


@pytest.mark.parametrize("path", PATHS)
def test_an_outage_is_a_page(house: House, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with house.issuer.without_database():
        page = house.hong.open(path)
    assert page.status == 503
    assert int(page.headers["retry-after"]) >= 1
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "temporarily unavailable" in page.text
    assert "Wait a moment and reload" in page.text
    assert "database is unavailable" in caplog.text


def test_an_outage_in_the_middle_loses_nothing(house: House) -> None:
    page = house.arrive()
    with house.issuer.without_database():
        assert house.enter(page).status == 503
    assert house.enter(page).has_button("allow")


def test_a_fault_of_ours_is_a_page_without_particulars(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("an inner detail")

    monkeypatch.setattr(account, "find_person", fail)
    page = house.hong.open("/account")
    assert page.status == 500
    assert "server error" in page.text
    assert "inner detail" not in page.html
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert record.exc_info is not None


def test_a_change_that_others_disturb_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.sign_in_for_app()
    tries = []

    async def stumble(*arguments: object) -> None:
        tries.append(1)
        if len(tries) < account.TRIES:
            raise Conflict("consent", "x")
        await withdraw_app(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(account, "withdraw_app", stumble)
    page = house.hong.press(house.hong.open("/account"), "withdraw")
    assert "The app has lost its access." in page.text


def test_what_others_disturb_for_ever_is_said(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object) -> None:
        raise Conflict("session", "x")

    monkeypatch.setattr(authorization, "begin_authorization", lose)
    page = house.arrive()
    assert (page.status, page.location) == (409, None)
    assert "changed meanwhile" in page.text


def test_what_goes_wrong_is_counted(house: House) -> None:
    house.arrive(redirect_uri="https://evil.test/")
    house.hong.open("/interaction/x")
    house.hong.post("/account", {"action": "sign_in"})
    with house.issuer.without_database():
        house.hong.open("/logout")
    counters = house.issuer.provider.counters
    for endpoint, outcome in (
        ("authorize", "redirect_uri"),
        ("interaction", "interaction_over"),
        ("account", "bad_form"),
        ("logout", "unavailable"),
    ):
        key = ("dojang_requests_total", "endpoint", endpoint, "outcome", outcome)
        assert counters[key] == 1


def test_a_header_that_stands_twice_is_a_page(house: House) -> None:
    twice = [(b"user-agent", b"a"), (b"user-agent", b"b")]
    page = house.hong.send("GET", "/account", b"", *twice)
    assert page.status == 400
    assert page.find("error") is not None


@pytest.mark.proves("A4")
async def test_pages_come_over_a_connection() -> None:
    issuer = Issuer("https://login.example")
    routes = build_public_routes(issuer.provider)
    async with serving(routes) as site, peer_of(site.address) as peer:
        page = await peer.ask("/account")
        assert page.status == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["set-cookie"].startswith("__Host-dojang-browser=")
        asset = page.body.decode().partition('stylesheet" href="')[2].partition('"')[0]
        style = await peer.ask(asset)
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        refused = await peer.ask("/authorize?client_id=nobody", method="HEAD")
        assert (refused.status, refused.body) == (400, b"")
        moved = await peer.ask(
            "/logout",
            method="POST",
            headers=[("Content-Type", "application/x-www-form-urlencoded")],
            body=b"state=x",
        )
        assert moved.head.startswith(b"HTTP/1.1 303 See Other\r\n")
        assert moved.headers["location"] == "/logout?state=x"


def test_templates_are_loaded_with_the_first_page() -> None:
    script = (
        "import sys; from dojang.testing import Issuer; issuer = Issuer();"
        "print('jinja2' in sys.modules, 'argon2' in sys.modules);"
        "issuer.transport.answer('GET', '/account', (), b''); print('jinja2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True"]


def test_the_network_is_the_one_a_trusted_proxy_names() -> None:
    issuer = Issuer()
    forwarded = ((b"x-forwarded-for", b"203.0.113.9"),)
    request = Request("GET", "/account", b"", forwarded, b"", "127.0.0.1")
    trusting = Site(issuer.provider, TrustedProxies(["127.0.0.1"]))
    assert trusting.open_visit(request).browser.network == "203.0.113.9"
    assert Site(issuer.provider, TrustedProxies()).open_visit(request).browser.network == (
        "127.0.0.1"
    )
