"""Everything that is issued, at every place that takes any of it: each opens its own, and nothing
else. What was refused everywhere works afterwards where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dojang.oauth.errors import OAuthError
from dojang.oauth.http import Request, Response
from dojang.oauth.pkce import build_challenge
from dojang.oauth.token_exchange import ACCESS_TOKEN, JWT
from dojang.resource import Expect, Local, Refusal
from dojang.server.id_token_hints import parse_id_token_hint
from dojang.server.interaction import Redirected
from dojang.server.logout_notices import _sign
from dojang.server.paths import ADMIN
from dojang.server.people import Grant, LogoutNotice
from dojang.testing.inline import run
from dojang.web.admin import build_admin_routes
from dojang.web.routing import RouteTable
from tests.server.front_door import PAYMENTS, basic, basic_of, bearer, get, post, read
from tests.server.people.services import SCOPE, Services
from tests.server.people.world import CALLBACK, ORDERS, VERIFIER, read_claims

OPAQUE = "urn:opaque"
CHALLENGE = {"code_challenge": build_challenge(VERIFIER), "code_challenge_method": "S256"}
PUSHED = {"redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", **CHALLENGE}
NOTHING = dict.fromkeys(
    ("redirect_uri", "response_type", "scope", "state", "nonce", *CHALLENGE), None
)


class Everything(Services):
    """An issuer, and one of each kind of what it issues (`tokens`)."""

    def __init__(self) -> None:
        super().__init__()
        issuer = self.issuer
        provider = issuer.provider
        issuer.add_client("archive")
        issuer.add_resource(OPAQUE, ["read"], token_format="opaque", introspectors=["archive"])
        self.add_client("reader", resources={OPAQUE: ("read",)}, first_party=True)
        own = {
            provider.admin_audience: ["admin:read"],
            provider.introspection_audience: ["introspect"],
        }
        issuer.add_client("boss", own)
        for_people = self.get_tokens(scope=f"{SCOPE} offline_access", resource=ORDERS)
        about_person = self.get_tokens(scope="openid profile")
        code = self.get_code(client_id="reader", scope="read", resource=OPAQUE)
        opaque = read(self.redeem(code, "reader"))
        pushed = post(issuer, "/par", PUSHED, basic_of(issuer, "app"))
        joined = post(issuer, "/feed/join", {"name": "a"}, basic_of(issuer, "orders"))
        self.tokens = {
            "access token": for_people["access_token"],
            "opaque access token": opaque["access_token"],
            "access token for userinfo": about_person["access_token"],
            "exchanged token": self.exchange(for_people["access_token"]),
            "id_token": for_people["id_token"],
            "refresh token": for_people["refresh_token"],
            "code": self.get_code(),
            "logout token": self.make_logout_token(about_person["id_token"]),
            "request_uri": read(pushed)["request_uri"],
            "lease": read(joined)["lease"],
            "admin token": issuer.token(
                scopes=["admin:read"], audience=provider.admin_audience, client_id="boss"
            ),
            "introspecting token": issuer.token(
                scopes=["introspect"], audience=provider.introspection_audience, client_id="boss"
            ),
            "session": self.browser.session or "",
            "client secret": issuer.credentials("app").secret,
        }
        assert len(set(self.tokens.values()) - {""}) == len(self.tokens)

    def make_logout_token(self, id_token: str) -> str:
        claims = read_claims(id_token)
        notice = LogoutNotice(
            notice_id="n",
            client_id="app",
            session_id=claims["sid"],
            sub=claims["sub"],
            due_at=self.now,
            expires_at=self.now + 60,
        )
        token = _sign(self.issuer.provider, notice, "ES256")
        assert token is not None
        return token

    def is_alive(self, kind: str) -> bool:
        """Of an access token or a refresh token; a refresh token is not spent for it."""
        audience = {
            "access token": ORDERS,
            "opaque access token": OPAQUE,
            "exchanged token": PAYMENTS,
        }
        if kind == "access token for userinfo":
            return ask_userinfo(self, self.tokens[kind])
        if kind == "refresh token":
            grant_id = read_claims(self.tokens["access token"])["grant"]
            grant = run(self.issuer.provider.store.find(Grant, grant_id))
            return grant is not None and grant.ended_at is None
        return bool(self.told(self.tokens[kind], audience[kind])["active"])


Place = Callable[[Everything, str], bool]


def ask_userinfo(issued: Everything, token: str) -> bool:
    return get(issued.issuer, "/userinfo", bearer(token)).status == 200


def post_userinfo(issued: Everything, token: str) -> bool:
    return post(issued.issuer, "/userinfo", {"access_token": token}).status == 200


def introspect_for(audience: str) -> Place:
    return lambda issued, token: bool(issued.told(token, audience)["active"])


def verify_at(audience: str) -> Place:
    def verify(issued: Everything, token: str) -> bool:
        issuer = issued.issuer
        expect = Expect(issuer=issuer.url, audience=audience, algorithms=["ES256"])
        local = Local(transport=issuer.transport, clock=issuer.clock).build(expect)
        try:
            local.verify(token)
        except Refusal:
            return False
        return True

    return verify


def redeem(issued: Everything, token: str) -> bool:
    return issued.redeem(token).status == 200


def refresh(issued: Everything, token: str) -> bool:
    return issued.refresh(token).status == 200


def exchange_as(client_id: str, token_type: str) -> Place:
    def exchange(issued: Everything, token: str) -> bool:
        return issued.ask_exchange(token, client_id, subject_token_type=token_type).status == 200

    return exchange


def revoke_as(client_id: str) -> Place:
    def revoke(issued: Everything, token: str) -> bool:
        (kind,) = (kind for kind, each in issued.tokens.items() if each == token)
        for hint in ("access_token", "refresh_token", "id_token"):
            form = {"token": token, "token_type_hint": hint}
            answer = post(issued.issuer, "/revoke", form, basic_of(issued.issuer, client_id))
            assert answer.status in (200, 400)
        lasting = ("access token", "opaque access token", "access token for userinfo")
        return kind in (*lasting, "exchanged token", "refresh token") and not issued.is_alive(kind)

    return revoke


def follow(issued: Everything, token: str) -> bool:
    return get(issued.issuer, "/feed/snapshot", bearer(token)).status == 200


def join(issued: Everything, token: str) -> bool:
    answer = post(issued.issuer, "/feed/join", {"name": "b"}, bearer(token))
    assert answer.status in (200, 400, 401)
    return answer.status == 200 or read(answer)["error"] != "invalid_token"


def introspect_with(issued: Everything, token: str) -> bool:
    form = {"token": issued.tokens["access token"]}
    return post(issued.issuer, "/introspect", form, bearer(token)).status == 200


def call_admin(issued: Everything, token: str) -> bool:
    table = RouteTable(build_admin_routes(issued.issuer.provider))
    place, found, query = table.find(f"{ADMIN}/v1/status".encode())
    request = Request("GET", found, query, (bearer(token),), b"", "127.0.0.1")
    answer: Any = place.methods[b"GET"](request)
    response: Response = answer if isinstance(answer, Response) else run(answer)
    status: int = response.status
    return status == 200


def authorize(issued: Everything, token: str) -> bool:
    try:
        outcome = issued.ask(**NOTHING, request_uri=token)
    except OAuthError:
        return False
    return isinstance(outcome, Redirected) and "code" in outcome.parameters


def hint(issued: Everything, token: str) -> bool:
    return parse_id_token_hint(issued.issuer.provider, token, now=issued.now) is not None


def authenticate(issued: Everything, token: str) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = post(issued.issuer, "/token", form, basic("app", token))
    return bool(read(answer)["error"] != "invalid_client")


def assert_client(issued: Everything, token: str) -> bool:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": token,
    }
    return post(issued.issuer, "/token", form).status == 200


PLACES: dict[str, tuple[Place, tuple[str, ...]]] = {
    "userinfo": (ask_userinfo, ("access token for userinfo",)),
    "userinfo, posted": (post_userinfo, ("access token for userinfo",)),
    "introspection by orders": (introspect_for(ORDERS), ("access token",)),
    "introspection by archive": (introspect_for(OPAQUE), ("opaque access token",)),
    "introspection by payments": (introspect_for(PAYMENTS), ("exchanged token",)),
    "a route of orders": (verify_at(ORDERS), ("access token",)),
    "a route of payments": (verify_at(PAYMENTS), ("exchanged token",)),
    "a code": (redeem, ("code",)),
    "a refresh token": (refresh, ("refresh token",)),
    "a subject token at orders": (exchange_as("orders", ACCESS_TOKEN), ("access token",)),
    "a subject token of type jwt": (exchange_as("orders", JWT), ("access token",)),
    "a subject token at payments": (exchange_as("payments", ACCESS_TOKEN), ("exchanged token",)),
    "revocation by app": (
        revoke_as("app"),
        ("access token for userinfo", "access token", "refresh token"),
    ),
    "revocation by orders": (revoke_as("orders"), ("exchanged token",)),
    "revocation by shop": (revoke_as("shop"), ()),
    "the feed": (follow, ("lease",)),
    "joining the feed": (join, ("introspecting token",)),
    "asking at introspection": (introspect_with, ("introspecting token",)),
    "the admin API": (call_admin, ("admin token",)),
    "an authorization request": (authorize, ("request_uri",)),
    "a hint who signs out": (hint, ("id_token",)),
    "the secret of a client": (authenticate, ("client secret",)),
    "the assertion of a client": (assert_client, ()),
}


@pytest.mark.proves("C54", "C85", "C110", "A3")
@pytest.mark.parametrize("place", PLACES)
def test_each_kind_opens_its_own_place_and_no_other(place: str) -> None:
    issued = Everything()
    takes, own = PLACES[place]
    for kind, token in issued.tokens.items():
        if kind not in own:
            assert not takes(issued, token), kind
    for kind in own:
        assert takes(issued, issued.tokens[kind]), kind
