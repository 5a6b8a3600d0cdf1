import math
from typing import Any

import pytest

from dojang.jose.errors import InvalidToken, JoseMisuse, Reason
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import SignedClaims, check_claims, sign_jwt
from tests.jose.material import AUDIENCE, CLAIMS, ISSUER, NOW, jwt, key_for, token_of

KEY = key_for("ES256")
VERIFIER = jwt(KEY)


def check(claims: dict[str, Any], *, now: float = NOW, **how: Any) -> None:
    signed = VERIFIER.verify(token_of(KEY, claims))
    check_claims(signed, **{"issuer": ISSUER, "audience": AUDIENCE, "now": now, **how})


def refuse(claims: dict[str, Any], **how: Any) -> Reason:
    with pytest.raises(InvalidToken) as refusal:
        check(claims, **how)
    return refusal.value.reason


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


@pytest.mark.proves("V1")
def test_good_claims_pass() -> None:
    token = sign_jwt(CLAIMS, CompactSigner(KEY, typ="at+jwt"))
    signed = VERIFIER.verify(token)
    assert signed.claims == CLAIMS
    assert signed.kid == signed.header["kid"] == "k1"
    check_claims(signed, issuer=ISSUER, audience=AUDIENCE, now=NOW)


@pytest.mark.proves("C12", "V1")
def test_exp_is_required() -> None:
    assert refuse(without("exp")) is Reason.BAD_CLAIM


@pytest.mark.proves("C12", "V1")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1700000300", True, False, None, [], {}, [NOW], "NaN"])
def test_times_are_numbers(name: str, value: object) -> None:
    assert refuse(CLAIMS | {name: value}) is Reason.BAD_CLAIM


@pytest.mark.proves("C12")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_times_are_finite_wherever_the_claims_come_from(name: str, value: float) -> None:
    signed = SignedClaims(CLAIMS | {name: value}, {}, None)
    with pytest.raises(InvalidToken) as refusal:
        check_claims(signed, issuer=ISSUER, audience=AUDIENCE, now=NOW)
    assert refusal.value.reason is Reason.BAD_CLAIM


@pytest.mark.proves("C12", "V1")
@pytest.mark.parametrize("leeway", [0, 5, 60])
@pytest.mark.parametrize("fraction", [0, 0.0, 0.5])
def test_times_at_their_edges(leeway: int, fraction: float) -> None:
    exp, nbf = NOW + 100 + fraction, NOW - 100 + fraction
    times = {"exp": exp, "nbf": nbf, "iat": nbf}
    check(CLAIMS | times, now=math.ceil(exp) + leeway - 1, leeway=leeway)
    assert refuse(CLAIMS | times, now=math.ceil(exp) + leeway, leeway=leeway) is Reason.EXPIRED
    check(CLAIMS | times, now=math.ceil(nbf) - leeway, leeway=leeway)
    for name in ("nbf", "iat"):
        early = without("iat") | {name: nbf}
        reason = refuse(early, now=math.ceil(nbf) - leeway - 1, leeway=leeway)
        assert reason is Reason.NOT_YET_VALID


@pytest.mark.proves("C12")
def test_the_leeway_is_five_seconds_unless_said() -> None:
    check(CLAIMS, now=CLAIMS["exp"] + 4)
    assert refuse(CLAIMS, now=CLAIMS["exp"] + 5) is Reason.EXPIRED


@pytest.mark.proves("C12")
@pytest.mark.parametrize("leeway", [-1, 61, 3600])
def test_the_leeway_is_bounded(leeway: int) -> None:
    with pytest.raises(JoseMisuse):
        check(CLAIMS, leeway=leeway)


@pytest.mark.proves("C13", "V1")
@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER + "/",
        ISSUER.upper(),
        "http://issuer.example",
        ISSUER[:-1],
        "",
        None,
        [ISSUER],
        {"iss": ISSUER},
        1,
    ],
)
def test_the_issuer_is_exact(issuer: object) -> None:
    assert refuse(CLAIMS | {"iss": issuer}) is Reason.WRONG_ISSUER
    assert refuse(without("iss")) is Reason.WRONG_ISSUER


@pytest.mark.proves("C14", "V1")
@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_an_audience_that_names_us(audience: object) -> None:
    check(CLAIMS | {"aud": audience})


@pytest.mark.proves("C14", "V1")
@pytest.mark.parametrize(
    "audience",
    [
        "https://payments.example",
        AUDIENCE + "/",
        "",
        [],
        ["other"],
        None,
        1,
        {AUDIENCE: 1},
        [[AUDIENCE]],
    ],
)
def test_an_audience_that_does_not(audience: object) -> None:
    assert refuse(CLAIMS | {"aud": audience}) is Reason.WRONG_AUDIENCE
    assert refuse(without("aud")) is Reason.WRONG_AUDIENCE


@pytest.mark.proves("C14")
@pytest.mark.parametrize("stray", [1, None, True, {}, [AUDIENCE]])
def test_an_audience_array_holds_strings_only(stray: object) -> None:
    assert refuse(CLAIMS | {"aud": [AUDIENCE, stray]}) is Reason.BAD_CLAIM


@pytest.mark.proves("C119")
@pytest.mark.parametrize("how", [{"issuer": ""}, {"audience": ""}])
def test_nothing_matches_an_empty_expectation(how: dict[str, Any]) -> None:
    with pytest.raises(JoseMisuse):
        check(CLAIMS | {"iss": "", "aud": ""}, **how)


@pytest.mark.proves("C10", "C11")
@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"https://issuer.example","exp":1,"exp":1700000300}',
        b'{"exp":1700000300,"act":{"sub":"a","sub":"b"}}',
        b"[]",
        b"",
        b"null",
        b'"{}"',
        b"{",
        b'{"exp":1e999}',
        b'{"exp":NaN}',
        b'{"sub":"\\ud800"}',
        b'{"sub":"\xff"}',
        b'{"a":' + b"[" * 8 + b"]" * 8 + b"}",
    ],
)
def test_the_payload_is_a_strict_json_object(payload: bytes) -> None:
    with pytest.raises(InvalidToken) as refusal:
        VERIFIER.verify(token_of(KEY, payload))
    assert refusal.value.reason is Reason.MALFORMED
