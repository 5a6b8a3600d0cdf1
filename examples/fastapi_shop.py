"""A shop on FastAPI with its own users and its own sign-in page, and an authorization server below
/auth that signs the same users in to other applications.

    pip install 'dojang[server]' fastapi uvicorn
    dojang init auth --issuer http://127.0.0.1:8000/auth
    uvicorn fastapi_shop:app

Then open http://127.0.0.1:8000/auth/account. Who may sign in is hong, with the password below.
"""

import hmac
import os
import sqlite3
import time
from hashlib import scrypt
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from dojang.embedding import AuthorizationServer, Config, Keys, Profile, Proven, Storage

AUTH = Path(os.environ.get("SHOP_AUTH", "auth"))  # what `dojang init` made
ORIGIN = os.environ.get("SHOP_ORIGIN", "http://127.0.0.1:8000")

PAGE = """<!doctype html><html lang="en"><title>Shop</title><h1>The shop's own page</h1>
<p role="alert">{problem}</p>
<form method="post"><label>Name <input id="username" name="username"></label>
<label>Password <input id="password" name="password" type="password"></label>
<button id="submit">Sign in</button></form></html>"""


class Shop:
    """The shop's users, and who is signed in to it."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT UNIQUE,"
            " email TEXT, salt BLOB, hash BLOB, active INTEGER DEFAULT 1)"
        )
        self.signed_in: dict[str, tuple[str, int]] = {}

    def add(self, name: str, email: str, password: str) -> None:
        salt = token_bytes(16)
        row = (name, email, salt, _hash(password, salt))
        self.database.execute(
            "INSERT INTO users (name, email, salt, hash) VALUES (?, ?, ?, ?)", row
        )

    def check(self, name: str, password: str) -> str | None:
        """The id of the user whose name and password these are."""
        found = self.database.execute(
            "SELECT id, salt, hash FROM users WHERE name = ? AND active", (name,)
        ).fetchone()
        identifier, salt, expected = found or (0, b"nobody", b"")
        right = hmac.compare_digest(_hash(password, salt), expected)
        return str(identifier) if right else None

    def find(self, identifier: str) -> tuple[str, str] | None:
        row: tuple[str, str] | None = self.database.execute(
            "SELECT name, email FROM users WHERE id = ? AND active", (identifier,)
        ).fetchone()
        return row

    def close(self, identifier: str) -> None:
        self.database.execute("UPDATE users SET active = 0 WHERE id = ?", (identifier,))


def _hash(password: str, salt: bytes) -> bytes:
    return scrypt(password.encode(), salt=salt, n=16384, r=8, p=1)


class ShopAccounts:
    """The shop's users as the authorization server sees them."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def authenticate(self, username: str, password: str, *, network: str) -> Proven | None:
        """Not asked while the shop has a sign-in page of its own."""
        identifier = self.shop.check(username, password)
        return Proven(account_id=identifier, amr=("pwd",)) if identifier else None

    async def find_profile(self, account_id: str) -> Profile | None:
        user = self.shop.find(account_id)
        if user is None:
            return None
        name, email = user
        claims = {"preferred_username": name, "email": email}
        return Profile(account_id=account_id, claims=claims)


shop = Shop(os.environ.get("SHOP_DATABASE", ":memory:"))
shop.add("hong", "hong@example.com", "correct horse battery staple")

server = AuthorizationServer(
    Config(
        issuer=f"{ORIGIN}/auth",
        storage=Storage(url=f"sqlite:{AUTH / 'dojang.db'}"),
        keys=Keys(encryption_key=(AUTH / "key-encryption.key").read_text().strip()),
    ),
    accounts=ShopAccounts(shop),
    sign_in_page="/sign-in",
)
api = FastAPI()


@api.get("/sign-in")
async def show_sign_in(
    return_to: str, prompt: str = "", shop_session: Annotated[str, Cookie()] = ""
) -> Any:
    """Whoever is signed in to the shop goes on at once, unless they are to be asked anew."""
    present = shop.signed_in.get(shop_session)
    if present is None or prompt == "login":
        return HTMLResponse(PAGE.format(problem=""))
    identifier, since = present
    return _send_back(return_to, identifier, since)


@api.post("/sign-in")
async def sign_in(request: Request, return_to: str) -> Any:
    if request.headers.get("origin") != ORIGIN:
        raise HTTPException(403, "this form is not of the shop's own page")
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    identifier = shop.check(form.get("username", ""), form.get("password", ""))
    if identifier is None:
        return HTMLResponse(PAGE.format(problem="That is not right."), status_code=401)
    session, now = token_urlsafe(32), int(time.time())
    shop.signed_in[session] = identifier, now
    answer = _send_back(return_to, identifier, now)
    answer.set_cookie("shop_session", session, httponly=True, samesite="lax")
    return answer


def _send_back(return_to: str, identifier: str, since: int) -> RedirectResponse:
    try:
        return RedirectResponse(
            server.confirm_sign_in(return_to, identifier, auth_time=since), status_code=303
        )
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


@api.post("/close-account")
async def close_account(
    request: Request, shop_session: Annotated[str, Cookie()] = ""
) -> dict[str, bool]:
    """The user leaves: no more sign-ins, and every token that says it acts for them stops."""
    present = shop.signed_in.pop(shop_session, None)
    if present is None or request.headers.get("origin") != ORIGIN:
        raise HTTPException(403, "sign in first, and use the shop's own page")
    identifier, _ = present
    shop.close(identifier)
    await server.perform("revoke.account", subject=identifier)
    return {"closed": True}


app = server.in_front_of(api)
