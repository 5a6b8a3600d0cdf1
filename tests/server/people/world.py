"""People, clients and browsers around an issuer in process, driven as the pages and clients do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

from dojang.oauth.http import Response
from dojang.oauth.pkce import build_challenge
from dojang.server.browsers import Browser
from dojang.server.interaction import (
    Outcome,
    PersonAsked,
    Redirected,
    answer_consent,
    begin_authorization,
    sign_in,
)
from dojang.server.passwords import Passwords
from dojang.server.people import Account, SignInName
from dojang.server.ports import Put
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import basic_of, bearer, get, open_issuer, post, read

PASSWORD: Final = "correct horse battery staple"
CALLBACK: Final = "https://app.test/callback"
VERIFIER: Final = "v" * 50
ORDERS: Final = "https://orders.test"


@cache
def hash_password() -> str:
    """The hash of `PASSWORD`, made once: that takes a while on purpose."""
    return run(Passwords().hash(PASSWORD))


class World:
    """An issuer with a person (hong), an API, and the client `app`. `orders` are settings of the
    API, others of the client."""

    def __init__(
        self,
        issuer: Issuer | None = None,
        /,
        *,
        orders: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.issuer: Final[Issuer] = issuer or open_issuer()
        self.issuer.add_resource(ORDERS, ["orders:read", "orders:write"], **(orders or {}))
        self.add_client("app", **settings)
        self.add_user("hong")
        self.browser = Browser(secret=b"b" * 32, network="203.0.113.7")

    @property
    def now(self) -> int:
        return int(self.issuer.clock.now())

    def add_client(
        self, client_id: str, authentication: str = "client_secret_basic", **settings: Any
    ) -> None:
        wanted = {
            "redirect_uris": (CALLBACK,),
            "scopes": ("openid", "profile", "email", "offline_access"),
            "resources": {ORDERS: ("orders:read",)},
            "id_token_algorithm": "ES256",
            **settings,
        }
        self.issuer.add_client(client_id, {}, authentication=authentication, sign_in=wanted)

    def add_user(self, username: str, **claims: Any) -> str:
        account_id = f"account-{username}"
        account = Account(
            account_id=account_id,
            username=username,
            password=hash_password(),
            claims={"name": "홍길동", "email": f"{username}@example.com", **claims},
            created_at=self.now,
        )
        name = SignInName(name=username, account_id=account_id)
        run(self.issuer.provider.store.commit([Put(account), Put(name)]))
        return account_id

    def ask(self, **parameters: str | None) -> Outcome:
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
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._see(begin_authorization(self.issuer.provider, given, self.browser))

    def sign_in(self, asked: Outcome, username: str = "hong", password: str = PASSWORD) -> Outcome:
        assert isinstance(asked, PersonAsked)
        interaction_id = asked.interaction.interaction_id
        return self._see(
            sign_in(
                self.issuer.provider,
                interaction_id,
                self.browser,
                form_key=self.browser.make_form_key(interaction_id),
                username=username,
                password=password,
            )
        )

    def consent(self, asked: Outcome, *, allowed: bool = True) -> Outcome:
        assert isinstance(asked, PersonAsked)
        interaction_id = asked.interaction.interaction_id
        return self._see(
            answer_consent(
                self.issuer.provider,
                interaction_id,
                self.browser,
                form_key=self.browser.make_form_key(interaction_id),
                allowed=allowed,
            )
        )

    def _see(self, coming: Any) -> Outcome:
        """What the browser is shown; it keeps the session's cookie."""
        outcome: Outcome = run(coming)
        if outcome.session is not None:
            self.browser = Browser(
                secret=self.browser.secret,
                session=outcome.session.text,
                network=self.browser.network,
            )
        return outcome

    def get_code(self, **parameters: str | None) -> str:
        """A code for `app`, whatever has to be gone through for it."""
        outcome = self.ask(**parameters)
        if isinstance(outcome, PersonAsked) and outcome.account_id is None:
            outcome = self.sign_in(outcome)
        if isinstance(outcome, PersonAsked):
            outcome = self.consent(outcome)
        assert isinstance(outcome, Redirected)
        return outcome.parameters["code"]

    def post_token(self, client_id: str = "app", **form: str) -> Response:
        """A request of a confidential client to the token endpoint."""
        return post(self.issuer, "/token", form, basic_of(self.issuer, client_id))

    def redeem(self, code: str, client_id: str = "app", **form: str) -> Response:
        wanted = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **form,
        }
        return self.post_token(client_id, **wanted)

    def refresh(self, token: str, client_id: str = "app", **form: str) -> Response:
        return self.post_token(client_id, grant_type="refresh_token", refresh_token=token, **form)

    def get_tokens(self, **parameters: str | None) -> dict[str, Any]:
        response = self.redeem(self.get_code(**parameters))
        assert response.status == 200, response.body
        return read(response)

    def ask_userinfo(self, token: str) -> Response:
        return get(self.issuer, "/userinfo", bearer(token))

    def introspect(self, token: str) -> dict[str, Any]:
        return self.issuer.introspect(token, audience=ORDERS)

    def perform(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.issuer.perform(operation, **parameters)


def read_claims(token: str) -> dict[str, Any]:
    """What a JWT says; nothing of it is checked."""
    from dojang.jose import base64url

    claims: dict[str, Any] = json.loads(base64url.decode(token.split(".")[1]))
    return claims


def form_of(parameters: Mapping[str, str]) -> bytes:
    return urlencode(parameters).encode()
