"""What a token that anyone can decode should not hold."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.oauth.sensitive_claims import find_sensitive_claims

ORDINARY = {
    "iss": "https://auth.example",
    "sub": "01a20a4cfc3bc816872a4379fedb94c3",
    "aud": "https://orders.example",
    "client_id": "shop",
    "exp": 1_800_000_600,
    "iat": 1_800_000_000,
    "jti": "01a20a4d2974f081bf09037ed6ce585c",
    "scope": "orders:read email",
    "grant": "01a20a4cfc3bc816872a4379fedb94c3",
    "rev": [1, 4_111_111_111_111_111],
    "roles": ["clerk"],
    "email_verified": True,
    "tenant": {"id": "t-1", "plan": "free"},
}


@pytest.mark.proves("K4")
def test_a_token_of_ours_holds_nothing_sensitive() -> None:
    assert find_sensitive_claims(ORDINARY) == []


@pytest.mark.proves("K4")
@pytest.mark.parametrize(
    "claims, path, kind",
    [
        ({"password": "x"}, "password", "a password or secret"),
        ({"API-Key": "x"}, "API-Key", "a password or secret"),
        ({"passport_number": "M123"}, "passport_number", "a government identifier"),
        ({"주민등록번호": "x"}, "주민등록번호", "a government identifier"),
        ({"phone_number": "+82 2 1234"}, "phone_number", "a contact detail"),
        ({"address": {"street": "1 Main"}}, "address", "a contact detail"),
        ({"user": {"birthdate": "2001-02-03"}}, "user.birthdate", "a personal trait"),
        ({"iban": "DE02"}, "iban", "a payment detail"),
        ({"sub": "kim@example.com"}, "sub", "an e-mail address"),
        ({"contacts": ["a", "kim@example.com"]}, "contacts[1]", "an e-mail address"),
        ({"ref": "900101-1234567"}, "ref", "a Korean resident registration number"),
        ({"ref": "4111 1111 1111 1111"}, "ref", "a payment card number"),
        ({"ref": "-----BEGIN PRIVATE KEY-----\nMII"}, "ref", "a private key"),
        ({"ref": "eyJhbGciOiJub25lIn0.e30."}, "ref", "a token"),
        ({"ref": "dojang_cs_" + "A" * 43}, "ref", "a token"),
    ],
)
def test_it_is_found_by_its_name_or_its_shape(claims: dict[str, Any], path: str, kind: str) -> None:
    assert find_sensitive_claims(ORDINARY | claims) == [(path, kind)]


@pytest.mark.proves("K4")
@pytest.mark.parametrize(
    "value", ["4111 1111 1111 1112", "123456789012", "kim@localhost", "", None]
)
def test_what_only_resembles_it_is_left_alone(value: object) -> None:
    assert find_sensitive_claims({"ref": value, "email": None}) == []
