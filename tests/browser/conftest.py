"""Debian's Chromium, as a person would use it: with scripts and without."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.stage import PASSWORD, Stage, open_stage

CHROMIUM = os.environ.get("DOJANG_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Closed after each module: Playwright's event loop counts as running until then, and no other
    can run in the thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def username(stage: Stage, request: pytest.FixtureRequest) -> str:
    """A person of this test's own."""
    name = f"person-{stage.count_people()}"
    stage.operate("user.add", username=name, password=PASSWORD, claims={"name": "홍길동"})
    return name


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Watch:
    """What the browser complains of."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


def open_page(chromium: Browser, *, scripts: bool = True, locale: str = "en-US") -> Iterator[Page]:
    """A page of a new browser profile; at the end nothing was complained of."""
    context = chromium.new_context(
        java_script_enabled=scripts, locale=locale, viewport={"width": 360, "height": 740}
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    watch = Watch()
    page.on("console", watch.note)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))
    yield page
    context.close()
    assert watch.complaints == []


@pytest.fixture
def page(chromium: Browser, scripts: bool) -> Iterator[Page]:
    yield from open_page(chromium, scripts=scripts)


@pytest.fixture
def scripted_page(chromium: Browser) -> Iterator[Page]:
    yield from open_page(chromium)


@pytest.fixture
def korean_page(chromium: Browser, scripts: bool) -> Iterator[Page]:
    yield from open_page(chromium, scripts=scripts, locale="ko-KR")
