"""An app that is a page alone, on oidc-client-ts (npm) in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.interop.house import PASSWORD, House, Person
from tests.interop.others import HERE, NODE_MODULES
from tests.interop.site import serve

LIBRARY = NODE_MODULES / "oidc-client-ts/dist/browser/oidc-client-ts.min.js"


class App(NamedTuple):
    issuer: str
    origin: str

    @property
    def elsewhere(self) -> str:
        """The same app, on another site than the server, as browsers see it."""
        return self.origin.replace("127.0.0.1", "localhost")

    def open(self, profile: BrowserContext, origin: str = "") -> Page:
        page = profile.new_page()
        page.goto((origin or self.origin) + "/")
        expect(page.locator("#user")).not_to_be_empty()
        return page

    def sign_in(self, profile: BrowserContext, person: Person, origin: str = "") -> Page:
        """A page where the person is signed in."""
        page = self.open(profile, origin)
        page.evaluate("void manager.signinRedirect()")
        answer(page, person)
        expect(page.locator("#user")).not_to_be_empty()
        assert page.locator("#user").text_content() != "nobody"
        return page


def answer(page: Page, person: Person) -> None:
    page.fill("#username", person.username)
    page.fill("#password", PASSWORD)
    page.click("#submit")
    page.click("#allow")


# Has the token already, and waits for the word to renew.
WAIT = """async () => {
    const user = await manager.getUser()
    window.load = manager._loadUser
    manager._loadUser = async () => user
    const go = new Promise(go => { new BroadcastChannel('go').onmessage = go })
    window.coming = go.then(() => settle(manager.signinSilent()))
}"""
SILENT = "manager.signinSilent({forceIframeAuth: true})"


def settle(page: Page, promise: str) -> Any:
    return page.evaluate(f"settle({promise})")


@pytest.fixture(scope="module")
def app(house: House) -> Iterator[App]:
    settings = {
        "authority": house.issuer,
        "client_id": "page",
        "scope": "openid profile email",
    }
    document = (HERE / "spa.html").read_bytes()
    filled = document.replace(b"window.SETTINGS", json.dumps(settings).encode())
    files = {"/": filled, "/callback": filled, "/oidc-client-ts.min.js": LIBRARY.read_bytes()}
    with serve(files) as port:
        origins = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
        house.add_client(
            "page",
            authentication="none",
            redirect_uris=[origin + "/callback" for origin in origins],
            post_logout_redirect_uris=[origin + "/" for origin in origins],
        )
        yield App(house.issuer, origins[0])


@pytest.mark.proves("A2", "C121")
def test_a_person_signs_in(app: App, profile: BrowserContext, person: Person) -> None:
    page = app.sign_in(profile, person)
    told = settle(page, "manager.getUser()")
    assert told["email"] == f"{person.username}@example.com"
    assert told["name"] == "홍길동"
    page.goto(app.origin + "/callback?code=dojang_ac_x&state=another")
    assert "state" in page.evaluate("arrived.catch(error => error.message)")


@pytest.mark.proves("A2")
def test_a_person_signs_in_beside_the_app(
    app: App, profile: BrowserContext, person: Person
) -> None:
    page = app.open(profile)
    with page.expect_popup() as opened:
        page.evaluate("void (window.coming = settle(manager.signinPopup()))")
    answer(opened.value, person)
    assert page.evaluate("coming")["email"] == f"{person.username}@example.com"


@pytest.mark.proves("A2")
def test_a_person_says_no(app: App, profile: BrowserContext, person: Person) -> None:
    page = app.open(profile)
    page.evaluate("void manager.signinRedirect()")
    page.click("#deny")
    page.wait_for_url(app.origin + "/callback?**")
    assert page.evaluate("arrived.catch(error => error.error)") == "access_denied"


@pytest.mark.proves("T1")
def test_a_refresh_token_is_spent_for_the_next(
    app: App, profile: BrowserContext, person: Person
) -> None:
    page = app.sign_in(profile, person)
    first = settle(page, "manager.getUser()")
    second = settle(page, "manager.signinSilent()")
    assert second["sub"] == first["sub"]
    assert second["refresh"] != first["refresh"]
    assert second["access"] != first["access"]


@pytest.mark.proves("T1")
def test_three_tabs_renew_at_once(app: App, profile: BrowserContext, person: Person) -> None:
    """Each with the refresh token that all have from the same storage: none is signed out."""
    tabs = [app.sign_in(profile, person), app.open(profile), app.open(profile)]
    for tab in tabs:
        tab.evaluate(WAIT)
    tabs[0].evaluate("void new BroadcastChannel('go').postMessage(0)")
    renewed = [tab.evaluate("coming") for tab in tabs]
    assert [each.get("error") for each in renewed] == [None] * 3
    assert len({each["refresh"] for each in renewed}) == 1
    for tab in tabs:
        tab.evaluate("void (manager._loadUser = load)")
        assert settle(tab, "manager.signinSilent()")["sub"] == renewed[0]["sub"]


@pytest.mark.proves("C34")
def test_renewed_in_silence_in_a_frame(
    app: App, house: House, profile: BrowserContext, person: Person
) -> None:
    """What comes to prompt=none is a redirect, which a frame may follow; no page of the server's
    could be shown there."""
    page = app.sign_in(profile, person)
    assert settle(page, SILENT)["error"] == "consent_required"  # anybody listens on this machine
    house.operate("client.update", client_id="page", sign_in={"first_party": True})
    told = settle(page, SILENT)
    house.operate("client.update", client_id="page", sign_in={"first_party": False})
    assert told["email"] == f"{person.username}@example.com"
    stranger = profile.browser
    assert stranger is not None
    other = app.open(stranger.new_context())
    assert settle(other, SILENT) == {"error": "login_required"}
    other.context.close()


@pytest.mark.proves("C34")
def test_a_frame_on_another_site_has_no_session(
    app: App, profile: BrowserContext, person: Person
) -> None:
    """The cookie is not sent there, and the app is told at once; its refresh token serves it."""
    page = app.sign_in(profile, person, app.elsewhere)
    assert settle(page, "manager.signinSilent()")["sub"]
    assert settle(page, SILENT) == {"error": "login_required"}


def test_a_person_signs_out(app: App, profile: BrowserContext, person: Person) -> None:
    page = app.sign_in(profile, person)
    token = settle(page, "manager.getUser()")["access"]
    page.evaluate("void manager.signoutRedirect()")
    expect(page.locator("#user")).to_have_text("nobody")  # back, and nothing was asked
    assert ask(page, app.issuer + "/userinfo", token) == 401
    page.evaluate("void manager.signinRedirect()")
    expect(page.locator("#username")).to_be_visible()


def test_an_app_gives_its_tokens_back(app: App, profile: BrowserContext, person: Person) -> None:
    page = app.sign_in(profile, person)
    held = settle(page, "manager.getUser()")
    assert ask(page, app.issuer + "/userinfo", held["access"]) == 200
    assert settle(page, "manager.revokeTokens()") is None
    assert ask(page, app.issuer + "/userinfo", held["access"]) == 401
    page.evaluate(
        "token => manager.getUser().then(user =>"
        " (user.refresh_token = token, manager.storeUser(user)))",
        held["refresh"],
    )
    assert settle(page, "manager.signinSilent()") == {"error": "invalid_grant"}


def ask(page: Page, address: str, token: str) -> int:
    """The status that a script of the page sees."""
    status: int = page.evaluate(
        "([address, token]) => fetch(address, {headers: {authorization: 'Bearer ' + token}})"
        " .then(answer => answer.status)",
        [address, token],
    )
    return status


# The status of each as the script may know it; null where the browser keeps the answer from it, and
# a word where it would give one that the person's cookies were sent for.
READ = """asked => Promise.all(asked.map(([method, address]) =>
    fetch(address, {method, credentials: 'include', redirect: 'manual'})
    .then(() => 'with cookies', () => fetch(address, {method, redirect: 'error'}))
    .then(answer => answer.status ?? answer, () => null)))"""


@pytest.mark.proves("C114")
def test_what_a_script_of_the_app_may_read(app: App, profile: BrowserContext) -> None:
    page = app.open(profile)
    seen = {
        "POST /token": 400,
        "GET /userinfo": 401,
        "POST /revoke": 400,
        "POST /par": 400,
        "GET /.well-known/openid-configuration": 200,
        "GET /.well-known/jwks.json": 200,
        **dict.fromkeys(["GET /authorize", "GET /account", "GET /logout", "POST /introspect"]),
    }
    asked = [[place.split()[0], app.issuer + place.split()[1]] for place in seen]
    assert page.evaluate(READ, asked) == list(seen.values())
    page.set_content("<iframe sandbox=allow-scripts srcdoc='<p>'></iframe>")  # of no origin
    assert page.frames[1].evaluate(READ, asked) == [None] * len(seen)
