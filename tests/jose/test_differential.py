"""Against PyJWT, joserfc and jwcrypto. A disagreement is one input, one library, one version."""

import time
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwt as pyjwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojang.jose.errors import JoseError
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import JwtVerifier, check_claims, sign_jwt
from dojang.jose.keys import ALGORITHMS, KeySet, SigningKey
from tests.jose.differential_cases import GOOD, KEY, build_keys, build_tokens
from tests.jose.material import AUDIENCE, ISSUER, header_of, key_for, key_set
from tests.jose.oracles import ORACLES, Jwk, accepts

PYJWT, JOSERFC, JWCRYPTO = "pyjwt 2.15.1", "joserfc 1.8.0", "jwcrypto 1.6.1"
ALL = (PYJWT, JOSERFC, JWCRYPTO)

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

TOKENS = build_tokens()
KEYS = build_keys()

EXPLAINED: dict[str, tuple[str, tuple[str, ...]]] = {
    # We refuse, they accept.
    "header-kid-other": ("a kid is compared with the key's; they hold one key and use it", ALL),
    "header-kid-number": ("a kid that is no string passes", (JWCRYPTO,)),
    "header-kid-long": ("as header-kid-other; we also bound it to 128 characters", ALL),
    "header-typ-other": ("they have no expected type", ALL),
    "header-typ-number": ("they have no expected type", (PYJWT, JWCRYPTO)),
    "header-crit-empty": ("RFC 7515 §4.1.11 forbids an empty crit", (JOSERFC, JWCRYPTO)),
    "header-crit-b64-true": ("they understand b64; we understand no extension", ALL),
    "header-duplicate-alg": ("the last of two members of one name wins", ALL),
    "header-header-nan": ("NaN passes as a number", (PYJWT, JWCRYPTO)),
    "header-header-deep": ("depth is not bounded", (PYJWT, JWCRYPTO)),
    "header-header-surrogate": ("a lone surrogate passes as text", (PYJWT, JWCRYPTO)),
    "header-header-bom": ("a byte order mark is skipped", (PYJWT, JOSERFC)),
    "header-header-utf16": ("UTF-16 is guessed", (PYJWT, JOSERFC)),
    "claim-exp-string": ("a string of digits passes as a time", (PYJWT,)),
    "claim-nbf-future": ("nbf is only checked when it is listed as expected", (JWCRYPTO,)),
    "claim-nbf-string": ("as claim-exp-string; jwcrypto as claim-nbf-future", (PYJWT, JWCRYPTO)),
    "claim-nbf-bool": ("true passes as the time 1", (PYJWT, JWCRYPTO)),
    "claim-nbf-null": ("as claim-nbf-future", (JWCRYPTO,)),
    "claim-iat-future": ("iat is not checked", (JWCRYPTO,)),
    "claim-iat-string": ("a string of digits passes; jwcrypto does not check", (PYJWT, JWCRYPTO)),
    "claim-iat-bool": ("true passes as the time 1", (PYJWT, JWCRYPTO)),
    "claim-iat-null": ("iat is not checked", (JWCRYPTO,)),
    "payload-duplicate-exp": ("the last of two members of one name wins", ALL),
    "payload-duplicate-nested": ("the last of two members of one name wins", ALL),
    "payload-surrogate": ("a lone surrogate passes as text", ALL),
    "payload-bom": ("a byte order mark is skipped", (PYJWT, JOSERFC)),
    "payload-utf-16": ("UTF-16 is guessed", (PYJWT, JOSERFC)),
    "payload-deep": ("depth is not bounded", ALL),
    "payload-big": ("size is not bounded at 8192 characters", ALL),
    "shape-padding": ("padding is skipped", (PYJWT, JWCRYPTO)),
    "shape-signature-bits": ("unused bits are dropped", (JWCRYPTO,)),
    "shape-standard-alphabet": ("'+' and '/' pass for '-' and '_'", (JWCRYPTO,)),
    "RS256-alg-other": ("the key's alg does not bind", (PYJWT, JWCRYPTO)),
    "RS256-alg-unknown": ("the key's alg does not bind", (PYJWT, JWCRYPTO)),
    "RS256-use-enc": ("use does not bind", (PYJWT,)),
    "RS256-key-ops-sign": ("key_ops does not bind", (PYJWT,)),
    "RS256-key-ops-twice": ("RFC 7517 §4.3 forbids a repeated operation", (PYJWT, JOSERFC)),
    "RS256-leading-zero": ("RFC 7518 §2 wants the fewest octets", ALL),
    "RS256-padded": ("padding is skipped", (PYJWT, JWCRYPTO)),
    "RS256-kid-number": ("a kid that is no string passes", (PYJWT, JWCRYPTO)),
    "RS256-kid-absent": ("the token names a kid, the key has none", ALL),
    "ES256-alg-ES384": ("the key's alg does not bind", (PYJWT, JWCRYPTO)),
    "ES256-use-enc": ("use does not bind", (PYJWT,)),
    "EdDSA-use-enc": ("use does not bind", (PYJWT,)),
    "HS256-use-enc": ("use does not bind", (PYJWT,)),
    "small_rsa": ("1024 bits pass, with a warning", (JOSERFC, JWCRYPTO)),
    "small_exponent": ("the exponent 3 passes", ALL),
    # We accept, they refuse.
    "header-jwk": ("jwk holds 'use', which it validates; we do not look at jwk", (JOSERFC,)),
    "claim-sub-number": ("sub is checked by those who read it, not with the times", ALL),
    "claim-jti-number": ("jti is checked by those who read it, not with the times", ALL),
    "Ed25519": ("RFC 9864's name is not known to it", (PYJWT,)),
}


def ours(token: str, jwk: Jwk, algorithm: str) -> Any:
    document = {"keys": [jwk]}
    symmetric = jwk["kty"] == "oct"
    keys = KeySet.parse_symmetric(document) if symmetric else KeySet.parse(document)
    signed = JwtVerifier(keys, algorithms=[algorithm], types=["at+jwt"]).verify(token)
    check_claims(signed, issuer=ISSUER, audience=AUDIENCE, now=int(time.time()))
    return signed.claims


def disagreeing(token: str, jwk: Jwk, algorithm: str) -> tuple[str, ...]:
    try:
        ours(token, jwk, algorithm)
    except JoseError:
        accepted = False
    else:
        accepted = True
    return tuple(
        name
        for name, oracle in ORACLES.items()
        if accepts(oracle, token, jwk, algorithm) != accepted
    )


@pytest.mark.parametrize("name", TOKENS)
def test_tokens(name: str) -> None:
    _, expected = EXPLAINED.get(name, ("", ()))
    assert disagreeing(TOKENS[name], KEY.public_jwk(), "RS256") == expected


@pytest.mark.parametrize("name", KEYS)
def test_keys(name: str) -> None:
    jwk, algorithm, token = KEYS[name]
    _, expected = EXPLAINED.get(name, ("", ()))
    assert disagreeing(token, jwk, algorithm) == expected


def test_the_table_speaks_of_inputs_and_versions_that_exist() -> None:
    assert tuple(ORACLES) == ALL
    assert EXPLAINED.keys() <= TOKENS.keys() | KEYS.keys()


EXTRA = st.dictionaries(
    st.text("xyz", min_size=1, max_size=4),
    st.recursive(
        st.text(st.characters(codec="utf-8"), max_size=12)
        | st.integers(-(2**53), 2**53)
        | st.booleans()
        | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=5,
)


@pytest.mark.proves("K1")
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "Ed25519"])
def test_generated_tokens_are_read_the_same_by_all(algorithm: str) -> None:
    key = key_for(algorithm)
    symmetric = ALGORITHMS[algorithm].symmetric
    jwk = key.private_jwk() if symmetric else key.public_jwk()
    signer = CompactSigner(key, typ="at+jwt")

    @settings(max_examples=15)
    @given(EXTRA)
    def run(extra: dict[str, Any]) -> None:
        claims = GOOD | extra
        token = sign_jwt(claims, signer)
        assert ours(token, jwk, algorithm) == claims
        for oracle in ORACLES.values():
            decoded = oracle(token, jwk, algorithm)
            assert {name: decoded[name] for name in claims} == claims

    run()


@pytest.mark.proves("K1")
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "Ed25519"])
def test_generated_tokens_of_theirs_are_read_by_us(algorithm: str) -> None:
    key = key_for(algorithm)
    header = header_of(key)
    theirs = pyjwt.PyJWK(key.private_jwk(), algorithm=algorithm)
    joserfc_key = joserfc.jwk.import_key(key.private_jwk())
    verifier = JwtVerifier(key_set(key), algorithms=[algorithm], types=["at+jwt"])

    @settings(max_examples=15)
    @given(EXTRA)
    def run(extra: dict[str, Any]) -> None:
        claims = GOOD | extra
        tokens = (
            pyjwt.encode(claims, theirs, algorithm=algorithm, headers=header),
            joserfc.jwt.encode(header, claims, joserfc_key, algorithms=[algorithm]),
        )
        for token in tokens:
            assert verifier.verify(token).claims == claims

    run()


@pytest.mark.parametrize("crv", ["P-256", "P-384", "P-521", "Ed25519"])
def test_generated_keys_of_theirs_are_read_by_us(crv: str) -> None:
    algorithm = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}[crv]
    kty = "OKP" if crv == "Ed25519" else "EC"
    for number in range(15):
        kid = f"k{number}"
        made = jwcrypto.jwk.JWK.generate(kty=kty, crv=crv, kid=kid, use="sig")
        key = SigningKey.from_jwk(made.export(as_dict=True) | {"alg": algorithm})
        token = sign_jwt(GOOD, CompactSigner(key, typ="at+jwt"))
        public = made.export_public(as_dict=True)
        assert not disagreeing(token, public, algorithm)
        assert ours(token, public, algorithm) == GOOD
        assert key.verifying_key().thumbprint == made.thumbprint()
