"""An issuer with its pages, the people of `tests.server.people`, and their browsers."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from dojang.oauth.pkce import build_challenge
from dojang.server.people import Session
from dojang.server.sessions import find_session
from dojang.testing.inline import run
from tests.server.front_door import read
from tests.server.people.world import CALLBACK, PASSWORD, VERIFIER, World
from tests.web.pages.visitor import Page, Visitor

AFTER: Final = "https://app.test/after"


class House(World):
    """`world` with pages: its client `app` may have people sent on to `AFTER` when they log out."""

    def __init__(self, **settings: Any) -> None:
        given = {"post_logout_redirect_uris": (AFTER,), **settings}
        super().__init__(**given)
        self.hong: Final = Visitor(self.issuer)

    def build_request(self, **parameters: str | None) -> dict[str, str]:
        """An authorization request of `app`; None leaves a parameter out."""
        wanted = {
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "xyz",
            "nonce": "n-1",
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **parameters,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def build_target(self, **parameters: str | None) -> str:
        return "/authorize?" + urlencode(self.build_request(**parameters))

    def arrive(self, visitor: Visitor | None = None, /, **parameters: str | None) -> Page:
        """Where a client's request leads to."""
        return (visitor or self.hong).open(self.build_target(**parameters))

    def enter(
        self,
        page: Page,
        username: str = "hong",
        password: str = PASSWORD,
        *,
        visitor: Visitor | None = None,
    ) -> Page:
        """Fill in the sign-in page."""
        visitor = visitor or self.hong
        return visitor.press(page, "sign_in", username=username, password=password)

    def sign_in_for_app(self, visitor: Visitor | None = None, /, **parameters: str | None) -> Page:
        """All the way to the redirect to the client."""
        visitor = visitor or self.hong
        page = self.arrive(visitor, **parameters)
        if page.has_button("sign_in"):
            page = self.enter(page, visitor=visitor)
        if page.has_button("allow"):
            page = visitor.press(page, "allow")
        assert page.status == 303 or page.list_tags("script"), page.html
        return page

    def take_tokens(self, visitor: Visitor | None = None, /, **parameters: str | None) -> Any:
        """The tokens of the person, as the client gets them."""
        response = self.redeem(self.sign_in_for_app(visitor, **parameters).answer["code"])
        assert response.status == 200, response.body
        return read(response)

    def pass_time(self, seconds: int) -> None:
        self.issuer.clock.move_to(self.issuer.clock.now() + seconds)

    def find_session_of(self, visitor: Visitor) -> Session:
        cookie = visitor.cookies.get("__Host-dojang-session")
        session = run(find_session(self.issuer.provider, cookie, now=self.now))
        assert session is not None
        return session
