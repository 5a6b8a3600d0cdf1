"""Local verification through `LocalVerifier`, against a real issuer on a socket."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from dojang.clock import SYSTEM_CLOCK
from dojang.fetch import FetchRequest, FetchResponse, HttpTransport
from dojang.jose.keys import KeySet, SigningKey
from dojang.oauth.errors import Unavailable
from dojang.resource import (
    Expect,
    FixedKeys,
    Identity,
    LocalVerifier,
    Refusal,
    RefusalReason,
    RemoteKeys,
    VerifiedToken,
)
from dojang.testing import SettableClock
from tests.origin import Answer, Origin, WireIssuer, answer_json

AUDIENCE = "https://orders.example"

Verify = Callable[[LocalVerifier, str], VerifiedToken]


def verify_blocking(verifier: LocalVerifier, token: str) -> VerifiedToken:
    return verifier.verify(token)


def verify_async(verifier: LocalVerifier, token: str) -> VerifiedToken:
    return asyncio.run(verifier.verify_async(token))


def verify_again(verifier: LocalVerifier, token: str) -> VerifiedToken:
    """The second time, from the cache of proven signatures."""
    with suppress(Refusal):
        verifier.verify(token)
    return verifier.verify(token)


@pytest.fixture(params=[verify_blocking, verify_async, verify_again])
def verify(request: pytest.FixtureRequest) -> Verify:
    chosen: Verify = request.param
    return chosen


def expect(served: WireIssuer, /, **changes: Any) -> Expect:
    settings: dict[str, Any] = {
        "issuer": served.url,
        "audience": AUDIENCE,
        "algorithms": ["ES256"],
    }
    return Expect(**settings | changes)


@pytest.fixture
def verifier(issuer: WireIssuer) -> LocalVerifier:
    return LocalVerifier(expect(issuer))


def reason_of(call: Callable[[], object]) -> RefusalReason:
    with pytest.raises(Refusal) as refusal:
        call()
    return refusal.value.reason


@pytest.mark.proves("V1", "C66", "C69")
def test_a_good_token_gives_its_claims(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify
) -> None:
    extra: dict[str, Any] = {
        "roles": ["clerk"],
        "auth_time": 17,
        "acr": "mfa",
        "nest": {"list": [1]},
    }
    raw = issuer.token(scope="orders:read orders:write", sub="alice", client_id="shop", **extra)
    token = verify(verifier, raw)
    assert token.identity == Identity(issuer.url, "alice") == (token.issuer, token.subject)
    assert (token.client_id, token.audience) == ("shop", (AUDIENCE,))
    assert token.scopes == {"orders:read", "orders:write"}
    assert token.roles == {"clerk"}
    assert (token.auth_time, token.acr) == (17, "mfa")
    assert token.token_id == token.claims["jti"]
    assert (token.issued_at, token.expires_at) == (token.claims["iat"], token.claims["exp"])
    assert raw not in repr(token)


@pytest.mark.proves("C69")
def test_the_same_subject_of_another_issuer_is_somebody_else(issuer: WireIssuer) -> None:
    with WireIssuer() as other:
        mine, theirs = (
            LocalVerifier(expect(each)).verify(each.token(sub="alice")) for each in (issuer, other)
        )
    assert mine.subject == theirs.subject
    assert mine.identity != theirs.identity


@pytest.mark.parametrize(
    "change",
    [
        lambda token: setattr(token, "subject", "root"),
        lambda token: setattr(token, "scopes", frozenset({"admin"})),
        lambda token: token.claims.update(sub="root"),
        lambda token: token.claims["nest"].update(a=1),
        lambda token: token.claims["list"].append(1),
        lambda token: delattr(token, "client_id"),
    ],
)
def test_a_verified_token_cannot_be_changed(
    issuer: WireIssuer, verifier: LocalVerifier, change: Callable[[VerifiedToken], None]
) -> None:
    token = verifier.verify(issuer.token(nest={}, list=[]))
    with pytest.raises((AttributeError, TypeError)):
        change(token)


@pytest.mark.proves("C13")
@pytest.mark.parametrize("other", ["https://other.example", "slash", "case", ""])
def test_the_issuer_is_compared_letter_by_letter(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify, other: str
) -> None:
    changed = {"slash": issuer.url + "/", "case": issuer.url.replace("http", "HTTP")}
    token = issuer.token(iss=changed.get(other, other))
    wanted = RefusalReason.WRONG_ISSUER if other else RefusalReason.BAD_CLAIM
    assert reason_of(lambda: verify(verifier, token)) is wanted


@pytest.mark.proves("C13")
def test_keys_of_one_issuer_do_not_serve_another(issuer: WireIssuer) -> None:
    with pytest.raises(ValueError, match="another issuer"):
        LocalVerifier(expect(issuer), keys=RemoteKeys("https://other.example"))
    verifier = LocalVerifier(expect(issuer), keys=RemoteKeys(issuer.url))
    with pytest.raises(ValueError, match="another issuer"):
        verifier.expect = expect(issuer, issuer="https://other.example")


@pytest.mark.proves("C14")
@pytest.mark.parametrize(
    "audience, reason",
    [
        ("https://payments.example", RefusalReason.WRONG_AUDIENCE),
        (["https://payments.example"], RefusalReason.WRONG_AUDIENCE),
        (AUDIENCE + "/", RefusalReason.WRONG_AUDIENCE),
        ("", RefusalReason.WRONG_AUDIENCE),
        ([], RefusalReason.BAD_CLAIM),
        ([AUDIENCE, 1], RefusalReason.BAD_CLAIM),
        ({AUDIENCE: True}, RefusalReason.BAD_CLAIM),
        (7, RefusalReason.BAD_CLAIM),
        (None, RefusalReason.BAD_CLAIM),
    ],
)
def test_the_audience_names_this_service(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify, audience: Any, reason: str
) -> None:
    token = issuer.token(aud=audience)
    assert reason_of(lambda: verify(verifier, token)) is reason


@pytest.mark.proves("C14")
def test_one_of_several_audiences_is_enough(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify
) -> None:
    token = verify(verifier, issuer.token(aud=["https://payments.example", AUDIENCE]))
    assert token.audience == ("https://payments.example", AUDIENCE)


@pytest.mark.proves("C15", "C66", "C67")
@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "id_token", None, "at+jwt2"])
def test_the_type_is_that_of_an_access_token(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify, typ: str | None
) -> None:
    token = issuer.token(typ=typ)
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.TYPE_NOT_ALLOWED


@pytest.mark.proves("C15")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_may_be_written_in_full(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify, typ: str
) -> None:
    assert verify(verifier, issuer.token(typ=typ)).subject == "machine"


@pytest.mark.proves("C67")
def test_an_id_token_is_no_access_token(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify
) -> None:
    token = issuer.token(typ="JWT", aud="shop", nonce="n", client_id=None, scope=None)
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.TYPE_NOT_ALLOWED


@pytest.mark.proves("C66", "C12")
@pytest.mark.parametrize(
    "changes",
    [{name: None} for name in ("iss", "sub", "aud", "client_id", "exp", "iat", "jti")]
    + [{name: ""} for name in ("iss", "sub", "client_id", "jti")]
    + [{name: 7} for name in ("iss", "sub", "client_id", "jti", "scope")]
    + [{name: wrong} for name in ("exp", "iat", "nbf") for wrong in ("9999999999", True, [1])],
    ids=str,
)
def test_the_claims_of_the_profile_are_there_and_right(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify, changes: dict[str, Any]
) -> None:
    token = issuer.token(**changes)
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.BAD_CLAIM


@pytest.mark.proves("C12", "V1")
@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"exp": -5}, RefusalReason.EXPIRED),
        ({"exp": -4}, None),
        ({"nbf": 6}, RefusalReason.NOT_YET_VALID),
        ({"nbf": 5}, None),
        ({"iat": 6}, RefusalReason.NOT_YET_VALID),
        ({"iat": 5}, None),
        ({"nbf": -10, "iat": 6}, RefusalReason.NOT_YET_VALID),
    ],
    ids=str,
)
def test_times_count_within_the_leeway(
    issuer: WireIssuer, verify: Verify, changes: dict[str, int], reason: RefusalReason | None
) -> None:
    now = int(time.time())
    verifier = LocalVerifier(expect(issuer), clock=SettableClock(now))
    times: dict[str, Any] = {name: now + offset for name, offset in changes.items()}
    token = issuer.token(**times)
    if reason is None:
        verify(verifier, token)
    else:
        assert reason_of(lambda: verify(verifier, token)) is reason


@pytest.mark.proves("V1", "C12")
def test_a_known_token_is_still_checked_against_the_time(issuer: WireIssuer) -> None:
    clock = SettableClock()
    verifier = LocalVerifier(expect(issuer), clock=clock)
    token = issuer.token(nbf=int(clock.now()) - 10)
    verifier.verify(token)
    clock.move(606)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.EXPIRED
    clock.move(-606)
    verifier.verify(token)
    clock.move(-60)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.NOT_YET_VALID


@pytest.mark.proves("V1")
@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"audience": "https://payments.example"}, RefusalReason.WRONG_AUDIENCE),
        ({"algorithms": ["RS256"]}, RefusalReason.ALGORITHM_NOT_ALLOWED),
        ({"typ": "JWT"}, RefusalReason.TYPE_NOT_ALLOWED),
    ],
    ids=str,
)
def test_a_known_token_is_forgotten_with_another_expectation(
    issuer: WireIssuer, verifier: LocalVerifier, changes: dict[str, Any], reason: RefusalReason
) -> None:
    token = issuer.token()
    verifier.verify(token)
    verifier.expect = expect(issuer, **changes)
    assert reason_of(lambda: verifier.verify(token)) is reason


@pytest.mark.proves("V1", "C97")
def test_a_known_token_is_forgotten_with_other_keys(issuer: WireIssuer) -> None:
    clock = SettableClock()
    verifier = LocalVerifier(expect(issuer), keys=RemoteKeys(issuer.url, clock=clock), clock=clock)
    token = issuer.token(exp=int(clock.now()) + 9999)
    verifier.verify(token)
    issuer.published = [SigningKey.generate("ES256")]
    clock.move(700)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.UNKNOWN_KEY


def test_the_cache_is_bounded_and_keeps_what_is_used(issuer: WireIssuer) -> None:
    verifier = LocalVerifier(expect(issuer), known_tokens=8)
    used = issuer.token()
    for _ in range(40):
        verifier.verify(used)
        verifier.verify(issuer.token())
        assert verifier._admission is not None
        assert len(verifier._admission.known) <= 4
        assert len(verifier._admission._old) <= 4
    before = verifier.verify(used)
    assert verifier.verify(used) is before


def test_refused_tokens_are_not_kept(issuer: WireIssuer, verifier: LocalVerifier) -> None:
    wrong: tuple[dict[str, Any], ...] = ({"aud": "x"}, {"exp": 1}, {"iss": "https://x.example"})
    for changes in wrong:
        with pytest.raises(Refusal):
            verifier.verify(issuer.token(**changes))
    assert verifier._admission is not None
    assert not verifier._admission.known


def test_a_bound_token_is_not_a_bearer_token(
    issuer: WireIssuer, verifier: LocalVerifier, verify: Verify
) -> None:
    token = issuer.token(cnf={"jkt": "x"})
    assert reason_of(lambda: verify(verifier, token)) is RefusalReason.BOUND_TOKEN


JUNK = ["", ".", "..", "a.b.c", "é", "x" * 100_000, "eyJhbGciOiJub25lIn0.e30.", "\x00"]


@pytest.mark.proves("C22", "V1")
@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_is_refused_without_being_quoted(
    verifier: LocalVerifier, verify: Verify, junk: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        verify(verifier, junk)
    assert refusal.value.status == 401
    assert not junk or len(junk) < 3 or junk not in repr(refusal.value)


class Recording:
    """A transport that notes what is asked for."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._transport = HttpTransport()

    def send(self, request: FetchRequest) -> FetchResponse:
        self.urls.append(request.url)
        return self._transport.send(request)


@pytest.mark.proves("C21", "C5", "V1")
def test_nothing_is_fetched_from_where_a_token_says(issuer: WireIssuer) -> None:
    attacker = SigningKey.generate("ES256")
    with Origin() as elsewhere:
        elsewhere.answers["/jwks"] = lambda _: answer_json({"keys": [attacker.public_jwk()]})
        address = f"{elsewhere.url}/jwks"
        transport = Recording()
        keys = RemoteKeys(issuer.url, transport=transport)
        verifier = LocalVerifier(expect(issuer), keys=keys)
        headers: tuple[dict[str, Any], ...] = (
            {"jku": address},
            {"x5u": address},
            {"jwk": attacker.public_jwk()},
        )
        tokens = [issuer.token(key=attacker, header=each, iss=elsewhere.url) for each in headers]
        for token in tokens:
            with pytest.raises(Refusal) as refusal:
                verifier.verify(token)
            assert refusal.value.reason is RefusalReason.UNKNOWN_KEY
        verifier.verify(issuer.token(header={"jku": address}))
        assert not elsewhere.requests
    assert set(transport.urls) == {issuer.url + issuer.METADATA, issuer.url + "/jwks"}


@pytest.mark.proves("V1")
def test_a_warm_request_asks_nobody(issuer: WireIssuer, verifier: LocalVerifier) -> None:
    verifier.verify(issuer.token())
    before = len(issuer.requests)
    for _ in range(100):
        verifier.verify(issuer.token())
    assert len(issuer.requests) == before


@pytest.mark.proves("F3", "V1", "K2")
def test_a_new_key_is_fetched_when_a_token_names_it(issuer: WireIssuer, verify: Verify) -> None:
    clock = SettableClock()
    verifier = LocalVerifier(expect(issuer), keys=RemoteKeys(issuer.url, clock=clock), clock=clock)
    verify(verifier, issuer.token())
    new = SigningKey.generate("ES256")
    issuer.published.append(new)
    clock.move(31)
    verify(verifier, issuer.token(key=new))
    assert issuer.count("/jwks") == 2


@pytest.mark.proves("V1", "F1")
def test_an_unknown_key_is_401_after_a_good_refresh_and_503_after_a_failed_one(
    issuer: WireIssuer, verify: Verify
) -> None:
    clock = SettableClock()
    verifier = LocalVerifier(expect(issuer), keys=RemoteKeys(issuer.url, clock=clock), clock=clock)
    good = issuer.token()
    verify(verifier, good)
    stranger = issuer.token(key=SigningKey.generate("ES256"))
    clock.move(31)
    assert reason_of(lambda: verify(verifier, stranger)) is RefusalReason.UNKNOWN_KEY
    issuer.answers["/jwks"] = lambda _: Answer(500)
    clock.move(31)
    for _ in range(2):
        with pytest.raises(Unavailable):
            verify(verifier, stranger)
    assert verify(verifier, good).subject == "machine"


@pytest.mark.proves("F1")
def test_without_keys_it_is_not_ready_and_says_so(issuer: WireIssuer, verify: Verify) -> None:
    issuer.answers["/jwks"] = lambda _: Answer(500)
    clock = SettableClock()
    verifier = LocalVerifier(expect(issuer), keys=RemoteKeys(issuer.url, clock=clock), clock=clock)
    assert not verifier.ready()
    token = issuer.token()
    with pytest.raises(Unavailable) as failure:
        verify(verifier, token)
    assert failure.value.retry_after >= 1
    issuer.answers["/jwks"] = lambda _: answer_json(issuer.jwks())
    clock.move(60)
    verify(verifier, token)
    assert verifier.ready()


def test_waiting_for_keys_does_not_block_the_loop(issuer: WireIssuer) -> None:
    verifier = LocalVerifier(expect(issuer))
    token = issuer.token()
    turns = 0

    def answer_late(_: object) -> Answer:
        time.sleep(0.2)
        return answer_json(issuer.jwks())

    async def count_turns() -> VerifiedToken:
        nonlocal turns
        issuer.answers["/jwks"] = answer_late
        verifying = asyncio.create_task(verifier.verify_async(token))
        while not verifying.done():
            await asyncio.sleep(0.01)
            turns += 1
        return verifying.result()

    assert asyncio.run(count_turns()).subject == "machine"
    assert turns > 3


@pytest.mark.proves("V3")
def test_staleness_is_more_than_it_can_promise(issuer: WireIssuer, verifier: LocalVerifier) -> None:
    token = issuer.token()
    verifier.verify(token)
    with pytest.raises(ValueError, match="revocation"):
        verifier.verify(token, staleness=0)


def test_keys_given_by_hand_serve_also_without_a_network() -> None:
    key = SigningKey.generate("EdDSA")
    keys = FixedKeys(KeySet([key.verifying_key()]))
    issuer = WireIssuer()
    verifier = LocalVerifier(expect(issuer, algorithms=["EdDSA"]), keys=keys, clock=SYSTEM_CLOCK)
    assert verifier.ready()
    assert verifier.verify(issuer.token(key=key)).subject == "machine"
    stranger = SigningKey.generate("EdDSA")
    token = issuer.token(key=stranger)
    assert reason_of(lambda: verifier.verify(token)) is RefusalReason.UNKNOWN_KEY
    issuer._server.server_close()


@pytest.mark.proves("C1", "C12", "C14", "C119")
@pytest.mark.parametrize(
    "changes",
    [
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": "ES256"},
        {"algorithms": ["ES256", "HS256"]},
        {"audience": ""},
        {"issuer": ""},
        {"issuer": "http://issuer.example"},
        {"issuer": "https://issuer.example?x=1"},
        {"typ": ""},
        {"leeway": 61},
        {"leeway": -1},
    ],
    ids=str,
)
def test_an_expectation_says_what_only_the_service_knows(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "issuer": "https://issuer.example",
        "audience": AUDIENCE,
        "algorithms": ["ES256"],
    }
    Expect(**good)
    with pytest.raises(ValueError):
        Expect(**{**good, **changes})


@pytest.mark.parametrize("missing", ["issuer", "audience", "algorithms"])
def test_nothing_of_an_expectation_has_a_default(missing: str) -> None:
    good: dict[str, Any] = {
        "issuer": "https://issuer.example",
        "audience": AUDIENCE,
        "algorithms": ["ES256"],
    }
    del good[missing]
    with pytest.raises(TypeError):
        Expect(**good)
