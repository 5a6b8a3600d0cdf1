"""Secrets and signed assertions: whether what is presented is the client's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.client_assertion import ALGORITHMS, AssertionRefused
from dojang.trust import client_auth
from dojang.trust.client_auth import (
    generate_secret,
    hash_secret,
    is_secret,
    read_assertion_subject,
    verify_client_assertion,
)

NOW = 1_800_000_000
ISSUER = "https://issuer.test"
CLAIMS = {"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": NOW + 60, "jti": "one"}


@pytest.mark.proves("C50")
def test_a_secret_has_256_random_bits_behind_a_prefix() -> None:
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("dojang_cs_")
        assert len(base64url.decode(secret.removeprefix("dojang_cs_"))) == 32


@given(st.lists(st.text(max_size=8), max_size=4), st.text(max_size=8))
@pytest.mark.proves("C50")
def test_a_secret_is_one_of_the_known_or_it_is_not(known: list[str], presented: str) -> None:
    digests = [hash_secret(secret) for secret in known]
    assert all(len(digest) == 32 for digest in digests)
    assert is_secret(presented, digests) == (presented in known)


@pytest.mark.proves("C50")
def test_every_digest_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An early way out would tell how many secrets a client has, and which of them fits."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(client_auth, "compare_digest", compare)
    digests = [hash_secret(name) for name in ("a", "b", "c")]
    for presented, found in (("a", True), ("c", True), ("x", False)):
        compared.clear()
        assert is_secret(presented, digests) is found
        assert compared == [(hash_secret(presented), digest) for digest in digests]


def verify(assertion: str, *keys: SigningKey) -> str:
    jwks: dict[str, Any] = {"keys": [key.public_jwk() | {"kid": key.kid} for key in keys]}
    return verify_client_assertion(
        assertion, client_id="robot", jwks=jwks, issuer=ISSUER, now=NOW
    ).jti


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.proves("C48", "K1")
def test_each_algorithm_signs_an_assertion(algorithm: str) -> None:
    key = SigningKey.generate(algorithm, kid="k")
    for typ in ("client-authentication+jwt", "JWT"):
        assert verify(sign_jwt(CLAIMS, CompactSigner(key, typ=typ)), key) == "one"


@pytest.mark.proves("C48")
def test_the_key_must_be_the_clients_and_the_type_an_assertions() -> None:
    key, other = (SigningKey.generate("ES256", kid="k") for _ in range(2))
    for assertion, keys in (
        (sign_jwt(CLAIMS, CompactSigner(other, typ="JWT")), [key]),
        (sign_jwt(CLAIMS, CompactSigner(key, typ="at+jwt")), [key]),
        (sign_jwt(CLAIMS, CompactSigner(key, typ="dpop+jwt")), [key]),
        (sign_jwt(CLAIMS, CompactSigner(key, typ="JWT")), []),
        ("junk", [key]),
        ("", [key]),
    ):
        with pytest.raises(AssertionRefused) as refused:
            verify(assertion, *keys)
        assert refused.value.reason.startswith("assertion_")


@pytest.mark.proves("C48", "C22")
def test_a_refusal_holds_nothing_of_the_assertion() -> None:
    key = SigningKey.generate("ES256", kid="k")
    assertion = sign_jwt(CLAIMS, CompactSigner(key, typ="at+jwt"))
    with pytest.raises(AssertionRefused) as refused:
        verify(assertion, key)
    shown = repr(refused.value) + str(refused.value) + repr(refused.value.__cause__)
    assert not any(part in shown for part in assertion.split("."))


def encode(document: object) -> str:
    return base64url.encode(json.dumps(document).encode())


@pytest.mark.proves("C48")
def test_the_subject_is_read_and_nothing_else() -> None:
    assert read_assertion_subject(f"x.{encode({'sub': 'robot'})}.y") == "robot"
    payloads: list[object] = [{}, {"sub": 1}, {"sub": None}, [], "robot"]
    for payload in payloads:
        assert read_assertion_subject(f"x.{encode(payload)}.y") is None


@given(st.text(max_size=60))
@pytest.mark.proves("C48")
def test_any_text_has_a_subject_or_none(text: str) -> None:
    for assertion in (text, f"a.{text}.b", f"{text}.{text}.{text}"):
        assert read_assertion_subject(assertion) is None
