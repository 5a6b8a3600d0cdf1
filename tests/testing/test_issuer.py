"""The in-process issuer, through the verifiers and clients that users point at it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from subprocess import run as run_process
from typing import Any

import httpx
import pytest

from dojang.client import TokenSource
from dojang.fetch import FetchFailed, FetchProblem, FetchRequest
from dojang.oauth.errors import Unavailable
from dojang.resource import (
    Expect,
    FeedState,
    Hybrid,
    Introspection,
    Local,
    Refusal,
    RefusalReason,
    Strategy,
    Verifier,
)
from dojang.server.administration import OperationRefused
from dojang.testing import Issuer, SettableClock, TokenRefused

ORDERS = "https://orders.test"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def build_local(issuer: Issuer) -> Strategy:
    return Local(transport=issuer.transport, clock=issuer.clock)


def build_introspection(issuer: Issuer) -> Introspection:
    return Introspection(
        credentials=issuer.introspector(ORDERS),
        transport=issuer.transport,
        async_transport=issuer.async_transport,
        clock=issuer.clock,
    )


def build_hybrid(issuer: Issuer) -> Strategy:
    local = Local(transport=issuer.transport, clock=issuer.clock)
    return Hybrid(introspection=build_introspection(issuer), local=local)


BUILDERS: dict[str, Callable[[Issuer], Strategy]] = {
    "local": build_local,
    "introspection": build_introspection,
    "hybrid": build_hybrid,
}
each_strategy = pytest.mark.parametrize("name", BUILDERS)


def open_verifier(issuer: Issuer, name: str) -> Verifier:
    expect = Expect(issuer=issuer.url, audience=ORDERS, algorithms=["ES256"])
    return BUILDERS[name](issuer).build(expect)


def find_reason(verifier: Verifier, token: str) -> RefusalReason | None:
    try:
        verifier.verify(token)
    except Refusal as refusal:
        return refusal.reason
    return None


@pytest.mark.proves("V3", "K6")
@pytest.mark.parametrize(
    "revoke",
    [
        lambda issuer, token: issuer.revoke(token),
        lambda issuer, _: issuer.revoke_client(),
        lambda issuer, _: issuer.disable_client(),
        lambda issuer, _: issuer.revoke_key(),
    ],
    ids=["token", "client", "disabled", "key"],
)
def test_a_service_that_follows_is_told_of_what_is_revoked(
    issuer: Issuer, revoke: Callable[[Issuer, str], None]
) -> None:
    token = issuer.token(scopes=["orders:read"], audience=ORDERS)
    expect = Expect(issuer=issuer.url, audience=ORDERS, algorithms=["ES256"])
    follower = issuer.follow(ORDERS)
    verifier = issuer.hybrid(ORDERS, follow=follower).build(expect)
    assert follower.poll().state is FeedState.FRESH
    assert find_reason(verifier, token) is None
    revoke(issuer, token)
    assert find_reason(verifier, token) is None  # within the bound
    follower.poll()
    assert find_reason(verifier, token) is not None
    assert ("POST", "/introspect") not in issuer.transport.requests


def test_following_needs_a_resource_that_is_there(issuer: Issuer) -> None:
    with pytest.raises(KeyError):
        issuer.follow(ORDERS)
    with pytest.raises(KeyError):
        issuer.hybrid(ORDERS)


@each_strategy
@pytest.mark.proves("V1", "V2", "V3", "A1")
def test_every_strategy_verifies_its_tokens(issuer: Issuer, name: str) -> None:
    token = issuer.token(scopes=["read", "write"], audience=ORDERS, client_id="shop")
    verified = open_verifier(issuer, name).verify(token)
    assert verified.client_id == verified.subject == "shop"
    assert verified.scopes == {"read", "write"}
    verified = asyncio.run(verify_async(open_verifier(issuer, name), token))
    assert verified.client_id == "shop"


async def verify_async(verifier: Verifier, token: str) -> Any:
    return await verifier.verify_async(token)


@each_strategy
@pytest.mark.proves("V1", "V2", "V3", "A3")
def test_a_token_for_another_service_is_refused(issuer: Issuer, name: str) -> None:
    issuer.token(scopes=["read"], audience=ORDERS)
    elsewhere = issuer.token(scopes=["read"], audience="https://payments.test")
    reason = find_reason(open_verifier(issuer, name), elsewhere)
    assert reason in (RefusalReason.WRONG_AUDIENCE, RefusalReason.INACTIVE)


@each_strategy
def test_the_clock_ends_a_token(issuer: Issuer, name: str) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    verifier = open_verifier(issuer, name)
    assert find_reason(verifier, token) is None
    issuer.clock.move(660)
    assert find_reason(verifier, token) in (RefusalReason.EXPIRED, RefusalReason.INACTIVE)


def test_the_clock_goes_back_and_makes_an_old_token(issuer: Issuer) -> None:
    issuer.clock.move(-3600)
    old = issuer.token(scopes=["read"], audience=ORDERS)
    issuer.clock.move(3600)
    assert find_reason(open_verifier(issuer, "local"), old) is RefusalReason.EXPIRED


@pytest.mark.parametrize("name", ["introspection", "hybrid"])
@pytest.mark.proves("V2", "V3", "K6")
def test_what_is_revoked_is_refused(issuer: Issuer, name: str) -> None:
    tokens = [issuer.token(scopes=["read"], audience=ORDERS) for _ in range(2)]
    verifier = open_verifier(issuer, name)
    issuer.revoke(tokens[0])
    found = [find_reason(verifier, token) for token in tokens]
    assert found == [RefusalReason.INACTIVE, None]
    issuer.revoke_client()
    assert find_reason(verifier, tokens[1]) is RefusalReason.INACTIVE
    assert find_reason(verifier, issuer.token(scopes=["read"], audience=ORDERS)) is None


@each_strategy
@pytest.mark.proves("V1")
def test_a_rotation_refuses_nobody(issuer: Issuer, name: str) -> None:
    issuer.add_resource(ORDERS, ["read"])
    verifier = open_verifier(issuer, name)
    for _ in range(3):
        token = issuer.token(scopes=["read"], audience=ORDERS)
        assert find_reason(verifier, token) is None
        issuer.clock.move_to(issuer.rotate_keys())
        assert find_reason(verifier, token) is None
        assert find_reason(verifier, issuer.token(scopes=["read"], audience=ORDERS)) is None


def test_a_revoked_key_takes_its_tokens_along(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    issuer.revoke_key()
    assert issuer.introspect(token, audience=ORDERS) == {"active": False}
    after = issuer.token(scopes=["read"], audience=ORDERS)
    assert issuer.introspect(after, audience=ORDERS)["active"] is True
    assert find_reason(open_verifier(issuer, "local"), token) is RefusalReason.UNKNOWN_KEY


def test_a_disabled_client_gets_no_token_until_it_is_enabled(issuer: Issuer) -> None:
    issuer.token(scopes=["read"], audience=ORDERS)
    issuer.disable_client()
    with pytest.raises(TokenRefused) as refused:
        issuer.token(scopes=["read"], audience=ORDERS)
    assert (refused.value.status, refused.value.error) == (401, "invalid_client")
    issuer.enable_client()
    assert issuer.token(scopes=["read"], audience=ORDERS)


@pytest.mark.proves("V1", "F4")
def test_while_it_is_down_local_verification_goes_on(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    local, asking = (open_verifier(issuer, name) for name in ("local", "introspection"))
    local.verify(token)
    with issuer.down():
        assert find_reason(local, token) is None
        with pytest.raises(Unavailable):
            asking.verify(token)
        with pytest.raises(FetchFailed) as failed:
            issuer.token(scopes=["read"], audience=ORDERS)
        assert failed.value.problem is FetchProblem.CONNECTION
    assert find_reason(local, token) is None


@pytest.mark.proves("V2", "F7")
def test_without_its_database_nothing_is_known(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS)
    asking = open_verifier(issuer, "introspection")
    with issuer.without_database():
        with pytest.raises(Unavailable):
            asking.verify(token)
        with pytest.raises(Unavailable):
            issuer.perform("client.list")
    assert issuer.introspect(token, audience=ORDERS)["active"] is True


@pytest.mark.proves("A3", "C124")
def test_a_token_source_fetches_from_it(issuer: Issuer) -> None:
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    source = TokenSource(
        issuer=issuer.url,
        credentials=issuer.credentials("shop"),
        transport=issuer.transport,
        clock=issuer.clock,
    )
    token = source.token(resource=ORDERS)
    assert source.token(resource=ORDERS) == token
    assert issuer.transport.requests.count(("POST", "/token")) == 1
    assert open_verifier(issuer, "local").verify(token).client_id == "shop"


def test_what_a_test_adds_is_left_as_it_is(issuer: Issuer) -> None:
    issuer.add_resource(ORDERS, ["read", "write"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    for scopes, client_id in ((["write"], "shop"), (["other"], "anyone")):
        with pytest.raises((TokenRefused, OperationRefused)):
            issuer.token(scopes=scopes, audience=ORDERS, client_id=client_id)
    assert issuer.token(scopes=["write"], audience=ORDERS, client_id="fresh")


def test_what_it_made_grows_with_what_tokens_need(issuer: Issuer) -> None:
    for scopes in (["read"], ["write"], ["read", "write"]):
        for audience in (ORDERS, "https://payments.test"):
            token = issuer.token(scopes=scopes, audience=audience)
            told = issuer.introspect(token, audience=audience)
            assert told["scope"].split(" ") == scopes


def test_an_opaque_token_is_introspected(issuer: Issuer) -> None:
    issuer.add_resource(ORDERS, ["read"], token_format="opaque")
    token = issuer.token(scopes=["read"], audience=ORDERS)
    assert open_verifier(issuer, "introspection").verify(token).scopes == {"read"}


def test_unknown_names_are_errors(issuer: Issuer) -> None:
    with pytest.raises(KeyError):
        issuer.credentials("nobody")
    with pytest.raises(KeyError):
        issuer.introspector("https://nowhere.test")
    with pytest.raises(OperationRefused):
        issuer.revoke("junk")
    with pytest.raises(OperationRefused):
        issuer.revoke_client("nobody")
    with pytest.raises(ValueError, match="https"):
        Issuer("http://issuer.example")


@pytest.mark.parametrize("url", ["https://other.test", "https://issuer.test:8443", "http://[::1]"])
def test_the_transport_leads_to_no_other_host(issuer: Issuer, url: str) -> None:
    with pytest.raises(FetchFailed):
        issuer.transport.send(FetchRequest("GET", url + "/.well-known/jwks.json"))


def test_the_transport_keeps_the_limits_of_a_real_one(issuer: Issuer) -> None:
    address = issuer.url + "/.well-known/jwks.json"
    with pytest.raises(FetchFailed) as failed:
        issuer.transport.send(FetchRequest("GET", address, max_bytes=10))
    assert failed.value.problem is FetchProblem.TOO_LARGE
    with pytest.raises(ValueError, match="https"):
        issuer.transport.send(FetchRequest("GET", "http://issuer.test/"))


def test_it_can_be_anywhere(issuer: Issuer) -> None:
    tenant = Issuer("https://issuer.test/tenant/one", clock=issuer.clock)
    token = tenant.token(scopes=["read"], audience=ORDERS)
    assert find_reason(open_verifier(tenant, "local"), token) is None
    assert find_reason(open_verifier(issuer, "local"), token) is not None


def test_it_is_an_asgi_application_too(issuer: Issuer) -> None:
    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(app=issuer.app)
        async with httpx.AsyncClient(transport=transport, base_url=issuer.url) as client:
            return await client.get("/.well-known/oauth-authorization-server")

    assert asyncio.run(fetch()).json()["issuer"] == issuer.url


def test_it_answers_on_many_threads_and_in_a_loop_at_once(issuer: Issuer) -> None:
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})

    async def ask(make: Callable[[], Awaitable[Any]]) -> list[Any]:
        return await asyncio.gather(*(make() for _ in range(20)))

    def make_token() -> Awaitable[str]:
        return asyncio.to_thread(issuer.token, scopes=["read"], audience=ORDERS, client_id="shop")

    tokens = asyncio.run(ask(make_token))
    assert len(set(tokens)) == 20


def test_secrets_do_not_show() -> None:
    issuer = Issuer()
    issuer.add_client("shop")
    secret = issuer.credentials("shop").secret
    assert secret not in repr(issuer) + repr(issuer.credentials("shop")) + repr(issuer.transport)


def test_a_clock_stands_still_and_its_monotonic_half_never_goes_back() -> None:
    clock = SettableClock(100)
    clock.move(5)
    clock.move(-50)
    assert (clock.now(), clock.monotonic()) == (55, 5)
    clock.move_to(60.5)
    assert (clock.now(), clock.monotonic()) == (60.5, 10.5)
    assert repr(clock) == "SettableClock(60.5)"


def test_importing_the_package_imports_no_server() -> None:
    code = (
        "import sys, dojang.testing, dojang.testing.plugin\n"
        "print([name for name in sys.modules if name.startswith('dojang.') "
        "and not name.startswith('dojang.testing')], 'msgspec' in sys.modules)"
    )
    said = run_process([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[] False\n"
