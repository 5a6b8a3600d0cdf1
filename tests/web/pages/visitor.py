"""A browser without a window: it keeps cookies, reads forms and follows this server's redirects."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from dojang.oauth.http import Response
from dojang.testing import Issuer

FORM: Final = (b"content-type", b"application/x-www-form-urlencoded")
Header = tuple[bytes, bytes]


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given.get("method", ""), given.get("action", "")))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append(given)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class Page:
    """An answer, as a person and a browser see it."""

    def __init__(self, response: Response) -> None:
        self.status: Final = response.status
        self.html: Final = response.body.decode()
        self.headers: Final[dict[str, str]] = {}
        self.set_cookies: Final[list[str]] = []
        for name, value in (*response.headers, *response.own):
            if name == b"set-cookie":
                self.set_cookies.append(value.decode())
            else:
                assert name.decode() not in self.headers
                self.headers[name.decode()] = value.decode()
        reader = _Reader()
        reader.feed(self.html)
        self.tags: Final = reader.tags
        self.forms: Final = reader.forms
        self.text: Final = " ".join(" ".join(reader.texts).split())

    @property
    def location(self) -> str | None:
        return self.headers.get("location")

    @property
    def answer(self) -> dict[str, str]:
        """What the client is told, in the address or in the form."""
        if self.location is None:
            return self.forms[0].fields
        return dict(parse_qsl(urlsplit(self.location).query, strict_parsing=True))

    @property
    def policy(self) -> dict[str, list[str]]:
        parts = [part.split() for part in self.headers["content-security-policy"].split(";")]
        return {name: sources for name, *sources in parts}

    def find(self, identifier: str) -> dict[str, str] | None:
        """The attributes of the element with an id."""
        found = [given for _, given in self.tags if given.get("id") == identifier]
        assert len(found) < 2
        return found[0] if found else None

    def list_tags(self, name: str) -> list[dict[str, str]]:
        return [given for tag, given in self.tags if tag == name]

    def has_button(self, action: str) -> bool:
        return any(button.get("value") == action for form in self.forms for button in form.buttons)


class Visitor:
    """One browser at one issuer."""

    def __init__(self, issuer: Issuer, *headers: Header) -> None:
        self.issuer: Final = issuer
        self.cookies: Final[dict[str, str]] = {}
        self.headers = headers

    def copy(self) -> Self:
        twin = type(self)(self.issuer, *self.headers)
        twin.cookies.update(self.cookies)
        return twin

    def send(
        self, method: str, target: str, body: bytes = b"", *headers: Header, cookies: bool = True
    ) -> Page:
        """One request; nothing is followed."""
        shown = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = [*self.headers, *headers]
        if cookies and shown:
            sent.append((b"cookie", shown.encode()))
        page = Page(self.issuer.transport.answer(method, target, tuple(sent), body))
        for line in page.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return page

    def open(self, target: str, *headers: Header) -> Page:
        """Go somewhere, and on within this server."""
        return self._follow(self.send("GET", target, b"", *headers))

    def post(self, target: str, fields: dict[str, str], *headers: Header) -> Page:
        """Post a form, and go on within this server."""
        return self._follow(self.send("POST", target, urlencode(fields).encode(), FORM, *headers))

    def press(self, page: Page, action: str | None, **typed: str) -> Page:
        """Fill in the form that has the button, and press it."""
        form = self.find_form(page, action)
        pressed = {} if action is None else {"action": action}
        return self.post(form.action, {**form.fields, **typed, **pressed})

    @staticmethod
    def find_form(page: Page, action: str | None) -> Form:
        forms = [
            form
            for form in page.forms
            if any(button.get("value") == action for button in form.buttons)
        ]
        assert forms, page.html
        return forms[0]

    def _leaves(self, location: str) -> bool:
        """Whether it is a page of the application that the server is part of."""
        page = self.issuer.provider.sign_in_page
        return page is not None and location.startswith(page)

    def _follow(self, page: Page) -> Page:
        for _ in range(5):
            location = page.location
            if location is None or not location.startswith("/") or self._leaves(location):
                return page
            page = self.send("GET", location)
        raise AssertionError(page.headers)
