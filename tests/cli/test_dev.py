"""`dojang dev`, as a developer's browser sees it: the process, two addresses, real forms."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.proves("A2", "A4")


def find_free_pair() -> int:
    """A port that is free, like the one after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            with suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                return port


class Forms(HTMLParser):
    """The last form of a page: where it goes, and its fields."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.action, self.fields = str(page.url), dict[str, str]()
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action, self.fields = given.get("action", ""), {}
        elif tag == "input":
            self.fields[given["name"]] = given.get("value", "")


@pytest.fixture(scope="module")
def about() -> Iterator[dict[str, Any]]:
    port = find_free_pair()
    command = [sys.executable, "-c", "from dojang.cli import main; main()"]
    with subprocess.Popen(
        [*command, "dev", "--json", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = ""
        while not lines.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines += line
        yield json.loads(lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, trust_env=False) as client:
        yield client


def press(browser: httpx.Client, page: httpx.Response, path: str = "", **typed: str) -> Any:
    form = Forms(page)
    action = str(page.url.join(path or form.action))
    return browser.post(action, data={**form.fields, **typed})


def sign_in(browser: httpx.Client, about: dict[str, Any]) -> httpx.Response:
    page = press(browser, browser.get(about["app"]))
    given = {"username": about["username"], "password": about["password"]}
    page = press(browser, page, action="sign_in", **given)
    page = press(browser, page, action="allow")
    assert isinstance(page, httpx.Response)
    return page


def read_claim(page: httpx.Response, section: str, claim: str) -> str:
    part = page.text.partition(f'<section aria-labelledby="{section}">')[2]
    part = part.partition("</section>")[0]
    found = re.search(rf"<code>{claim}</code></span>.*?<code>(.*?)</code></p>", part, re.DOTALL)
    assert found, page.text
    return found[1]


def find_state(about: dict[str, Any], browser: httpx.Client) -> str:
    """The state of a sign-in under way: the request was pushed, so only the answer shows it."""
    form = Forms(press(browser, browser.get(about["app"])))
    data = {**form.fields, "action": "deny"}
    action = httpx.URL(about["issuer"]).join(form.action)
    answer = browser.post(action, data=data, follow_redirects=False)
    while not answer.headers["location"].startswith(about["app"]):
        answer = browser.get(answer.url.join(answer.headers["location"]), follow_redirects=False)
    return httpx.URL(answer.headers["location"]).params["state"]


def test_a_person_signs_in_and_sees_every_claim(
    about: dict[str, Any], browser: httpx.Client
) -> None:
    page = sign_in(browser, about)
    assert str(page.url) == about["app"]
    assert read_claim(page, "id_token", "aud") == about["client_id"]
    assert read_claim(page, "id_token", "iss") == about["issuer"]
    assert read_claim(page, "id_token", "email") == "hong@example.com"
    assert "<h1>Signed in: 홍길동</h1>" in page.text
    assert read_claim(page, "access_token", "aud") == about["resource"]
    assert read_claim(page, "access_token", "scope") == "notes:read"
    before = read_claim(page, "access_token", "jti")
    page = browser.post(about["app"] + "refresh")
    assert read_claim(page, "access_token", "jti") != before
    assert "<h1>Signed in: 홍길동</h1>" in page.text
    page = browser.post(about["app"] + "sign-out")
    assert "Sign in, and see what an application is given" in page.text
    page = press(browser, browser.get(about["app"]))
    assert 'id="username"' in page.text  # signed out at the provider too


def test_it_speaks_korean(about: dict[str, Any], browser: httpx.Client) -> None:
    page = browser.get(about["app"], headers={"accept-language": "ko"})
    assert "앱이 무엇을 받는지" in page.text
    assert '<html lang="ko">' in page.text


@pytest.mark.proves("C121", "C122")
def test_an_answer_to_nobodys_question_is_refused(
    about: dict[str, Any], browser: httpx.Client
) -> None:
    state = find_state(about, browser)
    for query, problem in [
        ({"code": "x", "state": "another", "iss": about["issuer"]}, "other_transaction"),
        ({"code": "x", "state": state, "iss": "http://evil.example"}, "other_issuer"),
        ({"code": "x", "state": state}, "no_issuer"),
        ({"error": "access_denied", "state": state, "iss": about["issuer"]}, "access_denied"),
        ({"code": "x", "state": state, "iss": about["issuer"]}, "invalid_grant"),
    ]:
        page = browser.get(about["app"] + "callback", params=query)
        assert f"<code>{problem}</code>" in page.text
    stranger = httpx.get(
        about["app"] + "callback",
        params={"code": "x", "state": state, "iss": about["issuer"]},
        trust_env=False,
    )
    assert "<code>no_transaction</code>" in stranger.text


@pytest.mark.proves("C41")
def test_a_form_of_another_site_does_nothing(about: dict[str, Any], browser: httpx.Client) -> None:
    for path in ("sign-in", "refresh", "sign-out"):
        answer = browser.post(about["app"] + path, headers={"origin": "http://evil.example"})
        assert answer.status_code == 400
