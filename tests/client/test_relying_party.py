"""Signing people in at a provider that may lie about everything."""

import asyncio
import hmac
import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dojang.client import (
    Ask,
    Flaw,
    IdTokenRefused,
    LogoutRefused,
    NoTransaction,
    PublicClient,
    SignInDenied,
    SignInRefused,
    TokenRefused,
    Transaction,
    Unavailable,
)
from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.jose.seal import SealKey, SealRing
from dojang.oauth.id_token import build_token_hash
from dojang.oauth.logout_token import EVENT
from dojang.testing import SettableClock
from tests.client.lying_provider import (
    ACCESS_TOKEN,
    CALLBACK,
    CLIENT,
    SECRET,
    Claims,
    LyingProvider,
    make_key,
    make_party,
)


@pytest.fixture
def provider() -> LyingProvider:
    return LyingProvider(clock=SettableClock())


def read_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


@pytest.mark.proves("C121")
def test_somebody_signs_in(provider: LyingProvider) -> None:
    party = make_party(
        provider,
        scopes=("openid", "profile"),
        claims=("name",),
        resource="https://orders.example",
    )
    ask = Ask(
        prompt="login",
        max_age=600,
        acr_values=("urn:a",),
        login_hint="hong",
        ui_locales=("ko", "en"),
    )
    begun = party.begin(ask, note="/orders")
    provider.lie = {"acr": "urn:a"}
    asked = read_query(begun.url)
    assert asked["scope"] == "openid profile"
    assert json.loads(asked["claims"]) == {"id_token": {"name": None}}
    assert (asked["prompt"], asked["max_age"], asked["acr_values"]) == ("login", "600", "urn:a")
    assert (asked["login_hint"], asked["ui_locales"]) == ("hong", "ko en")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, CALLBACK)
    assert asked["resource"] == "https://orders.example"
    signed_in = provider.finish(party, begun)
    assert (signed_in.subject, signed_in.session_id) == ("hong", "session-1")
    assert begun.transaction.note == "/orders"
    tokens = signed_in.tokens
    assert (tokens.access_token, tokens.refresh_token) == (ACCESS_TOKEN, "refresh-1")
    assert tokens.expires_at == provider.clock.now() + 300
    form = provider.forms[-1]
    assert (form["client_secret"], form["resource"]) == (SECRET, "https://orders.example")
    shown = repr((begun, signed_in, party))
    for secret in (asked["state"], asked["nonce"], ACCESS_TOKEN, "refresh-1", SECRET):
        assert secret not in shown


def test_somebody_signs_in_without_blocking(provider: LyingProvider) -> None:
    party = make_party(provider, credentials=PublicClient(CLIENT))

    async def sign_in() -> None:
        begun = await party.begin_async()
        query = provider.visit(begun.url)
        signed_in = await party.finish_async(begun.transaction, query)
        tokens = await party.refresh_async("refresh-1", before=signed_in.claims)
        assert tokens.access_token == ACCESS_TOKEN
        claims = await party.ask_userinfo_async(tokens.access_token, subject="hong")
        assert claims["name"] == "홍길동"
        told = await party.read_logout_token_async(provider.logout_token())
        assert told.session_id == signed_in.session_id
        await party.revoke_async("refresh-1")
        assert await party.find_logout_url_async(return_to=None) is not None

    asyncio.run(sign_in())
    assert provider.forms[0]["client_id"] == CLIENT
    assert provider.forms[-1]["token"] == "refresh-1"


@pytest.mark.proves("C121")
def test_every_transaction_has_secrets_of_its_own(provider: LyingProvider) -> None:
    party = make_party(provider)
    transactions = [party.begin().transaction for _ in range(20)]
    secrets = {each for one in transactions for each in (one.state, one.nonce, one.verifier)}
    assert len(secrets) == 60
    assert min(map(len, secrets)) == 43


@pytest.mark.proves("C121")
def test_a_transaction_is_sealed_for_its_keeper(provider: LyingProvider) -> None:
    ring = SealRing(SealKey.generate())
    begun = make_party(provider).begin(Ask(acr_values=("a",), max_age=3), note="/orders")
    text = begun.transaction.seal(ring)
    assert Transaction.open(text, ring) == begun.transaction
    assert begun.transaction.verifier not in text
    broken = text[:-9] + ("A" if text[-9] != "A" else "B") + text[-8:]
    junk = base64url.encode(ring.seal(b'{"state":1}', b"dojang sign-in transaction"))
    elsewhere = base64url.encode(ring.seal(b"{}", b"another context"))
    for bad in (broken, "", "é", junk, elsewhere):
        with pytest.raises(NoTransaction):
            Transaction.open(bad, ring)
    with pytest.raises(NoTransaction):
        Transaction.open(text, SealRing(SealKey.generate()))


# The answer that the browser brings.

ANSWERS: dict[str, tuple[dict[str, str | None], Flaw]] = {
    "another state": ({"state": "x" * 43}, Flaw.OTHER_TRANSACTION),
    "no state": ({"state": None}, Flaw.OTHER_TRANSACTION),
    "another issuer": ({"iss": "https://evil.example"}, Flaw.OTHER_ISSUER),
    "an issuer but for a slash": ({"iss": "https://op.example/"}, Flaw.OTHER_ISSUER),
    "no issuer": ({"iss": None}, Flaw.NO_ISSUER),
    "an error of no issuer": ({"iss": None, "error": "access_denied"}, Flaw.NO_ISSUER),
    "no code": ({"code": None}, Flaw.NO_CODE),
    "a code that is none": ({"code": "é"}, Flaw.NO_CODE),
}


@pytest.mark.proves("C121", "C122")
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_the_one(provider: LyingProvider, name: str) -> None:
    changes, flaw = ANSWERS[name]
    party = make_party(provider)
    with pytest.raises(SignInRefused) as refused:
        provider.finish(party, party.begin(), **changes)
    assert refused.value.flaw is flaw
    assert provider.count("/token") == 0


@pytest.mark.proves("C122")
def test_the_issuer_is_compared_where_it_need_not_be_said(provider: LyingProvider) -> None:
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": None}
    party = make_party(provider)
    assert provider.finish(party, party.begin(), iss=None).subject == "hong"
    with pytest.raises(SignInRefused) as refused:
        provider.finish(party, party.begin(), iss="https://evil.example")
    assert refused.value.flaw is Flaw.OTHER_ISSUER


@pytest.mark.proves("C122")
def test_metadata_of_another_issuer_begins_nothing(provider: LyingProvider) -> None:
    provider.metadata_changes = {"issuer": "https://evil.example"}
    with pytest.raises(Unavailable):
        make_party(provider).begin()


@pytest.mark.proves("C121", "C122")
def test_the_answer_of_one_provider_does_not_end_a_transaction_at_another() -> None:
    """Mix-up (RFC 9700 §4.4): the person began at the honest one, and the evil one answers."""
    clock = SettableClock()
    honest, evil = (LyingProvider(f"https://{name}.example", clock=clock) for name in "he")
    at_honest, at_evil = make_party(honest), make_party(evil)
    begun, elsewhere = at_honest.begin(), at_evil.begin()
    query = evil.visit(elsewhere.url, state=begun.transaction.state)
    with pytest.raises(SignInRefused) as refused:
        at_honest.finish(begun.transaction, query)
    assert refused.value.flaw is Flaw.OTHER_ISSUER
    with pytest.raises(SignInRefused) as refused:  # and the code of the honest one goes nowhere
        at_evil.finish(begun.transaction, honest.visit(begun.url))
    assert refused.value.flaw is Flaw.OTHER_TRANSACTION
    assert honest.count("/token") == evil.count("/token") == 0


@pytest.mark.proves("C121")
def test_the_answer_of_one_browser_does_not_sign_in_another(provider: LyingProvider) -> None:
    """The attacker's own answer, given to a victim who has begun a sign-in too."""
    party = make_party(provider)
    attacker, victim = party.begin(), party.begin()
    query = provider.visit(attacker.url)
    with pytest.raises(SignInRefused) as refused:
        party.finish(victim.transaction, query)
    assert refused.value.flaw is Flaw.OTHER_TRANSACTION


@pytest.mark.proves("C121")
def test_a_code_of_another_sign_in_is_known_by_its_nonce(provider: LyingProvider) -> None:
    """A stolen code, put into the attacker's own answer: the id_token is about another sign-in."""
    party = make_party(provider)
    provider.lie = {"nonce": party.begin().transaction.nonce}
    with pytest.raises(IdTokenRefused) as refused:
        provider.finish(party, party.begin())
    assert refused.value.flaw is Flaw.WRONG_NONCE


@pytest.mark.proves("C121")
def test_a_transaction_ends_with_time(provider: LyingProvider) -> None:
    party = make_party(provider)
    begun = party.begin()
    provider.clock.move(600)
    with pytest.raises(SignInRefused) as refused:
        provider.finish(party, begun)
    assert refused.value.flaw is Flaw.TRANSACTION_EXPIRED


@pytest.mark.proves("C122")
def test_a_parameter_stands_once(provider: LyingProvider) -> None:
    party = make_party(provider)
    begun = party.begin()
    for more in (b"&iss=https%3A%2F%2Fop.example", b"&state=x", b"&x=%zz", b"&\xff=1"):
        with pytest.raises(SignInRefused) as refused:
            party.finish(begun.transaction, provider.visit(begun.url) + more)
        assert refused.value.flaw is Flaw.MALFORMED_RESPONSE


def test_the_provider_says_no(provider: LyingProvider) -> None:
    party = make_party(provider)
    for error, told in (("access_denied", "access_denied"), ("<script>", "server_error")):
        with pytest.raises(SignInDenied) as denied:
            provider.finish(party, party.begin(), code=None, error=error)
        assert denied.value.error == told


# The id_token.


def sign_none(provider: LyingProvider, claims: Claims) -> str:
    header = base64url.encode(b'{"alg":"none"}')
    return f"{header}.{base64url.encode(json.dumps(claims).encode())}."


def sign_with(algorithm: str, kid: str) -> Any:
    return lambda provider, claims: sign_jwt(
        claims, CompactSigner(make_key(algorithm, kid), typ=None)
    )


def sign_badly(algorithm: str) -> Any:
    """By a key that is another than the published one of its name."""
    other = SigningKey.generate(algorithm, f"{algorithm}-2")
    return lambda provider, claims: sign_jwt(claims, CompactSigner(other, typ=None))


def sign_hs256(provider: LyingProvider, claims: Claims) -> str:
    """With the client's secret, as OpenID Connect Core §10.1 has it."""
    header = base64url.encode(b'{"alg":"HS256","kid":"one"}')
    signed = f"{header}.{base64url.encode(json.dumps(claims).encode())}"
    return f"{signed}.{base64url.encode(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def sign_without_kid(provider: LyingProvider, claims: Claims) -> str:
    raw = sign_jwt(claims, CompactSigner(provider.key, typ=None)).split(".")
    header = base64url.encode(b'{"alg":"ES256"}')
    signature = provider.key.sign(f"{header}.{raw[1]}".encode())
    return f"{header}.{raw[1]}.{base64url.encode(signature)}"


def sign_as(typ: str) -> Any:
    return lambda provider, claims: sign_jwt(claims, CompactSigner(provider.key, typ=typ))


def cut(provider: LyingProvider, claims: Claims) -> str:
    return sign_jwt(claims, CompactSigner(provider.key, typ=None)).rpartition(".")[0]


OTHER_KEYS = ("ES256", "ES384", "RS256")
NOW = "now"  # replaced by the time, plus what follows

LIES: dict[str, tuple[Claims, Any, Flaw]] = {
    "wrong iss": ({"iss": "https://evil.example"}, None, Flaw.WRONG_ISSUER),
    "iss with a slash": ({"iss": "https://op.example/"}, None, Flaw.WRONG_ISSUER),
    "no iss": ({"iss": None}, None, Flaw.MISSING_CLAIM),
    "wrong aud": ({"aud": "other"}, None, Flaw.WRONG_AUDIENCE),
    "aud of others": ({"aud": ["other", "third"]}, None, Flaw.WRONG_AUDIENCE),
    "aud with a stranger": ({"aud": [CLIENT, "other"], "azp": CLIENT}, None, Flaw.WRONG_AUDIENCE),
    "aud of numbers": ({"aud": [CLIENT, 7]}, None, Flaw.BAD_CLAIM),
    "no aud": ({"aud": None}, None, Flaw.MISSING_CLAIM),
    "wrong azp": ({"azp": "other"}, None, Flaw.WRONG_PARTY),
    "no sub": ({"sub": None}, None, Flaw.MISSING_CLAIM),
    "empty sub": ({"sub": ""}, None, Flaw.BAD_CLAIM),
    "a number as sub": ({"sub": 7}, None, Flaw.BAD_CLAIM),
    "long sub": ({"sub": "x" * 256}, None, Flaw.BAD_CLAIM),
    "no iat": ({"iat": None}, None, Flaw.MISSING_CLAIM),
    "iat to come": ({"iat": (NOW, 60)}, None, Flaw.NOT_YET_VALID),
    "a text as iat": ({"iat": "1"}, None, Flaw.BAD_CLAIM),
    "no exp": ({"exp": None}, None, Flaw.MISSING_CLAIM),
    "exp over": ({"exp": (NOW, -60)}, None, Flaw.EXPIRED),
    "nbf to come": ({"nbf": (NOW, 60)}, None, Flaw.NOT_YET_VALID),
    "no nonce": ({"nonce": None}, None, Flaw.WRONG_NONCE),
    "wrong nonce": ({"nonce": "x" * 43}, None, Flaw.WRONG_NONCE),
    "bad at_hash": ({"at_hash": "x" * 22}, None, Flaw.WRONG_ACCESS_TOKEN),
    "at_hash of another size": (
        {"at_hash": build_token_hash(ACCESS_TOKEN, "ES512")},
        None,
        Flaw.WRONG_ACCESS_TOKEN,
    ),
    "a number as at_hash": ({"at_hash": 7}, None, Flaw.WRONG_ACCESS_TOKEN),
    "bad c_hash": ({"c_hash": "x" * 22}, None, Flaw.WRONG_CODE),
    "no auth_time": ({"auth_time": None}, None, Flaw.MISSING_CLAIM),
    "auth_time long ago": ({"auth_time": (NOW, -700)}, None, Flaw.SIGNED_IN_TOO_LONG_AGO),
    "a text as auth_time": ({"auth_time": "1"}, None, Flaw.BAD_CLAIM),
    "no acr": ({"acr": None}, None, Flaw.WRONG_ACR),
    "wrong acr": ({"acr": "urn:weak"}, None, Flaw.WRONG_ACR),
    "none": ({}, sign_none, Flaw.ALGORITHM_NOT_ALLOWED),
    "HS256 with the secret": ({}, sign_hs256, Flaw.ALGORITHM_NOT_ALLOWED),
    "an algorithm that is not pinned": (
        {},
        sign_with("ES384", "ES384-2"),
        Flaw.ALGORITHM_NOT_ALLOWED,
    ),
    "bad signature, ES256": ({}, sign_badly("ES256"), Flaw.BAD_SIGNATURE),
    "bad signature, RS256": ({}, sign_badly("RS256"), Flaw.BAD_SIGNATURE),
    "unknown kid": ({}, sign_with("ES256", "nobody's"), Flaw.UNKNOWN_KEY),
    "no kid and several keys": ({}, sign_without_kid, Flaw.AMBIGUOUS_KEY),
    "the type of an access token": ({}, sign_as("at+jwt"), Flaw.TYPE_NOT_ALLOWED),
    "the type of a logout token": ({}, sign_as("logout+jwt"), Flaw.TYPE_NOT_ALLOWED),
    "no signature": ({}, cut, Flaw.MALFORMED),
    "no token": ({}, lambda *_: "x", Flaw.MALFORMED),
    "nothing": ({}, lambda *_: None, Flaw.NO_ID_TOKEN),
}


def place(value: Any, now: int) -> Any:
    return now + value[1] if isinstance(value, tuple) else value


@pytest.mark.proves("C123")
@pytest.mark.parametrize("name", LIES)
def test_an_id_token_that_lies(provider: LyingProvider, name: str) -> None:
    lie, sign, flaw = LIES[name]
    provider.lie = {"acr": "urn:strong", **{k: place(v, provider.now) for k, v in lie.items()}}
    if sign is not None:
        provider.sign = sign
    provider.published = [provider.key, *(make_key(each, f"{each}-2") for each in OTHER_KEYS)]
    party = make_party(provider, algorithms=("ES256", "RS256"))
    begun = party.begin(Ask(max_age=600, acr_values=("urn:strong",)))
    with pytest.raises(SignInRefused) as refused:
        provider.finish(party, begun)
    assert refused.value.flaw is flaw
    assert refused.value.__context__ is None or flaw is not Flaw.BAD_SIGNATURE


@pytest.mark.proves("C123")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES384", "EdDSA"])
def test_a_good_id_token_of_any_key(provider: LyingProvider, algorithm: str) -> None:
    provider.key = make_key(algorithm, "one")
    provider.published = [provider.key, make_key("ES256", "two")]
    provider.typ = "JWT"
    provider.lie = {
        "at_hash": build_token_hash(ACCESS_TOKEN, algorithm),
        "c_hash": build_token_hash("code-1", algorithm),
        "aud": [CLIENT, "partner"],
        "azp": CLIENT,
    }
    party = make_party(provider, other_audiences=["partner"])
    assert provider.finish(party, party.begin()).subject == "hong"
    provider.lie["azp"] = None
    with pytest.raises(IdTokenRefused) as refused:
        provider.finish(party, party.begin())
    assert refused.value.flaw is Flaw.WRONG_PARTY


@pytest.mark.proves("C123")
def test_without_kid_the_only_key_that_fits_is_the_one(provider: LyingProvider) -> None:
    provider.sign = sign_without_kid
    provider.published = [provider.key, make_key("RS256", "two")]
    party = make_party(provider)
    assert provider.finish(party, party.begin()).subject == "hong"


@pytest.mark.proves("C123")
def test_a_key_that_is_new_is_fetched(provider: LyingProvider) -> None:
    party = make_party(provider)
    provider.finish(party, party.begin())
    provider.clock.move(31)
    provider.key = make_key("ES256", "two")
    provider.published = [provider.key]
    assert provider.finish(party, party.begin()).subject == "hong"
    assert provider.count("/jwks") == 2


@pytest.mark.proves("C123")
@pytest.mark.parametrize(
    "lie, flaw",
    [
        ({"sub": "another"}, Flaw.OTHER_PERSON),
        ({"iss": "https://evil.example"}, Flaw.WRONG_ISSUER),
        ({"aud": "other"}, Flaw.WRONG_AUDIENCE),
        ({"auth_time": 1}, Flaw.OTHER_PERSON),
        ({"nonce": "another"}, Flaw.OTHER_PERSON),
        ({"azp": CLIENT}, Flaw.OTHER_PERSON),
        ({"at_hash": "x" * 22}, Flaw.WRONG_ACCESS_TOKEN),
        ({"exp": 1}, Flaw.EXPIRED),
    ],
)
def test_a_refresh_stays_with_the_person(provider: LyingProvider, lie: Claims, flaw: Flaw) -> None:
    party = make_party(provider)
    before = provider.finish(party, party.begin()).claims
    tokens = party.refresh("refresh-1", before=before)
    assert tokens.refresh_token == "refresh-1"
    provider.lie = lie
    with pytest.raises(IdTokenRefused) as refused:
        party.refresh("refresh-1", before=before)
    assert refused.value.flaw is flaw


def test_a_refresh_without_an_id_token_and_one_that_is_refused(provider: LyingProvider) -> None:
    party = make_party(provider)
    before = provider.finish(party, party.begin()).claims
    provider.change = {"id_token": None, "refresh_token": None}
    tokens = party.refresh("refresh-1", before=before, resource="https://orders.example")
    assert (tokens.id_token, tokens.refresh_token) == (None, None)
    assert provider.forms[-1]["resource"] == "https://orders.example"
    provider.status = 400
    with pytest.raises(TokenRefused) as refused:
        party.refresh("refresh-1", before=before)
    assert refused.value.error == "invalid_grant"


# Logout.

NOT_LOGOUTS: dict[str, tuple[str | None, Claims, Flaw]] = {
    "no type": (None, {}, Flaw.TYPE_NOT_ALLOWED),
    "the type of any JWT": ("JWT", {}, Flaw.TYPE_NOT_ALLOWED),
    "a nonce": ("logout+jwt", {"nonce": "n"}, Flaw.NOT_A_LOGOUT),
    "no events": ("logout+jwt", {"events": None}, Flaw.MISSING_CLAIM),
    "other events": ("logout+jwt", {"events": {"urn:x": {}}}, Flaw.NOT_A_LOGOUT),
    "a list of events": ("logout+jwt", {"events": [EVENT]}, Flaw.NOT_A_LOGOUT),
    "an event that is no object": ("logout+jwt", {"events": {EVENT: 1}}, Flaw.NOT_A_LOGOUT),
    "nobody": ("logout+jwt", {"sid": None, "sub": None}, Flaw.MISSING_CLAIM),
    "no jti": ("logout+jwt", {"jti": None}, Flaw.MISSING_CLAIM),
    "no iat": ("logout+jwt", {"iat": None}, Flaw.MISSING_CLAIM),
    "no exp": ("logout+jwt", {"exp": None}, Flaw.MISSING_CLAIM),
    "exp over": ("logout+jwt", {"exp": 1}, Flaw.EXPIRED),
    "exp far away": ("logout+jwt", {"exp": 10**11}, Flaw.BAD_CLAIM),
    "wrong iss": ("logout+jwt", {"iss": "https://evil.example"}, Flaw.WRONG_ISSUER),
    "wrong aud": ("logout+jwt", {"aud": "other"}, Flaw.WRONG_AUDIENCE),
    "aud with a stranger": (
        "logout+jwt",
        {"aud": [CLIENT, "other"], "azp": CLIENT},
        Flaw.WRONG_AUDIENCE,
    ),
    "a number as sid": ("logout+jwt", {"sid": 7}, Flaw.BAD_CLAIM),
}


@pytest.mark.proves("C123")
@pytest.mark.parametrize("name", NOT_LOGOUTS)
def test_a_logout_token_that_is_none(provider: LyingProvider, name: str) -> None:
    typ, lie, flaw = NOT_LOGOUTS[name]
    with pytest.raises(LogoutRefused) as refused:
        make_party(provider).read_logout_token(provider.logout_token(typ=typ, **lie))
    assert refused.value.flaw is flaw


def test_a_logout_token(provider: LyingProvider) -> None:
    party = make_party(provider)
    told = party.read_logout_token(provider.logout_token())
    assert (told.session_id, told.subject, told.jti) == ("session-1", "hong", "jti-1")
    assert told.expires_at == provider.now + 120
    forged = provider.logout_token()[:-8] + "AAAAAAAA"
    with pytest.raises(LogoutRefused) as refused:
        party.read_logout_token(forged)
    assert refused.value.flaw in (Flaw.BAD_SIGNATURE, Flaw.MALFORMED)
    provider.asked = {"nonce": "n"}
    with pytest.raises(LogoutRefused):  # an id_token is none
        party.read_logout_token(sign_as("logout+jwt")(provider, provider.claims(jti="1")))
    generous = make_party(provider, logout_types=("logout+jwt", "JWT"))
    assert generous.read_logout_token(provider.logout_token(typ="JWT")).subject == "hong"


def test_the_address_to_sign_out_at(provider: LyingProvider) -> None:
    party = make_party(provider)
    url = party.find_logout_url(return_to="https://app.example/", id_token="a.b.c", state="s")
    assert url is not None
    assert read_query(url) == {
        "client_id": CLIENT,
        "id_token_hint": "a.b.c",
        "post_logout_redirect_uri": "https://app.example/",
        "state": "s",
    }
    with pytest.raises(ValueError, match="state"):
        party.find_logout_url(return_to=None, state="a b")
    provider.metadata_changes = {"end_session_endpoint": None}
    assert make_party(provider).find_logout_url(return_to=None) is None


# The provider.


@pytest.mark.proves("C121")
def test_a_request_is_pushed_where_that_is_offered(provider: LyingProvider) -> None:
    provider.metadata_changes = {
        "pushed_authorization_request_endpoint": f"{provider.url}/par",
        "authorization_endpoint": f"{provider.url}/authorize?tenant=1",
    }
    party = make_party(provider)
    begun = party.begin()
    assert read_query(begun.url).keys() == {"tenant", "client_id", "request_uri"}
    assert begun.transaction.state not in begun.url
    assert provider.forms[0]["client_secret"] == SECRET
    assert provider.finish(party, begun).subject == "hong"
    provider.push_refused = True
    with pytest.raises(SignInDenied) as denied:
        party.begin()
    assert denied.value.error == "invalid_scope"


@pytest.mark.proves("C125")
def test_endpoints_are_where_the_issuer_is_or_where_the_app_says(provider: LyingProvider) -> None:
    elsewhere = "https://tokens.example"
    for name in ("authorization_endpoint", "jwks_uri", "token_endpoint", "end_session_endpoint"):
        provider.metadata_changes = {name: f"{elsewhere}/x"}
        party = make_party(provider)
        with pytest.raises(Unavailable):
            provider.finish(party, party.begin())
            party.find_logout_url(return_to=None)
    assert not any(each.url.startswith(elsewhere) for each in provider.requests)
    provider.metadata_changes = {"token_endpoint": f"{elsewhere}/token"}
    party = make_party(provider, also_at=[elsewhere])
    with pytest.raises(Unavailable):
        provider.finish(party, party.begin())
    assert provider.requests[-1].url == f"{elsewhere}/token"


def test_the_userinfo_is_of_the_person(provider: LyingProvider) -> None:
    party = make_party(provider)
    assert party.ask_userinfo(ACCESS_TOKEN, subject="hong")["name"] == "홍길동"
    assert ("Authorization", f"Bearer {ACCESS_TOKEN}") in provider.requests[-1].headers
    with pytest.raises(SignInRefused) as refused:
        party.ask_userinfo(ACCESS_TOKEN, subject="kim")
    assert refused.value.flaw is Flaw.OTHER_PERSON


def test_nothing_is_spent_that_could_not_be_read(provider: LyingProvider) -> None:
    """A code and a refresh token are good once: without keys their answer would be lost."""
    provider.broken = {"/jwks"}
    party = make_party(provider)
    with pytest.raises(Unavailable):
        provider.finish(party, party.begin())
    with pytest.raises(Unavailable):
        party.refresh("refresh-1", before={})
    assert provider.count("/token") == 0


def test_in_an_outage_the_metadata_serves_on(provider: LyingProvider) -> None:
    party = make_party(provider)
    begun = party.begin()
    provider.down = True
    with pytest.raises(Unavailable):
        make_party(provider).begin()
    provider.clock.move(3600)
    assert party.begin().url.partition("?")[0] == begun.url.partition("?")[0]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"scopes": ("profile",)}, "openid"),
        ({"scopes": "openid profile"}, "not one string"),
        ({"claims": "name"}, "not one string"),
        ({"algorithms": ()}, "empty"),
        ({"algorithms": ("none",)}, "unknown"),
        ({"algorithms": ("HS256",)}, "alone"),
        ({"redirect_uri": "http://app.example/callback"}, "https"),
        ({"issuer": "http://op.example"}, "https"),
        ({"also_at": ["https://op.example/path"]}, "host and port"),
    ],
)
def test_what_cannot_be_safe_is_refused_at_once(
    provider: LyingProvider, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_party(provider, **settings)


# Whatever comes.

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = ("iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "acr", "auth_time", "at_hash")
LOGOUT_NAMES = ("iss", "aud", "exp", "iat", "nbf", "jti", "sid", "sub", "events", "azp")


@pytest.mark.proves("C123")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3))
def test_whatever_an_id_token_says(lie: Claims) -> None:
    provider = LyingProvider(clock=SettableClock())
    provider.lie = lie
    party = make_party(provider)
    with suppress(SignInRefused):
        provider.finish(party, party.begin(Ask(max_age=600)))


@pytest.mark.proves("C123")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(LOGOUT_NAMES), VALUES, max_size=3))
def test_whatever_a_logout_token_says(lie: Claims) -> None:
    provider = LyingProvider(clock=SettableClock())
    with suppress(LogoutRefused):
        make_party(provider).read_logout_token(provider.logout_token(**lie))


@pytest.mark.proves("C121", "C122")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: quote(text).encode()))
def test_whatever_a_browser_brings(junk: bytes) -> None:
    provider = LyingProvider(clock=SettableClock())
    party = make_party(provider)
    begun = party.begin()
    good = provider.visit(begun.url, code=None, iss=None)
    for query in (junk, good + b"&" + junk, good + b"&code=" + junk, good + b"&iss=" + junk):
        with pytest.raises((SignInRefused, SignInDenied)):
            party.finish(begun.transaction, query)
    with suppress(NoTransaction):
        Transaction.open(junk.decode("latin-1"), SealRing(SealKey.generate()))
