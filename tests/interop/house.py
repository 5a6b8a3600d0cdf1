"""A real server, what is registered there, and people who sign in."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from dojang.server.administration import OPERATIONS
from tests.cli.installation import Installation

PASSWORD: Final = "correct horse battery staple"
ORDERS: Final = "https://orders.example"
PAYMENTS: Final = "https://payments.example"
SETTINGS: Final = """
[registration]
mode = "initial_access_token"
scopes = ["openid", "profile", "email"]

[fetch]
permitted_networks = ["127.0.0.0/8"]
"""
CALLBACK: Final = "http://127.0.0.1:9/callback"  # nobody is there: what comes to it is read


class House:
    """The installation, as its operator sees it."""

    def __init__(self, directory: Path) -> None:
        self.installation: Final = Installation(directory)
        self.issuer: Final = self.installation.issuer
        self._admin: Final = httpx.Client(
            base_url=f"http://127.0.0.1:{self.installation.management}/admin", timeout=30
        )
        self._people = 0

    def open(self) -> None:
        with (self.installation.directory / "dojang.toml").open("a") as file:
            file.write(SETTINGS)
        self.installation.start()
        self._authorize()
        self.operate("resource.add", identifier=ORDERS, scopes=["orders:read", "orders:write"])
        self.operate("resource.add", identifier=PAYMENTS, scopes=["payments:make"])

    def _authorize(self) -> None:
        """With a token for five minutes."""
        secret = (self.installation.directory / "operator.secret").read_text().strip()
        answer = httpx.post(
            self.issuer + "/token",
            auth=("operator", secret),
            data={"grant_type": "client_credentials", "resource": self.issuer + "/admin"},
        )
        self._admin.headers["Authorization"] = "Bearer " + answer.json()["access_token"]

    def close(self) -> None:
        self._admin.close()
        self.installation.stop()
        assert "Traceback" not in self.installation.log, self.installation.log

    def operate(self, name: str, /, **parameters: Any) -> dict[str, Any]:
        """Any operation of the admin API."""
        operation = OPERATIONS[name]
        path = operation.path
        for placed in re.findall(r"\{(\w+)\}", path):
            path = path.replace("{" + placed + "}", parameters.pop(placed))
        answer = self._admin.request(operation.method, path, json=parameters)
        if answer.status_code == 401:
            self._authorize()
            answer = self._admin.request(operation.method, path, json=parameters)
        assert answer.is_success, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def add_client(
        self, client_id: str, *, authentication: str = "client_secret_basic",
        jwks: dict[str, Any] | None = None, grants: dict[str, list[str]] | None = None,
        **sign_in: Any,
    ) -> str:  # fmt: skip
        """A client for people, unless all it has is `grants`; its secret, or nothing."""
        wanted = {
            "redirect_uris": [CALLBACK],
            "scopes": ["openid", "profile", "email", "offline_access"],
            "resources": {ORDERS: ["orders:read", "orders:write"]},
            **sign_in,
        }
        answer = self.operate(
            "client.add",
            client_id=client_id,
            authentication=authentication,
            jwks=jwks,
            grants=[{"resource": name, "scopes": given} for name, given in (grants or {}).items()],
            sign_in=wanted if sign_in or not grants else None,
        )
        secret: str = answer.get("client_secret", "")
        return secret

    def add_person(self) -> Person:
        """Somebody of this test's own."""
        self._people += 1
        name = f"person-{self._people}"
        claims = {"name": "홍길동", "email": f"{name}@example.com", "email_verified": True}
        self.operate("user.add", username=name, password=PASSWORD, claims=claims)
        return Person(name)


class Person:
    """Somebody with a browser that reads no scripts."""

    def __init__(self, username: str) -> None:
        self.username: Final = username
        self.browser: Final = httpx.Client(timeout=30)
        self.seen: Final[list[str]] = []

    def visit(self, address: str) -> str:
        """Go there, sign in and allow where it is asked, and come to where nothing of the server's
        is asked any more: the address that leads away from it."""
        answer = self.browser.get(address)
        while True:
            if answer.is_redirect:
                goal = str(answer.headers["location"])
                if urlsplit(goal).netloc not in ("", urlsplit(address).netloc):
                    return goal
                answer = self.browser.get(answer.url.join(goal))
                continue
            assert answer.status_code == 200, answer.text
            target, fields = read_form(answer)
            if urlsplit(target).netloc != urlsplit(address).netloc:
                return f"{target}?{httpx.QueryParams(fields)}"  # form_post, as a query
            answer = self.browser.post(target, data=fields | self._answer(answer.text))

    def _answer(self, page: str) -> dict[str, str]:
        (title,) = re.findall(r"<h1>(.*)</h1>", page)
        self.seen.append(title)
        if 'id="password"' in page:
            return {"username": self.username, "password": PASSWORD, "action": "sign_in"}
        if 'id="allow"' in page:
            return {"action": "allow"}
        assert 'id="deny"' in page, page  # at logout
        return {}


def read_form(answer: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where the form of a page leads, and what it carries unseen."""
    action = re.search(r'<form method="post" action="([^"]*)"', answer.text)
    assert action is not None, answer.text
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', answer.text)
    fields = {unescape(name): unescape(value) for name, value in hidden}
    return str(answer.url.join(unescape(action[1]))), fields


def read_query(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query))
