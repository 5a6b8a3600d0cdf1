"""The suite's browser: it goes to an address and does the tasks that its configuration has for the
pages there. It reads no scripts but the one of this server's form_post page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from dojang.web.pages.drawing import SUBMIT
from tests.web.pages.visitor import FORM, Form, Page, Visitor


class Arrival(NamedTuple):
    """What comes to an address of the suite."""

    method: str
    url: str
    form: Mapping[str, str]

    @property
    def query(self) -> dict[str, str]:
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


class Robot:
    """A browser with new cookies. `pages` are those it was on, `seen` the words that tasks waited
    for, and `asked` the buttons they pressed."""

    def __init__(self, visitor: Visitor, server: str, entries: Sequence[Mapping[str, Any]]) -> None:
        self.visitor: Final = visitor
        self.pages: Final[list[Page]] = []
        self.seen: Final[list[str]] = []
        self.asked: Final[list[str]] = []
        self.url = ""
        self.page: Page | None = None
        self.arrival: Arrival | None = None
        self._server = server
        self._entries = entries
        self._typed: dict[str, str] = {}

    def go(self, address: str, *, method: str = "GET", alone: bool = False) -> Arrival | None:
        """Where the tasks for `address` lead; None where that is a page of the server's. `alone`:
        nothing is done there."""
        self.arrival = None
        path, _, query = address.partition("?")
        if method == "POST":
            self._load("POST", path, query.encode())
        else:
            self._load("GET", address)
        if alone:
            return self.arrival
        entry = next(each for each in self._entries if fnmatchcase(address, each["match"]))
        for task in entry["tasks"]:
            if fnmatchcase(self.url, task["match"]):
                for command in task.get("commands", ()):
                    self._obey(*command)
            else:
                assert task.get("optional"), (task, self.url, self.page and self.page.html)
        return self.arrival

    def _load(self, method: str, address: str, body: bytes = b"") -> None:
        headers = (FORM,) if method == "POST" else ()
        target = address.removeprefix(self._server)
        page = self.visitor.send(method, target, body, *headers)
        assert page.status < 500, page.html
        self.url, self.page, self._typed = address, page, {}
        self.pages.append(page)
        if page.location is not None:
            assert page.status in (302, 303)
            return self._go_on("GET", urljoin(address, page.location), {})
        if any(name == "script" for name, _ in page.tags):
            assert f"<script>{SUBMIT}</script>" in page.html
            (form,) = page.forms
            return self._go_on(form.method.upper(), urljoin(address, form.action), form.fields)
        return None

    def _go_on(self, method: str, address: str, form: Mapping[str, str]) -> None:
        if address.startswith(self._server + "/"):
            self._load(method, address, urlencode(form).encode() if method == "POST" else b"")
        else:
            self.url, self.page, self.arrival = address, None, Arrival(method, address, form)

    def _obey(self, what: str, kind: str, target: str, *rest: Any) -> None:
        if what == "wait":
            self._wait(kind, target, *rest[1:])
            return
        found = self.page.find(target) if self.page and kind == "id" else None
        if found is None:
            assert rest[-1:] == ("optional",), (what, target, self.url)
        elif what == "text":
            self._typed[found["name"]] = rest[0]
        else:
            self._click(target)

    def _click(self, identifier: str) -> None:
        assert self.page is not None
        form, button = _find_button(self.page, identifier)
        self.asked.append(button.get("value", identifier))
        pressed = {button["name"]: button["value"]} if "name" in button else {}
        fields = {**form.fields, **self._typed, **pressed}
        self._go_on(form.method.upper(), urljoin(self.url, form.action), fields)

    def _wait(self, kind: str, target: str, words: str | None = None, _: str = "") -> None:
        if kind == "contains":
            self._follow_refresh()
            assert target in self.url
            return
        if target == "submission_complete":  # on the suite's own page
            assert self.arrival is not None
            return
        assert self.page is not None, self.url
        assert kind == "xpath" or self.page.find(target), self.page.html
        found = re.search(words or "", self.page.text)
        assert found, self.page.text
        self.seen.append(found[0])

    def _follow_refresh(self) -> None:
        assert self.page is not None
        (refresh,) = (
            each for each in self.page.list_tags("meta") if each.get("http-equiv") == "refresh"
        )
        self._go_on("GET", refresh["content"].partition("url=")[2], {})


def _find_button(page: Page, identifier: str) -> tuple[Form, dict[str, str]]:
    ((form, button),) = [
        (form, button)
        for form in page.forms
        for button in form.buttons
        if button.get("id") == identifier
    ]
    return form, button
