"""The examples of an application with an authorization server in it, served and walked through."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from dojang.embedding import AuthorizationServer, Config, Keys, Storage
from dojang.jose import base64url
from dojang.oauth.pkce import build_challenge
from tests.cli.installation import dojang, environment, find_free_ports
from tests.mutants import ROOT

PASSWORD = "correct horse battery staple"
VERIFIER = "v" * 50
CALLBACK = "http://127.0.0.1:9/callback"
ORDERS = "https://orders.example"


class Shop:
    """An example that is being served, and one browser."""

    def __init__(self, directory: Path, module: str, application: str) -> None:
        self.port = find_free_ports(1)[0]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.origin}/auth"
        self.directory = directory
        self._register()
        settings = {
            "SHOP_ORIGIN": self.origin,
            "SHOP_DATABASE": str(directory / "shop.db"),
        }
        self.settings = environment(**settings)
        if module == "django_shop":
            self._fill_django()
        program = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "examples")]
        self.server = subprocess.Popen(
            [*program, "--port", str(self.port), f"{module}:{application}"],
            env=self.settings,
            cwd=directory,  # where `dojang init auth` was typed
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.server.stdout is not None
        said = []
        for line in self.server.stdout:
            said.append(line)
            if "Uvicorn running" in line:
                break
        else:
            raise AssertionError("".join(said))
        self.browser = httpx.Client(trust_env=False)

    def _register(self) -> None:
        def must(*arguments: str) -> dict[str, Any]:
            done = dojang(*arguments, "--json", cwd=self.directory / "auth")
            assert done.code == 0, done.err
            return done.json()

        made = dojang("init", "auth", f"--issuer={self.issuer}", cwd=self.directory)
        assert made.code == 0, made.err
        must("resource", "add", ORDERS, "--scope=orders:read", "--introspector=orders")
        self.orders = must("client", "add", "orders")["client_secret"]
        self.secret = must(
            "client", "add", "web", f"--redirect-uri={CALLBACK}", f"--ask={ORDERS}=orders:read",
        )["client_secret"]  # fmt: skip

    def _fill_django(self) -> None:
        def run(*arguments: str, **more: str) -> None:
            command = [sys.executable, str(ROOT / "examples" / "django_shop.py"), *arguments]
            subprocess.run(
                command,
                env={**self.settings, **more},
                cwd=self.directory,
                check=True,
                stdout=subprocess.DEVNULL,
            )

        run("migrate")
        run(
            "createsuperuser", "--noinput", "--username=hong", "--email=hong@example.com",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )  # fmt: skip

    def close(self) -> None:
        self.browser.close()
        self.server.terminate()
        said, _ = self.server.communicate(timeout=20)
        assert "Traceback" not in said, said

    def go(self, address: str) -> httpx.Response:
        """Follow where it leads, but not to the client."""
        response = self.browser.get(address)
        while response.is_redirect and not response.headers["location"].startswith(CALLBACK):
            response = self.browser.get(response.url.join(response.headers["location"]))
        return response

    def ask(self, **parameters: str) -> httpx.Response:
        wanted = {
            "client_id": "web",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email profile orders:read",
            "resource": ORDERS,
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **parameters,
        }
        return self.go(str(httpx.URL(f"{self.issuer}/authorize", params=wanted)))

    def press(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Send the page's form."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        found = re.search(r'<form method="post" action="([^"]+)"', page.text)
        address = page.url.join(found[1]) if found else page.url
        response = self.browser.post(
            address, data={**hidden, **fields}, headers={"origin": self.origin}
        )
        if response.is_redirect and not response.headers["location"].startswith(CALLBACK):
            return self.go(str(response.url.join(response.headers["location"])))
        return response

    def sign_in(self, page: httpx.Response, password: str = PASSWORD) -> httpx.Response:
        assert "The shop's own page" in page.text
        assert page.url.path == "/sign-in"
        return self.press(page, username="hong", password=password)

    def redeem(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_redirect, answer.text
        code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        response = self.browser.post(f"{self.issuer}/token", data=form, auth=("web", self.secret))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def is_active(self, token: str) -> bool:
        response = self.browser.post(
            f"{self.issuer}/introspect", data={"token": token}, auth=("orders", self.orders)
        )
        return bool(response.json()["active"])


@pytest.fixture(
    scope="module",
    params=[("fastapi_shop", "app"), ("django_shop", "application")],
    ids=["FastAPI", "Django"],
)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    module, application = request.param
    shop = Shop(tmp_path_factory.mktemp("shop"), module, application)
    yield shop
    shop.close()


def read_claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64url.decode(token.split(".")[1]))
    return claims


@pytest.mark.proves("A2", "A4")
def test_the_applications_users_sign_in_to_other_applications(shop: Shop) -> None:
    refused = shop.sign_in(shop.ask(), "wrong")
    assert refused.status_code == 401
    consent = shop.sign_in(refused)
    assert "hong" in consent.text
    tokens = shop.redeem(shop.press(consent, action="allow"))
    claims = read_claims(tokens["id_token"])
    assert claims["sub"] == "1"
    assert shop.is_active(tokens["access_token"])

    # There is a session at the authorization server now: nobody asks.
    silent = shop.redeem(shop.ask())
    assert read_claims(silent["id_token"])["auth_time"] == claims["auth_time"]

    # Without one, the application knows the person still, and says since when.
    for name in ("dojang-session", "dojang-browser"):
        shop.browser.cookies.delete(name)
    known = shop.redeem(shop.ask())
    assert read_claims(known["id_token"])["auth_time"] <= claims["auth_time"] + 1

    anew = shop.sign_in(shop.ask(prompt="login"))
    fresh = shop.redeem(anew)
    assert read_claims(fresh["id_token"])["auth_time"] >= claims["auth_time"]

    token = fresh["access_token"]
    shop.browser.headers["x-csrftoken"] = shop.browser.cookies.get("csrftoken") or ""
    closed = shop.browser.post(f"{shop.origin}/close-account", headers={"origin": shop.origin})
    assert closed.status_code == 200, closed.text
    assert not shop.is_active(token)
    assert not shop.is_active(tokens["access_token"])
    assert shop.sign_in(shop.ask()).status_code == 401


@pytest.mark.proves("A2")
def test_both_have_their_own_paths(shop: Shop) -> None:
    oauth = shop.browser.get(f"{shop.origin}/.well-known/oauth-authorization-server/auth")
    oidc = shop.browser.get(f"{shop.issuer}/.well-known/openid-configuration")
    assert oauth.json() == oidc.json()
    assert oidc.json()["issuer"] == shop.issuer
    assert shop.browser.get(f"{shop.origin}/authors").status_code == 404
    foreign = shop.browser.get(f"{shop.origin}/sign-in?return_to=https://evil.example/")
    assert "evil" not in foreign.headers.get("location", "")


@pytest.mark.proves("O3")
async def test_a_server_that_cannot_start_says_come_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the ASGI server has no lifespan, the first request starts it."""
    config = Config(
        issuer="https://shop.example/auth",
        storage=Storage(url=f"sqlite:{tmp_path / 'nowhere' / 'dojang.db'}"),
        keys=Keys(encryption_key=base64url.encode(bytes(32))),
    )

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("that is not the shop's")

    app = AuthorizationServer(config).in_front_of(shop)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as browser:
        answer = await browser.get("/auth/authorize")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"error": "temporarily_unavailable"}
    assert "cannot start" in caplog.text
