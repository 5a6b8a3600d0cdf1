"""The plans for logout: RP-Initiated, Back-Channel and Front-Channel OP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from hmac import digest
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dojang.fetch import OutwardTransport
from dojang.jose import base64url
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.logout_token import EVENT, MEDIA_TYPE
from dojang.server.logout_notices import deliver_notices
from tests.conformance.conditions import check_authorization_error
from tests.conformance.conftest import Begin, InProcess
from tests.conformance.guide import SUITE
from tests.conformance.robot import Arrival
from tests.conformance.suite import AFTER_LOGOUT, SignedIn, Suite
from tests.origin import Answer, Origin
from tests.server.front_door import decode_jwt, read

# Any printable ASCII, but for three that the suite leaves out.
STATE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "+;")
MODULE = "oidcc-rp-initiated-logout"


def build_logout(signed_in: SignedIn, **changes: str | None) -> dict[str, str]:
    wanted = {
        "id_token_hint": signed_in.tokens["id_token"],
        "post_logout_redirect_uri": AFTER_LOGOUT,
        "state": STATE,
        **changes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def check_signed_out(suite: Suite) -> None:
    """The second authorization request of every module."""
    answer = suite.take_answer(suite.build_request(prompt="none", state="s" * 128))
    check_authorization_error(answer, "login_required", "interaction_required")


def check_still_signed_in(suite: Suite) -> None:
    suite.sign_in({"prompt": "none"})


def check_return(arrival: Arrival | None, asked: Mapping[str, str]) -> None:
    assert arrival is not None
    assert arrival.url.partition("?")[0] == AFTER_LOGOUT
    assert arrival.query == {name: asked[name] for name in ("state",) if name in asked}


@pytest.mark.proves("C103")
@pytest.mark.parametrize("module, changes", [(MODULE, {}), (f"{MODULE}-no-state", {"state": None})])
def test_oidcc_rp_initiated_logout(begin: Begin, module: str, changes: dict[str, None]) -> None:
    suite = begin(module)
    asked = build_logout(suite.sign_in(), **changes)
    check_return(suite.log_out(**asked), asked)
    check_signed_out(suite)


@pytest.mark.proves("C103")
@pytest.mark.parametrize(
    "module, address",
    [
        (f"{MODULE}-bad-post-logout-redirect-uri", f"{SUITE}/bad_post_logout_redirect_uri"),
        (f"{MODULE}-query-added-to-post-logout-redirect-uri", f"{AFTER_LOGOUT}?foo=bar"),
    ],
)
def test_an_address_that_is_not_registered(begin: Begin, module: str, address: str) -> None:
    suite = begin(module)
    asked = build_logout(suite.sign_in(), post_logout_redirect_uri=address)
    assert suite.log_out(**asked) is None
    assert suite.robot.seen == ["invalid post_logout_redirect_uri"]
    check_still_signed_in(suite)


def change_to_none(suite: Suite, signed_in: SignedIn) -> str:
    payload = signed_in.tokens["id_token"].split(".")[1]
    header = base64url.encode(b'{"alg": "none"}')
    return f"{header}.{payload}."


def sign_as_client(suite: Suite, signed_in: SignedIn) -> str:
    """What a client made of its secret (OpenID Connect Core §16.19)."""
    claims = {
        "iss": suite.client["client_id"],
        "sub": "SubjectID",
        "aud": suite.metadata["issuer"],
        "nonce": "flibble",
        "iat": suite.server.now,
        "exp": suite.server.now + 300,
    }
    parts = ({"alg": "HS256"}, claims)
    signed = ".".join(base64url.encode(json.dumps(part).encode()) for part in parts)
    signature = digest(suite.client["client_secret"].encode(), signed.encode(), "sha256")
    return f"{signed}.{base64url.encode(signature)}"


@pytest.mark.proves("C103")
@pytest.mark.parametrize(
    "module, forge",
    [
        (f"{MODULE}-modified-id-token-hint", change_to_none),
        (f"{MODULE}-bad-id-token-hint", sign_as_client),
    ],
)
def test_a_hint_that_this_server_did_not_make(
    begin: Begin, module: str, forge: Callable[[Suite, SignedIn], str]
) -> None:
    suite = begin(module)
    signed_in = suite.sign_in()
    asked = build_logout(signed_in, id_token_hint=forge(suite, signed_in))
    assert suite.log_out(**asked) is None
    assert suite.robot.seen == ["invalid id_token_hint"]
    check_still_signed_in(suite)


@pytest.mark.proves("C103")
def test_oidcc_rp_initiated_logout_no_id_token_hint(begin: Begin) -> None:
    """A page asks, and nothing leads on from there."""
    suite = begin(f"{MODULE}-no-id-token-hint")
    asked = build_logout(suite.sign_in(), id_token_hint=None)
    assert suite.log_out(**asked) is None
    assert suite.robot.seen == ["Sign out?"]
    check_still_signed_in(suite)


@pytest.mark.proves("C103")
@pytest.mark.parametrize(
    "module, names",
    [
        (f"{MODULE}-no-params", ()),
        (f"{MODULE}-only-state", ("state",)),
        (f"{MODULE}-no-post-logout-redirect-uri", ("id_token_hint", "state")),
    ],
)
def test_no_address_to_go_on_to(begin: Begin, module: str, names: tuple[str, ...]) -> None:
    suite = begin(module)
    asked = build_logout(suite.sign_in())
    assert suite.log_out(**{name: asked[name] for name in names}) is None
    assert suite.robot.seen == ["You are signed out"]
    check_signed_out(suite)


@pytest.mark.proves("C104")
def test_oidcc_backchannel_rp_initiated_logout(server: InProcess, begin: Begin) -> None:
    suite = begin("oidcc-backchannel-rp-initiated-logout")
    with Origin() as origin:
        origin.answers["/backchannel_logout"] = lambda _: Answer(
            200, b"", (("cache-control", "no-store"),)
        )
        address = f"{origin.url}/backchannel_logout"
        server.add_client("conformance-here", backchannel_logout_uri=address)
        secret = server.secrets["conformance-here"]
        suite.client = {"client_id": "conformance-here", "client_secret": secret}
        signed_in = suite.sign_in()
        asked = build_logout(signed_in)
        check_return(suite.log_out(**asked), asked)
        asyncio.run(deliver(server))
        (told,) = origin.requests
    assert told.method == "POST"
    assert told.headers["content-type"] == "application/x-www-form-urlencoded"
    assert set(told.form) == {"logout_token"}
    check_logout_token(suite, told.form["logout_token"], signed_in.claims)
    check_signed_out(suite)


async def deliver(server: InProcess) -> None:
    transport = OutwardTransport(permitted=["127.0.0.0/8"])
    await deliver_notices(server.world.issuer.provider, transport)
    await transport.aclose()


def check_logout_token(suite: Suite, token: str, id_token: Mapping[str, Any]) -> None:
    """OpenID Connect Back-Channel Logout §2.4 and §2.6."""
    keys = KeySet.parse(read(suite.get(suite.metadata["jwks_uri"])))
    claims = JwtVerifier(keys, algorithms={"RS256"}, types={MEDIA_TYPE}).verify(token).claims
    assert decode_jwt(token)[0]["kid"]
    assert claims["iss"] == suite.metadata["issuer"]
    assert claims["aud"] == suite.client["client_id"]
    assert abs(claims["iat"] - suite.server.now) < 300
    assert claims["jti"]
    assert claims["events"] == {EVENT: {}}
    assert claims["sub"] == id_token["sub"]
    assert claims["sid"] == id_token["sid"]
    assert "nonce" not in claims


def test_oidcc_frontchannel_rp_initiated_logout(begin: Begin) -> None:
    suite = begin("oidcc-frontchannel-rp-initiated-logout")
    signed_in = suite.sign_in()
    asked = build_logout(signed_in)
    suite.robot.pages.clear()
    check_return(suite.log_out(**asked), asked)
    (frame,) = (each["src"] for page in suite.robot.pages for each in page.list_tags("iframe"))
    assert frame.partition("?")[0] == f"{SUITE}/frontchannel_logout"
    assert dict(parse_qsl(urlsplit(frame).query)) == {
        "iss": suite.metadata["issuer"],
        "sid": signed_in.claims["sid"],
    }
    check_signed_out(suite)
