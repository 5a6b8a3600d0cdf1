"""What every page tells the browser (C42, C43, C113, C114)."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import dojang.web.pages
from dojang.testing import Issuer
from dojang.web.pages.headers import find_sources
from tests.server.people.world import PASSWORD
from tests.web.pages.house import AFTER, House
from tests.web.pages.visitor import Page, Visitor


def collect_pages(house: House) -> dict[str, Page]:
    """One of each."""
    visitor = house.hong
    pages = {"sign_in": house.arrive()}
    pages["failed"] = house.enter(pages["sign_in"], password="wrong")
    pages["consent"] = house.enter(pages["failed"])
    pages["form_post"] = house.sign_in_for_app(response_mode="form_post")
    pages["account"] = visitor.open("/account")
    pages["logout"] = visitor.open("/logout?client_id=app&post_logout_redirect_uri=" + AFTER)
    pages["error"] = house.arrive(redirect_uri="https://evil.test/")
    pages["over"] = visitor.open("/interaction/unknown")
    pages["bad form"] = visitor.post("/account", {"action": "sign_in"})
    pages["account sign-in"] = Visitor(house.issuer).open("/account")
    pages["signed out"] = Visitor(house.issuer).open("/logout")
    with house.issuer.without_database():
        pages["unavailable"] = visitor.open("/account")
    return pages


@pytest.fixture(scope="module")
def house() -> House:
    return House(policy_uri="https://app.test/privacy")


@pytest.fixture(scope="module")
def pages(house: House) -> dict[str, Page]:
    found = collect_pages(house)
    assert all(page.html.startswith("<!doctype html>") for page in found.values())
    return found


@pytest.mark.proves("C42")
def test_no_page_can_be_framed(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert page.policy["frame-ancestors"] == ["'none'"], name
        assert page.headers["x-frame-options"] == "DENY", name


@pytest.mark.proves("C43")
def test_no_page_loads_anything_from_elsewhere_or_tells_where_it_was(
    pages: dict[str, Page],
) -> None:
    for name, page in pages.items():
        assert page.headers["referrer-policy"] == "no-referrer", name
        assert page.headers["cache-control"] == "no-store", name
        assert page.headers["x-content-type-options"] == "nosniff", name
        policy = page.policy
        assert policy.pop("default-src") == ["'none'"], name
        assert policy.pop("base-uri") == ["'none'"], name
        assert policy.pop("style-src") == ["'self'"], name
        assert policy.pop("img-src") == ["'self'", "data:"], name
        assert set(policy) - {"script-src"} == {"form-action", "frame-ancestors"}, name
        assert ("script-src" in policy) is (name == "form_post")
        for tag, given in page.tags:
            if tag in ("link", "img", "script", "iframe", "source", "object", "embed"):
                for place in ("src", "href", "data", "srcset"):
                    assert given.get(place, "/static/").startswith("/static/"), name
            assert not [each for each in given if each.startswith("on") or each == "style"], name


@pytest.mark.proves("C43")
def test_redirects_are_as_discreet(house: House) -> None:
    for page in (house.arrive(prompt="none"), house.hong.send("GET", house.build_target())):
        assert page.status == 303
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"


@pytest.mark.proves("C113")
def test_https_is_insisted_on(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert page.headers["strict-transport-security"] == "max-age=31536000"


def test_forms_lead_to_the_client_only_where_they_may_end_there(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        ends_there = name in ("sign_in", "failed", "consent", "form_post", "logout")
        expected = ["'self'", "https:"] if ends_there else ["'self'"]
        assert page.policy["form-action"] == expected, name


@pytest.mark.parametrize(
    "uri, sources",
    [
        ("https://app.test/callback", ("https:",)),
        (
            "http://127.0.0.1:8123/cb",
            ("http://127.0.0.1:*", "http://localhost:*", "https:"),
        ),
        ("http://[::1]:8123/cb", ("http:", "https:")),
        ("com.example.app:/cb", ("com.example.app:",)),
    ],
)
def test_a_redirect_uri_as_a_source(uri: str, sources: tuple[str, ...]) -> None:
    assert find_sources(uri) == sources


@pytest.mark.proves("C114")
@pytest.mark.parametrize("path", ["/authorize", "/interaction/x", "/account", "/logout"])
def test_no_script_of_another_origin_reads_a_page(house: House, path: str) -> None:
    for origin in (b"https://app.test", b"https://evil.test", b"null"):
        for method in ("GET", "POST", "OPTIONS", "HEAD"):
            asked = (b"access-control-request-method", b"GET")
            page = house.hong.send(method, path, b"", (b"origin", origin), asked)
            assert not [name for name in page.headers if name.startswith("access-control")]
            assert "origin" not in page.headers.get("vary", "").lower()


PAIRS = (
    *(("ink", "card", 7), ("ink", "paper", 7), ("soft", "card", 4.5), ("soft", "paper", 4.5)),
    *(("soft", "fill", 4.5), ("ink", "fill", 7), ("on-strong", "strong", 4.5)),
    *(("on-strong", "strong-hover", 4.5), ("link", "card", 4.5), ("seal", "card", 4.5)),
    *(("seal", "fill", 4.5), ("alert-ink", "alert", 4.5), ("note-ink", "note", 4.5)),
    *(("field", "card", 3), ("focus", "card", 3), ("focus", "paper", 3)),
)


def find_luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    luminance: float = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return luminance


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(number: int) -> None:
    style = (Path(dojang.web.pages.__file__ or "").parent / "static" / "pages.css").read_text()
    block = style.split(":root {")[number + 1].split("}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for front, back, least in PAIRS:
        darker, lighter = sorted(map(find_luminance, (colours[front], colours[back])))
        assert (lighter + 0.05) / (darker + 0.05) >= least, (front, back)


def test_style_and_pictures_are_kept_for_good(pages: dict[str, Page], house: House) -> None:
    addresses = {link["href"] for link in pages["sign_in"].list_tags("link")}
    assert len(addresses) == 2
    for address in addresses:
        assert re.fullmatch(r"/static/\w+-[0-9a-f]{16}\.(css|svg)", address)
        asset = house.hong.send("GET", address)
        assert asset.status == 200
        assert "immutable" in asset.headers["cache-control"]
    for name in ("pages.css", "../locale/en.toml", "..%2flocale%2fen.toml", "x-0.css"):
        assert house.hong.send("GET", f"/static/{name}").status == 404


def test_a_development_server_has_plain_cookies_below_its_own_path() -> None:
    issuer = Issuer("http://127.0.0.1:8460/tenant")
    visitor = Visitor(issuer)
    page = visitor.open("/tenant/account")
    (cookie,) = page.set_cookies
    assert cookie.startswith("dojang-browser=")
    assert "Secure" not in cookie
    assert "strict-transport-security" not in page.headers
    assert visitor.find_form(page, "sign_in").action == "/tenant/account"
    assert all(
        urlsplit(link["href"]).path.startswith("/tenant/static/") for link in page.list_tags("link")
    )
    failed = visitor.press(page, "sign_in", username="hong", password=PASSWORD)
    assert failed.find("error") is not None
