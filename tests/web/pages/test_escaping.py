"""Nothing that anybody sends becomes markup, wherever a page shows it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from dojang.server.ports import PutClient
from dojang.testing.inline import run
from tests.server.people.world import ORDERS, PASSWORD
from tests.web.pages.house import AFTER, House
from tests.web.pages.visitor import Page, Visitor

MARK = "x5s"
PAYLOADS = (
    f"<script>{MARK}</script>",
    f'"><script>{MARK}</script>',
    f"'><img src={MARK} onerror={MARK}>",
    f'" onfocus={MARK} autofocus x="',
    f"' onmouseover='{MARK}",
    f"</title><script>{MARK}</script>",
    f"</form><form action=https://{MARK}.test><input name={MARK}>",
    f"<svg/onload={MARK}>",
    f"<base href=https://{MARK}.test/>",
    f"<meta http-equiv=refresh content=0;url=//{MARK}>",
    f"{{{{ {MARK}.__class__ }}}}{{% set {MARK} = 1 %}}",
    f"{{{MARK}}}{{0.__class__}}%({MARK})s",
    f"javascript:{MARK}",
    f"&lt;script&gt;{MARK}&#x3c;/script&#x3e;",
    f"<!--{MARK}--><![CDATA[{MARK}]]>",
    f"\u2028{MARK}\u202e<b>{MARK}",
)


class _Markup(HTMLParser):
    """Finds the mark where only the server's own words may stand."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        for name, value in attrs:
            harmless = name in ("value", "aria-label")
            if MARK in tag + name or (MARK in (value or "") and not harmless):
                self.found.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style") and MARK in data:
            self.found.append(self.inside)

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")


def check(page: Page, forms: int | None = None) -> None:
    """The page shows markup of the server only."""
    reader = _Markup()
    reader.feed(page.html)
    assert reader.found == []
    assert len(page.list_tags("script")) <= 1
    assert not page.list_tags("base")
    assert [each for each in page.list_tags("meta") if "http-equiv" in each] == []
    if forms is not None:
        assert len(page.forms) == forms


@pytest.fixture(scope="module")
def house() -> House:
    """One for all: nothing that is tried here changes it."""
    house = House()
    house.hong.press(house.hong.open("/account"), "sign_in", username="hong", password=PASSWORD)
    return house


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(
    "name",
    [
        *("state", "nonce", "login_hint", "ui_locales", "acr_values", "display", "claims_locales"),
        *("scope", "claims", "prompt", "max_age", "resource", "id_token_hint", "response_mode"),
        *("response_type", "code_challenge", "client_id", "redirect_uri", "request_uri", "request"),
    ],
)
def test_of_a_request(house: House, name: str, payload: str) -> None:
    stranger, known = Visitor(house.issuer), house.hong
    for more in ({}, {"response_mode": "form_post"}):
        for visitor in (stranger, known):
            page = house.arrive(visitor, **{**more, name: payload})
            assert page.status in (200, 303, 400)
            if page.status != 303:
                check(page, 0 if page.status == 400 else 1)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_of_what_is_typed(house: House, payload: str) -> None:
    visitor = Visitor(house.issuer, (b"user-agent", payload.encode()))
    page = house.enter(house.arrive(visitor), payload, payload, visitor=visitor)
    assert page.status == 200
    check(page, 1)
    username = page.find("username")
    assert username is not None
    assert username["value"] == payload
    page = visitor.press(visitor.open("/account"), "sign_in", username=payload, password=payload)
    check(page, 1)
    for field in ("action", "form_key", "session_id", "client_id"):
        check(visitor.post("/account", {"form_key": "x", field: payload}))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_of_people_and_clients(payload: str) -> None:
    house = House()
    house.add_client("named")
    store = house.issuer.provider.store
    found = run(store.find_client("named"))
    assert found is not None
    assert found.sign_in is not None
    renamed = replace(
        found,
        name=payload,
        sign_in=replace(
            found.sign_in,
            policy_uri=payload,
            tos_uri=payload,
            post_logout_redirect_uris=(AFTER,),
        ),
        version=found.version + 1,
    )
    run(store.commit([PutClient(renamed)]))
    house.add_user("kim", name=payload, preferred_username=payload)
    visitor = Visitor(house.issuer, (b"user-agent", f"Firefox/1 {payload}".encode()))
    page = house.arrive(visitor, client_id="named", scope="openid orders:read", resource=ORDERS)
    check(page, 1)
    assert payload in page.text or "\u2028" in payload
    page = house.enter(page, "kim", visitor=visitor)
    check(page, 1)
    assert not [link for link in page.list_tags("a") if MARK in link["href"]]
    visitor.press(page, "allow")
    check(visitor.open("/account"))
    check(visitor.open("/logout?client_id=named"), 1)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_of_a_logout(house: House, payload: str) -> None:
    for name in ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"):
        given = {"client_id": "app", name: payload}
        check(house.hong.open("/logout?" + urlencode(given)))
    given = {"client_id": "app", "post_logout_redirect_uri": AFTER, "state": payload}
    page = house.hong.open("/logout?" + urlencode(given))
    assert page.forms[0].fields["state"] == payload
