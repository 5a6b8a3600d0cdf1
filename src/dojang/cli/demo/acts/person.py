"""A person signs in to an app, which calls orders, which calls payments for the person, until they
withdraw the app."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from dojang.cli.demo.browser import Browser, OtherPage
from dojang.cli.demo.expiring import await_expiry
from dojang.cli.demo.judging import judge
from dojang.cli.demo.load import Caller, Door, Load
from dojang.cli.demo.report import Person, Sight, Strategy, Takeback
from dojang.cli.demo.screen import NAMES
from dojang.cli.demo.service import BOUND, ORDERS, PAYMENTS
from dojang.cli.demo.stage import PATIENCE, SLACK, WARM_UP, Stage
from dojang.client import (
    RelyingParty,
    SignedIn,
    SignInDenied,
    SignInRefused,
    TokenRefused,
    Tokens,
    Unavailable,
)
from dojang.server.paths import ACCOUNT

USERNAME: Final = "hong"
PASSWORD: Final = "correct horse"
CLAIMS: Final = {"name": "홍길동", "email": "hong@example.com"}
APP: Final = "app"
CALLBACK: Final = "https://app.example/callback"
SCOPES: Final = ("orders:read", "orders:write")
SHOWN: Final[tuple[Strategy, ...]] = ("local", "introspection", "hybrid_pushed")
_SEEING: Final[tuple[Strategy, ...]] = ("introspection", "hybrid_pushed")
_PAUSE: Final = 0.005
_FAILURES: Final = (OSError, OtherPage, SignInDenied, SignInRefused, TokenRefused, Unavailable)


async def follow_person(stage: Stage) -> None:
    """From the sign-in page to the account page, and what the services made of it."""
    stage.open_act("A person signs in, services act for them, and they take it back")
    await _register(stage)
    person = stage.report.person = Person()
    app = RelyingParty(
        issuer=stage.world.issuer,
        credentials=stage.prove(APP),
        redirect_uri=CALLBACK,
        scopes=("openid", "profile", "email", "offline_access", *SCOPES),
        claims=tuple(CLAIMS),
        resource=ORDERS,
        algorithms=("ES256",),
    )
    browser = Browser(stage.world.issuer)
    try:
        signed_in = await _sign_in(stage, person, app, browser)
        tokens = await _renew(stage, app, signed_in)
        checkout = await _call(stage, person, tokens.access_token)
        await _withdraw(stage, person, browser, tokens.access_token, checkout)
        person.refresh_error = await _try_refresh(stage, app, signed_in, tokens)
    except _FAILURES as failure:
        why = f"{type(failure).__name__}: {failure}"
        stage.promise(f"the story of {USERNAME} goes on to its end ({why})", kept=False)


async def _register(stage: Stage) -> None:
    await stage.do("user.add", username=USERNAME, password=PASSWORD, claims=CLAIMS)
    await stage.add_client(
        APP,
        name="The app",
        sign_in={
            "redirect_uris": [CALLBACK],
            "scopes": ["openid", "profile", "email", "offline_access"],
            "resources": {ORDERS: list(SCOPES)},
            "id_token_algorithm": "ES256",
        },
    )


async def _sign_in(stage: Stage, person: Person, app: RelyingParty, browser: Browser) -> SignedIn:
    """The app sends the browser to the server; it comes back with a code."""
    stage.screen.doing(f"{USERNAME} signs in")
    begun = await app.begin_async()
    page = await browser.open(begun.url)
    asked_who = page.shows("username", "password")
    page = await browser.press(page, "sign_in", {"username": USERNAME, "password": PASSWORD})
    asked_whether = page.shows("allow", "deny")
    page = await browser.press(page, "allow", {})
    stage.promise(
        f"{USERNAME} signs in with a browser: is asked for a password, then whether the app may, "
        "and allows it",
        kept=asked_who and asked_whether and (page.location or "").startswith(f"{CALLBACK}?"),
    )
    query = urlsplit(page.location or "").query.encode()
    signed_in = await app.finish_async(begun.transaction, query)
    told = {name: str(signed_in.claims.get(name, "")) for name in ("sub", *CLAIMS)}
    person.claims = told
    stage.promise(
        f"the app is told who it is (id_token): {told['name']}, {told['email']}, sub {told['sub']}",
        kept=bool(told["sub"]) and CLAIMS.items() <= told.items(),
    )
    return signed_in


async def _renew(stage: Stage, app: RelyingParty, signed_in: SignedIn) -> Tokens:
    before = signed_in.tokens
    tokens = await app.refresh_async(before.refresh_token or "", before=signed_in.claims)
    stage.promise(
        "the app renews its tokens with its refresh token, and is given another of those",
        kept=tokens.access_token != before.access_token
        and tokens.refresh_token not in (None, before.refresh_token),
    )
    return tokens


async def _call(stage: Stage, person: Person, token: str) -> str:
    """The app calls orders, and orders payments; the number of the checkout that has begun."""
    stage.tokens[APP] = token
    caller = Caller(stage.orders)
    status, body = await caller.ask("GET", "/hybrid_pushed/orders", token)
    at_orders = person.orders_saw = _read(body, "saw")
    stage.promise(
        f"orders accepts the app's token: for the same person, who allowed {' and '.join(SCOPES)}",
        kept=status == 200
        and at_orders is not None
        and (at_orders.subject, at_orders.client) == (person.claims["sub"], APP)
        and at_orders.scope == " ".join(SCOPES),
    )
    _, body = await caller.ask("POST", "/checkouts", token)
    caller.close()
    at_payments = person.payments_saw = _read(body, "answer")
    stage.promise(
        "orders exchanges it (RFC 8693) to call payments: the same person, orders acting for the "
        "app, payments:charge alone",
        kept=at_payments
        == Sight(
            subject=person.claims["sub"],
            audience=PAYMENTS,
            client="orders",
            actors=["orders", APP],
            scope="payments:charge",
        ),
    )
    with suppress(msgspec.DecodeError, KeyError, TypeError):
        return str(msgspec.json.decode(body)["checkout"])
    raise OtherPage("orders began no checkout")


def _read(body: bytes, name: str) -> Sight | None:
    with suppress(msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError):
        return msgspec.convert(msgspec.json.decode(body)[name], Sight)
    return None


async def _withdraw(
    stage: Stage, person: Person, browser: Browser, token: str, checkout: str
) -> None:
    """Under load at both services: at orders with the app's token, at payments with the one that
    orders holds since the exchange."""
    charging = Door(stage.orders, f"/checkouts/{checkout}/{{strategy}}", "POST")
    at_orders, at_payments = Load(stage.listing), Load(charging)
    async with (
        at_orders.run(SHOWN, token, clients=1, pause=_PAUSE),
        at_payments.run(SHOWN, "", clients=1, pause=_PAUSE),
    ):
        await stage.watch(at_orders, "the app goes on", WARM_UP)
        page = await browser.open(f"{stage.world.issuer}{ACCOUNT}")
        listed = len(page.find_forms("withdraw", client_id=APP))
        page = await browser.press(page, "withdraw", {}, client_id=APP)
        accepted_at = browser.posted_at
        await stage.watch_refusals(
            [at_orders, at_payments], _SEEING, "the app is withdrawn", BOUND + PATIENCE
        )
        await asyncio.sleep(0.2)
    stage.promise(
        f"{USERNAME} finds the app on the account page and withdraws it; it is gone from the page",
        kept=listed == 1 and page.status == 200 and not page.find_forms("withdraw"),
    )
    person.orders = [judge(at_orders, strategy, accepted_at) for strategy in SHOWN]
    person.payments = [judge(at_payments, strategy, accepted_at) for strategy in SHOWN]
    for name, found in (("orders", person.orders), ("payments", person.payments)):
        _judge(stage, name, {each.strategy: each for each in found})
    for door, shown, found in (
        (stage.listing, token, person.orders),
        (charging, "", person.payments),
    ):
        waiting = await_expiry(door, shown, accepted_at, found)
        stage.expiries.append(asyncio.create_task(waiting))


def _judge(stage: Stage, service: str, found: dict[Strategy, Takeback]) -> None:
    asking, pushed = found["introspection"], found["hybrid_pushed"]
    slipped = asking.slipped_through or "nothing"
    stage.promise(
        f"app withdrawn, {service}, {NAMES['introspection']}: "
        f"{_say_when(asking.first_refusal_s)}, {slipped} slipped through",
        kept=asking.slipped_through == 0 and asking.accepted_before > 0 and asking.refused > 0,
    )
    first = pushed.first_refusal_s
    stage.promise(
        f"app withdrawn, {service}, {NAMES['hybrid_pushed']}: "
        f"{_say_when(first)}, within its {BOUND:.0f} s",
        kept=pushed.accepted_before > 0 and first is not None and first < BOUND + SLACK,
    )


def _say_when(first: float | None) -> str:
    return "not refused" if first is None else f"refused after {first * 1000:,.0f} ms"


async def _try_refresh(
    stage: Stage, app: RelyingParty, signed_in: SignedIn, tokens: Tokens
) -> str | None:
    """What the server says to the refresh token now; None where it still takes it."""
    error = None
    try:
        await app.refresh_async(tokens.refresh_token or "", before=signed_in.claims)
    except TokenRefused as refused:
        error = refused.error
    stage.promise(
        f"the app's refresh token is dead too: {error or 'it still works'}",
        kept=error == "invalid_grant",
    )
    return error
