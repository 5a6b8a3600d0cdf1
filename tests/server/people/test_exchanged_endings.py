"""Whatever ends the token that another was exchanged for ends that other: at the issuer, and at
services that follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dojang.oauth.revocation_fact import FactKind
from dojang.resource import Expect, HybridVerifier, Refusal, RefusalReason
from dojang.server.accounts import Profile
from dojang.server.admin.exchanges import SetExchanges
from dojang.server.administration import OPERATIONS, perform
from dojang.server.ending import plan_fact
from dojang.server.grants import token_exchange
from dojang.server.live_tokens import LiveToken, find_live_token
from dojang.server.model import TokenFormat
from dojang.server.ports import PutClient
from dojang.server.provider import Provider
from dojang.testing.inline import run
from tests.server.front_door import PAYMENTS, basic_of, decode_jwt, post, read, refusal
from tests.server.people.services import LEDGER, SCOPE, Services
from tests.server.people.world import ORDERS, read_claims

INVALID_REQUEST = (400, "invalid_request")


class Chain:
    """A person's token for orders (`first`), what orders made of it for payments, and what payments
    made of that for the ledger; and a chain that a machine began."""

    def __init__(self, token_format: str = "jwt") -> None:
        self.services = services = Services(token_format=token_format)
        self.tokens = services.get_tokens(scope=f"{SCOPE} offline_access", resource=ORDERS)
        self.first: str = self.tokens["access_token"]
        self.second = services.exchange(self.first)
        self.third = services.exchange(self.second, "payments")
        self.of_machine = services.issuer.token(
            scopes=["orders:write"], audience=ORDERS, client_id="shop"
        )
        self.machine_second = services.exchange(self.of_machine)
        self.machine_third = services.exchange(self.machine_second, "payments")
        self.told_first = services.told(self.first, ORDERS)
        self.told_second = services.told(self.second)

    def post_revoke(self, token: str, client_id: str) -> None:
        form, issuer = {"token": token}, self.services.issuer
        assert post(issuer, "/revoke", form, basic_of(issuer, client_id)).status == 200

    def perform(self, operation: str, **parameters: object) -> None:
        self.services.perform(operation, **parameters)

    def revoke_key(self) -> None:
        """The one that made every token here so far."""
        self.perform("keys.revoke", kid=self.told_second["ancestors"][0]["kid"])

    def end_session(self) -> None:
        sessions = self.services.perform("session.list")["sessions"]
        self.perform("session.end", session_id=sessions[0]["session_id"])


End = Callable[[Chain], object]
OF_PERSON: dict[str, End] = {
    "the subject token": lambda chain: chain.post_revoke(chain.first, "app"),
    "the subject token by its id": lambda chain: chain.perform(
        "revoke.token", jti=chain.told_first["jti"]
    ),
    "its refresh token": lambda chain: chain.post_revoke(chain.tokens["refresh_token"], "app"),
    "its grant": lambda chain: chain.perform("revoke.grant", grant=chain.told_first["grant"]),
    "its client": lambda chain: chain.perform("revoke.client", client_id="app"),
    "its client disabled": lambda chain: chain.perform("client.disable", client_id="app"),
    "the account": lambda chain: chain.perform("revoke.account", subject="account-hong"),
    "the account disabled": lambda chain: chain.perform("user.disable", username="hong"),
    "the account removed": lambda chain: chain.perform("user.remove", username="hong"),
    "signed out everywhere": lambda chain: chain.perform("user.sign_out", username="hong"),
}
OF_ALL: dict[str, End] = {
    "the key": Chain.revoke_key,
    "everything": lambda chain: chain.perform("revoke.everything"),
    "the actor": lambda chain: chain.perform("revoke.client", client_id="orders"),
    "the actor disabled": lambda chain: chain.perform("client.disable", client_id="orders"),
    "the rule": lambda chain: chain.perform(
        "client.set_exchanges", client_id="orders", exchanges=()
    ),
    "the grant of the rule": lambda chain: chain.perform(
        "revoke.grant", grant=chain.told_second["grant"]
    ),
}
OF_MACHINE: dict[str, End] = {
    "the subject token": lambda chain: chain.post_revoke(chain.of_machine, "shop"),
    "its client": lambda chain: chain.perform("revoke.client", client_id="shop"),
    "its client disabled": lambda chain: chain.perform("client.disable", client_id="shop"),
    "its subject": lambda chain: chain.perform("revoke.account", subject="shop"),
    "the token between": lambda chain: chain.post_revoke(chain.machine_second, "orders"),
}


@pytest.fixture(params=TokenFormat)
def chain(request: pytest.FixtureRequest) -> Chain:
    return Chain(request.param)


def are_alive(chain: Chain) -> tuple[bool, bool, bool, bool]:
    """Of the person the second and the third token, and of the machine."""
    return (
        chain.services.told(chain.second)["active"],
        chain.services.told(chain.third, LEDGER)["active"],
        chain.services.told(chain.machine_second)["active"],
        chain.services.told(chain.machine_third, LEDGER)["active"],
    )


@pytest.mark.proves("C54", "C87", "K6")
@pytest.mark.parametrize("end", OF_PERSON)
def test_the_issuer_says_so_of_a_person(chain: Chain, end: str) -> None:
    assert are_alive(chain) == (True, True, True, True)
    OF_PERSON[end](chain)
    assert are_alive(chain) == (False, False, True, True)
    assert refusal(chain.services.ask_exchange(chain.first)) == INVALID_REQUEST
    assert refusal(chain.services.ask_exchange(chain.second, "payments")) == INVALID_REQUEST


@pytest.mark.proves("C54", "C87", "K6")
@pytest.mark.parametrize("end", OF_MACHINE)
def test_the_issuer_says_so_of_a_machine(chain: Chain, end: str) -> None:
    OF_MACHINE[end](chain)
    second, third, _, machine_third = are_alive(chain)
    assert (second, third, machine_third) == (True, True, False)
    assert refusal(chain.services.ask_exchange(chain.machine_second, "payments")) == INVALID_REQUEST


@pytest.mark.proves("C54", "C87", "K6")
@pytest.mark.parametrize("end", OF_ALL)
def test_the_issuer_says_so_of_everybody(chain: Chain, end: str) -> None:
    OF_ALL[end](chain)
    for token, audience in (
        (chain.second, PAYMENTS),
        (chain.third, LEDGER),
        (chain.machine_second, PAYMENTS),
        (chain.machine_third, LEDGER),
    ):
        assert chain.services.told(token, audience) == {"active": False}


@pytest.mark.proves("C54", "C87")
def test_a_token_that_was_exchanged_can_be_taken_back_alone(chain: Chain) -> None:
    chain.post_revoke(chain.second, "orders")
    assert are_alive(chain) == (False, False, True, True)
    assert chain.services.told(chain.first, ORDERS)["active"]
    assert chain.services.told(chain.services.exchange(chain.first))["active"]


@pytest.mark.proves("C54")
def test_the_session_ends_what_it_began() -> None:
    services = Services()
    token = services.exchange(services.get_subject())
    (session,) = services.perform("session.list")["sessions"]
    services.perform("session.end", session_id=session["session_id"])
    assert services.told(token) == {"active": False}


@pytest.mark.proves("C54", "K6")
def test_what_came_after_the_end_lives(chain: Chain) -> None:
    """A fact hits what came before it, in the same second too, and nothing else."""
    chain.perform("revoke.client", client_id="app")
    chain.perform("revoke.client", client_id="orders")
    again = chain.services.exchange(chain.services.get_subject())
    assert chain.services.told(again)["active"]
    assert chain.services.told(chain.second) == {"active": False}


@pytest.mark.proves("C54", "C62")
def test_an_account_that_its_application_forgot_gets_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an application keeps the people, its word counts, and not only facts."""

    async def find_nobody(account_id: str) -> Profile | None:
        return None

    monkeypatch.setattr(chain.services.issuer.provider.accounts, "find_profile", find_nobody)
    assert refusal(chain.services.ask_exchange(chain.first)) == INVALID_REQUEST
    assert refusal(chain.services.ask_exchange(chain.second, "payments")) == INVALID_REQUEST
    assert chain.services.exchange(chain.of_machine)


@pytest.mark.proves("C54", "C87")
@pytest.mark.parametrize(
    "client_id, change",
    [
        ("app", {"enabled": False}),
        ("orders", {"enabled": False}),
        ("orders", {"exchanges": ()}),
        ("shop", {"grants": ()}),
    ],
)
def test_the_rows_of_every_link_count(chain: Chain, client_id: str, change: dict[str, Any]) -> None:
    """As in the row of the token's own client, where somebody changed it and wrote no fact."""
    store = chain.services.issuer.provider.store
    client = run(store.find_client(client_id))
    assert client is not None
    changed = replace(client, version=client.version + 1, **change)
    run(store.commit([PutClient(changed)]))
    second, third, machine_second, machine_third = are_alive(chain)
    assert (second, third) == (client_id == "shop",) * 2
    assert (machine_second, machine_third) == (client_id == "app",) * 2


@pytest.mark.proves("C54", "C87")
@pytest.mark.parametrize("first, second", [("jwt", "opaque"), ("opaque", "jwt")])
def test_a_chain_may_be_of_both_formats(first: str, second: str) -> None:
    services = Services(token_format=first)
    issuer = services.issuer
    settings: dict[str, Any] = {"token_format": second}
    issuer.add_resource("urn:other", ["orders:read"], **settings)
    rule = {"resource": "urn:other", "scopes": ("orders:read",)}
    services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    subject = services.get_subject()
    token = services.exchange(subject, audience="urn:other")
    assert (subject.startswith("dojang_at_"), token.startswith("dojang_at_")) == (
        first == "opaque",
        second == "opaque",
    )
    told = services.told(token, "urn:other")
    assert (told["active"], told["sub"]) == (True, "account-hong")
    issuer.revoke(subject)
    assert services.told(token, "urn:other") == {"active": False}


@pytest.mark.proves("C54", "C87", "C97")
@pytest.mark.parametrize("followed", [True, False])
def test_the_key_of_an_ancestor_ends_what_another_key_made(followed: bool) -> None:
    """Who has a key that leaked makes subject tokens: what came of them ends with the key."""
    services = Services()
    issuer = services.issuer
    issuer.add_resource("urn:lasting", ["a"], access_token_lifetime=3600, introspectors=["orders"])
    issuer.add_client("batch", {"urn:lasting": ["a"]})
    rule = {"resource": PAYMENTS, "scopes": ("payments:charge",), "needs": ("a",)}
    services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    subject = issuer.token(scopes=["a"], audience="urn:lasting", client_id="batch")
    leaked = decode_jwt(subject)[0]["kid"]
    issuer.clock.move_to(issuer.rotate_keys())
    token = services.exchange(subject)
    assert decode_jwt(token)[0]["kid"] != leaked
    follower = issuer.follow(PAYMENTS)
    follower.poll()
    expect = Expect(issuer=issuer.url, audience=PAYMENTS, algorithms=["ES256"])
    verifier = issuer.hybrid(PAYMENTS, follow=follower).build(expect)
    verifier.verify(token)
    issuer.revoke_key(leaked)
    if followed:
        follower.poll()
        with pytest.raises(Refusal, match="revoked"):
            verifier.verify(token)
    else:
        assert services.told(token) == {"active": False}
    again = issuer.token(scopes=["a"], audience="urn:lasting", client_id="batch")
    assert services.told(services.exchange(again))["active"]


# --- services that follow the feed ------------------------------------------------------------


class Following:
    """The hybrid strategy of payments and of the ledger, on views that a test brings up to date;
    the issuer is never asked about a token."""

    def __init__(self, chain: Chain) -> None:
        issuer = chain.services.issuer
        self.verifiers: dict[str, HybridVerifier] = {}
        for audience in (PAYMENTS, LEDGER):
            follower = issuer.follow(audience)
            follower.poll()
            expect = Expect(issuer=issuer.url, audience=audience, algorithms=["ES256"])
            self.verifiers[audience] = issuer.hybrid(audience, follow=follower).build(expect)

    def poll(self) -> None:
        for verifier in self.verifiers.values():
            assert verifier.follower is not None
            verifier.follower.poll()
            verifier.follower.poll()  # the first may have ended its lease

    def accepts(self, token: str, audience: str = PAYMENTS) -> bool:
        verifier = self.verifiers[audience]
        try:
            verified = verifier.verify(token)
        except Refusal as refused:
            assert refused.reason in (RefusalReason.REVOKED, RefusalReason.UNKNOWN_KEY)  # noqa: PT017
            return False
        assert verified.actors[0] == verified.client_id
        return True

    def find_accepted(self, chain: Chain) -> tuple[bool, bool, bool, bool]:
        return (
            self.accepts(chain.second),
            self.accepts(chain.third, LEDGER),
            self.accepts(chain.machine_second),
            self.accepts(chain.machine_third, LEDGER),
        )


@pytest.mark.proves("C54", "V3", "K6")
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("end", OF_PERSON | OF_MACHINE | OF_ALL)
def test_every_follower_refuses_it(end: str, warm: bool) -> None:
    chain = Chain()
    following = Following(chain)
    for _ in range(3 * warm):
        assert following.find_accepted(chain) == (True, True, True, True)
    ((OF_PERSON | OF_ALL).get(end) or OF_MACHINE[end])(chain)
    following.poll()
    at_issuer = are_alive_by_all(chain)
    assert following.find_accepted(chain) == at_issuer
    assert False in at_issuer
    for verifier in following.verifiers.values():
        status = verifier.feed_status()
        assert status is not None
        assert status.asked == 0


def are_alive_by_all(chain: Chain) -> tuple[bool, bool, bool, bool]:
    """As `are_alive`; whoever asks may be disabled: the ledger is not."""
    provider, now = chain.services.issuer.provider, chain.services.now
    run(provider.state.reach_barrier())
    tokens = (chain.second, chain.third, chain.machine_second, chain.machine_third)
    second, third, machine_second, machine_third = (
        run(find_live_token(provider, token, now=now)) is not None for token in tokens
    )
    return second, third, machine_second, machine_third


# --- at the same time -------------------------------------------------------------------------


@pytest.mark.proves("C54", "K6")
@pytest.mark.parametrize(
    "kind", [FactKind.TOKEN, FactKind.GRANT, FactKind.CLIENT, FactKind.ACCOUNT]
)
@pytest.mark.parametrize("before_the_check", [True, False])
def test_a_revocation_beside_an_exchange_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, kind: FactKind, before_the_check: bool
) -> None:
    """The position is taken first. What is revoked from then on, seen by the check or not, ends
    what comes of the exchange."""
    services = Services()
    subject = services.get_subject()
    claims = read_claims(subject)
    names = {
        FactKind.TOKEN: claims["jti"],
        FactKind.GRANT: claims["grant"],
        FactKind.CLIENT: "app",
        FactKind.ACCOUNT: claims["sub"],
    }
    fact = plan_fact(kind, names[kind], now=services.now)

    async def find_beside(provider: Provider, token: str, *, now: int) -> LiveToken | None:
        if before_the_check:
            await provider.store.commit([fact])
        live = await find_live_token(provider, token, now=now)
        if not before_the_check:
            await provider.store.commit([fact])
        return live

    monkeypatch.setattr(token_exchange, "find_live_token", find_beside)
    answer = services.ask_exchange(subject)
    monkeypatch.undo()
    if answer.status == 200:
        token = read(answer)["access_token"]
        assert read_claims(token)["rev"] == claims["rev"]
        assert services.told(token) == {"active": False}
    else:
        assert refusal(answer) == INVALID_REQUEST
    assert refusal(services.ask_exchange(subject)) == INVALID_REQUEST


@pytest.mark.proves("C54", "K6")
def test_a_rule_taken_back_beside_an_exchange_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = Services()
    subject = services.get_subject()

    async def find_beside(provider: Provider, token: str, *, now: int) -> LiveToken | None:
        wanted = SetExchanges(client_id="orders", exchanges=())
        await perform(provider, OPERATIONS["client.set_exchanges"], wanted, actor="test")
        return await find_live_token(provider, token, now=now)

    monkeypatch.setattr(token_exchange, "find_live_token", find_beside)
    token = services.exchange(subject)
    monkeypatch.undo()
    assert services.told(token) == {"active": False}
    rule = {"resource": PAYMENTS, "scopes": ("orders:read",)}
    services.perform("client.set_exchanges", client_id="orders", exchanges=(rule,))
    assert services.told(token) == {"active": False}
    assert services.told(services.exchange(subject))["active"]
