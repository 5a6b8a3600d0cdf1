"""A browser that a script drives: it keeps cookies, fills in forms and follows redirects within one
server. It runs no JavaScript, and the pages need none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException, HTTPMessage
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

_TIMEOUT: Final = 10.0
_MOST_REDIRECTS: Final = 5
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class OtherPage(Exception):
    """The page is not the one that the script goes on with."""


@dataclass
class Form:
    """A form: where it goes, what is filled in already, and the actions of its buttons."""

    target: str
    fields: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)


class Page:
    """What an address showed; `location` is where it leads on to, outside of the server."""

    def __init__(self, address: str, status: int, html: str, location: str | None) -> None:
        self.address: Final = address
        self.status: Final = status
        self.location: Final = location
        reader = _Reader(address)
        reader.feed(html)
        self._forms = reader.forms
        self._ids = reader.ids

    def shows(self, *ids: str) -> bool:
        """Whether elements with these ids are on it."""
        return self._ids.issuperset(ids)

    def find_forms(self, action: str, **fields: str) -> list[Form]:
        """The forms with a button for `action`, filled in already with `fields`."""
        return [
            form
            for form in self._forms
            if action in form.actions and fields.items() <= form.fields.items()
        ]


class _Reader(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.ids: set[str] = set()
        self._address = address

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "form":
            self.forms.append(Form(urljoin(self._address, given.get("action", ""))))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[given.get("name", "")] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].actions.append(given.get("value", ""))


class Browser:
    """One browser at the server `origin`. `posted_at` is when its last form was answered
    (`perf_counter` seconds). Everything raises `OSError` where the server cannot be reached."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._cookies: dict[str, str] = {}
        self.posted_at = 0.0

    async def open(self, address: str) -> Page:
        """Go to an address of the server, and on to where that leads."""
        return await asyncio.to_thread(self._go, address)

    async def press(self, page: Page, action: str, typed: Mapping[str, str], **fields: str) -> Page:
        """Fill in the one form that has a button for `action` and `fields`, and press it.

        Raises `OtherPage` where there is no such form.
        """
        forms = page.find_forms(action, **fields)
        if len(forms) != 1:
            raise OtherPage(f"{urlsplit(page.address).path} has no form for {action}")
        filled_in = {**forms[0].fields, **typed, "action": action}
        return await asyncio.to_thread(self._post, forms[0].target, filled_in)

    def _go(self, address: str) -> Page:
        return self._follow(self._send("GET", address, None))

    def _post(self, address: str, fields: Mapping[str, str]) -> Page:
        page = self._send("POST", address, urlencode(fields))
        self.posted_at = time.perf_counter()
        return self._follow(page)

    def _follow(self, page: Page) -> Page:
        for _ in range(_MOST_REDIRECTS):
            if page.location is None or not page.location.startswith(f"{self._origin}/"):
                return page
            page = self._send("GET", page.location, None)
        raise OtherPage(f"{urlsplit(page.address).path} leads in a circle")

    def _send(self, method: str, address: str, body: str | None) -> Page:
        """One request; nothing is followed."""
        parts = urlsplit(address)
        if f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise OtherPage(f"{parts.netloc} is another server")
        headers = {} if body is None else {**_FORM, "Origin": self._origin}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in self._cookies.items())
        connection = HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        try:
            target = urlunsplit(("", "", parts.path, parts.query, ""))
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            html = answer.read().decode()
        except HTTPException as error:
            raise OtherPage(f"{parts.path} is no page: {type(error).__name__}") from None
        finally:
            connection.close()
        self._keep_cookies(answer.headers)
        location = answer.headers["location"]
        return Page(address, answer.status, html, location and urljoin(address, location))

    def _keep_cookies(self, headers: HTTPMessage) -> None:
        for line in headers.get_all("set-cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.value
