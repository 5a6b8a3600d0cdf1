"""Verification by asking the issuer, alone and after a local check."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dojang.client import TokenSource
from dojang.jose.keys import SigningKey
from dojang.oauth.errors import Unavailable
from dojang.resource import (
    ClientSecretBasic,
    ClientSecretPost,
    Expect,
    HybridVerifier,
    IntrospectionVerifier,
    LocalVerifier,
    PrivateKeyJwt,
    Refusal,
    RefusalReason,
    VerifiedToken,
)
from dojang.testing import SettableClock
from tests.origin import Answer, WireIssuer, answer_json

AUDIENCE = "https://orders.example"
CREDENTIALS = ClientSecretBasic("orders", "s3cr%t:&")

Verify = Callable[[IntrospectionVerifier | HybridVerifier, str], VerifiedToken]


def verify_blocking(verifier: IntrospectionVerifier | HybridVerifier, token: str) -> VerifiedToken:
    return verifier.verify(token)


def verify_async(verifier: IntrospectionVerifier | HybridVerifier, token: str) -> VerifiedToken:
    return asyncio.run(verifier.verify_async(token))


@pytest.fixture(params=[verify_blocking, verify_async])
def verify(request: pytest.FixtureRequest) -> Verify:
    chosen: Verify = request.param
    return chosen


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def expect(served: WireIssuer, /) -> Expect:
    return Expect(issuer=served.url, audience=AUDIENCE, algorithms=["ES256"])


def build(served: WireIssuer, /, **settings: Any) -> IntrospectionVerifier:
    settings.setdefault("credentials", None if "source" in settings else CREDENTIALS)
    return IntrospectionVerifier(expect(served), timeout=5, **settings)


def refused(call: Callable[[], object]) -> RefusalReason:
    with pytest.raises(Refusal) as refusal:
        call()
    return refusal.value.reason


@pytest.mark.proves("V2")
def test_an_active_answer_gives_the_same_token_as_a_local_check(
    issuer: WireIssuer, verify: Verify
) -> None:
    claims: dict[str, Any] = {"scope": "orders:read orders:write", "roles": ["clerk"]}
    token = verify(build(issuer), issuer.opaque("opaque", **claims))
    same = LocalVerifier(expect(issuer)).verify(issuer.token(**claims))
    assert token.scopes == same.scopes == {"orders:read", "orders:write"}
    assert (token.identity, token.client_id, token.audience, token.roles) == (
        same.identity,
        same.client_id,
        same.audience,
        same.roles,
    )
    (asked,) = (each for each in issuer.requests if each.path == "/introspect")
    assert asked.form == {"token": "opaque", "token_type_hint": "access_token"}
    assert asked.basic == "orders:s3cr%25t%3A%26"


@pytest.mark.proves("V2")
def test_callers_prove_themselves_by_every_method(issuer: WireIssuer, verify: Verify) -> None:
    key = SigningKey.generate("ES256")
    issuer.opaque()
    for credentials in (ClientSecretPost("orders", "secret"), PrivateKeyJwt("orders", key)):
        verify(build(issuer, credentials=credentials), "opaque")
    posted, asserted = (each.form for each in issuer.requests if each.path == "/introspect")
    assert (posted["client_id"], posted["client_secret"]) == ("orders", "secret")
    assert asserted["client_id"] == "orders"
    assert asserted["client_assertion_type"].endswith("jwt-bearer")


@pytest.mark.proves("V2")
def test_a_caller_may_use_a_token_of_scope_introspect(issuer: WireIssuer, verify: Verify) -> None:
    source = TokenSource(issuer=issuer.url, credentials=CREDENTIALS)
    audience = f"{issuer.url}/introspect"
    verifier = build(issuer, source=source.bind(resource=audience, scope="introspect"))
    verify(verifier, issuer.opaque())
    (asked,) = (each for each in issuer.requests if each.path == "/introspect")
    assert asked.headers["authorization"].startswith("Bearer ey")
    (token_request,) = (each for each in issuer.requests if each.path == "/token")
    assert (token_request.form["resource"], token_request.form["scope"]) == (audience, "introspect")


@pytest.mark.parametrize("settings", [{}, {"credentials": CREDENTIALS, "source": "source"}])
def test_the_caller_proves_itself_in_one_way(issuer: WireIssuer, settings: Any) -> None:
    with pytest.raises(ValueError, match="one of them"):
        IntrospectionVerifier(expect(issuer), **settings)


@pytest.mark.proves("V2", "C13", "C14", "C12")
@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"iss": "https://other.example"}, RefusalReason.WRONG_ISSUER),
        ({"aud": "https://payments.example"}, RefusalReason.WRONG_AUDIENCE),
        ({"aud": None}, RefusalReason.BAD_CLAIM),
        ({"iss": None}, RefusalReason.BAD_CLAIM),
        ({"sub": None}, RefusalReason.BAD_CLAIM),
        ({"exp": None}, RefusalReason.BAD_CLAIM),
        ({"exp": "9999999999"}, RefusalReason.BAD_CLAIM),
        ({"exp": 1}, RefusalReason.EXPIRED),
        ({"nbf": 9999999999}, RefusalReason.NOT_YET_VALID),
        ({"cnf": {"jkt": "x"}}, RefusalReason.BOUND_TOKEN),
    ],
    ids=str,
)
def test_an_active_answer_is_held_to_the_same_expectation(
    issuer: WireIssuer, verify: Verify, changes: dict[str, Any], reason: RefusalReason
) -> None:
    token = issuer.opaque("opaque", **changes)
    assert refused(lambda: verify(build(issuer, keep=30), token)) is reason


def test_an_answer_may_leave_out_what_the_standard_lets_it(
    issuer: WireIssuer, verify: Verify
) -> None:
    token = verify(build(issuer), issuer.opaque("opaque", jti=None, iat=None))
    assert (token.token_id, token.issued_at) == (None, None)


@pytest.mark.proves("V2")
def test_an_inactive_token_is_refused(issuer: WireIssuer, verify: Verify) -> None:
    assert refused(lambda: verify(build(issuer), "unknown")) is RefusalReason.INACTIVE


@pytest.mark.proves("V2", "F5")
@pytest.mark.parametrize(
    "answer",
    [
        answer_json({}),
        answer_json({"active": "true"}),
        answer_json({"active": 1}),
        answer_json({"active": "false"}),
        answer_json({"active": None}),
        answer_json([True]),
        Answer(200, b"<html>"),
        Answer(200, b""),
        Answer(400, b'{"active": false}'),
        Answer(401, b'{"active": false}'),
        Answer(403, b'{"active": false}'),
        Answer(404),
        Answer(429),
        Answer(500, b'{"active": false}'),
        Answer(503),
        Answer(302, b"", (("location", "/elsewhere"),)),
        Answer(200, b"{" + b" " * 10_000_000 + b"}"),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:20]!r}",
)
def test_unknown_is_unavailable_and_never_inactive(
    issuer: WireIssuer, verify: Verify, answer: Answer
) -> None:
    issuer.answers["/introspect"] = lambda _: answer
    with pytest.raises(Unavailable):
        verify(build(issuer), "opaque")


@pytest.mark.proves("C88", "V2")
def test_nothing_is_kept_unless_asked_for(issuer: WireIssuer, verify: Verify) -> None:
    verifier = build(issuer)
    token = issuer.opaque()
    for _ in range(3):
        verify(verifier, token)
    assert issuer.count("/introspect") == 3
    issuer.states.clear()
    assert refused(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("C88", "V2")
def test_a_good_answer_is_kept_for_its_time_and_no_longer(
    issuer: WireIssuer, verify: Verify, clock: SettableClock
) -> None:
    verifier = build(issuer, keep=10, clock=clock)
    token = issuer.opaque()
    verify(verifier, token)
    clock.move(9.9)
    verify(verifier, token)
    assert issuer.count("/introspect") == 1
    clock.move(0.2)
    issuer.states.clear()
    assert refused(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("C88")
def test_a_good_answer_does_not_outlive_its_token(
    issuer: WireIssuer, verify: Verify, clock: SettableClock
) -> None:
    verifier = build(issuer, keep=30, clock=clock)
    token = issuer.opaque("opaque", exp=int(clock.now()) + 10)
    verify(verifier, token)
    clock.move(10)
    issuer.states.clear()
    assert refused(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("C88")
def test_a_bad_answer_is_kept_five_seconds(
    issuer: WireIssuer, verify: Verify, clock: SettableClock
) -> None:
    verifier = build(issuer, clock=clock)
    for _ in range(3):
        assert refused(lambda: verify(verifier, "opaque")) is RefusalReason.INACTIVE
    assert issuer.count("/introspect") == 1
    clock.move(5)
    issuer.opaque()
    verify(verifier, "opaque")


@pytest.mark.proves("C88")
@pytest.mark.parametrize("settings", [{"keep": 31}, {"keep": -1}, {"keep_refused": 6}])
def test_answers_cannot_be_kept_for_long(issuer: WireIssuer, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="answer is kept"):
        build(issuer, **settings)


@pytest.mark.proves("C88", "V3")
def test_a_route_may_want_it_fresher(
    issuer: WireIssuer, verify: Verify, clock: SettableClock
) -> None:
    verifier = build(issuer, keep=10, clock=clock)
    token = issuer.opaque()
    verify(verifier, token)
    clock.move(3)
    issuer.states.clear()
    assert verifier.verify(token, staleness=5).subject == "machine"
    assert refused(lambda: verifier.verify(token, staleness=2)) is RefusalReason.INACTIVE
    # What is known to be revoked is revoked for all.
    assert refused(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("C88")
def test_junk_drives_out_no_good_answer(issuer: WireIssuer, clock: SettableClock) -> None:
    verifier = build(issuer, keep=10, clock=clock, known_tokens=8)
    token = issuer.opaque()
    verifier.verify(token)
    for number in range(50):
        refused(lambda number=number: verifier.verify(f"junk{number}"))  # type: ignore[misc]
    before = issuer.count("/introspect")
    verifier.verify(token)
    assert issuer.count("/introspect") == before


@pytest.mark.proves("C117", "C22")
def test_the_cache_and_its_owner_hold_no_token(issuer: WireIssuer) -> None:
    verifier = build(issuer, keep=10)
    verifier.verify(issuer.opaque("canary-token"))
    keys = [*verifier._answers._taken._young]
    assert len(keys) == 1
    assert keys[0] != b"canary-token"
    assert len(keys[0]) == 32
    assert "canary" not in repr(verifier) + repr(verifier.verify("canary-token"))
    assert "s3cr" not in repr(CREDENTIALS)


@pytest.mark.proves("C125", "C21")
def test_credentials_go_to_no_other_host(issuer: WireIssuer, verify: Verify) -> None:
    with WireIssuer() as elsewhere:
        document = {**issuer.metadata(), "introspection_endpoint": elsewhere.url + "/introspect"}
        issuer.answers[issuer.METADATA] = lambda _: answer_json(document)
        with pytest.raises(Unavailable):
            verify(build(issuer), "opaque")
        assert not elsewhere.requests


def hybrid(served: WireIssuer, /, **settings: Any) -> HybridVerifier:
    local = LocalVerifier(expect(served))
    return HybridVerifier(local=local, introspection=build(served, **settings))


@pytest.mark.proves("V3")
def test_hybrid_asks_about_every_token_by_default(issuer: WireIssuer, verify: Verify) -> None:
    verifier = hybrid(issuer)
    token = issuer.token()
    issuer.states[token] = {"active": True, **issuer.claims()}
    verify(verifier, token)
    verify(verifier, token)
    assert issuer.count("/introspect") == 2
    issuer.states.clear()
    assert refused(lambda: verify(verifier, token)) is RefusalReason.INACTIVE


@pytest.mark.proves("V3")
def test_hybrid_sends_the_issuer_no_junk(issuer: WireIssuer, verify: Verify) -> None:
    verifier = hybrid(issuer)
    stranger = SigningKey.generate("ES256")
    for junk in (
        "junk",
        issuer.token(key=stranger),
        issuer.token(aud="other"),
        issuer.token(exp=1),
    ):
        with pytest.raises(Refusal):
            verify(verifier, junk)
    assert issuer.count("/introspect") == 0


@pytest.mark.proves("V3", "F5")
def test_hybrid_is_unavailable_when_the_issuer_is(issuer: WireIssuer, verify: Verify) -> None:
    verifier = hybrid(issuer)
    token = issuer.token()
    issuer.answers["/introspect"] = lambda _: Answer(500)
    with pytest.raises(Unavailable):
        verify(verifier, token)


def test_hybrid_expects_one_thing(issuer: WireIssuer) -> None:
    other = Expect(issuer=issuer.url, audience="https://payments.example", algorithms=["ES256"])
    with pytest.raises(ValueError, match="the same"):
        HybridVerifier(local=LocalVerifier(other), introspection=build(issuer))
