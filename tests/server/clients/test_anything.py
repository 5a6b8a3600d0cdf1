"""Whatever a client says of itself, in metadata or in a request object, it is told what is wrong:
nothing is a fault of the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dojang.oauth.errors import OAuthError
from dojang.oauth.registration import ClientMetadata
from dojang.oauth.request_object import check_request_object, read_parameters
from dojang.server.registration_policy import RegistrationPolicy
from tests.server.clients.registering import CALLBACK, Registry
from tests.server.front_door import bearer

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "none",
            "code",
            "RS256",
            "ES256",
            "https://a.test/",
            "https://[",
            "openid",
            "\u0000",
            "é",
        ]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(TEXTS, VALUES)
        for name in ("kty", "crv", "n", "e", "x", "y", "use", "alg", "kid", "key_ops")
    },
)
MEMBERS = st.dictionaries(
    st.sampled_from(ClientMetadata.__struct_fields__), VALUES, min_size=1, max_size=4
)
REGISTRY = Registry(RegistrationPolicy(open_to_everyone=True, hourly_limit=100_000))
ANY = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def register(members: dict[str, Any]) -> int:
    document = {
        "redirect_uris": [CALLBACK],
        "id_token_signed_response_alg": "ES256",
        **members,
    }
    document.pop("sector_identifier_uri", None)  # at most one in a while
    body = json.dumps(document).encode()
    return REGISTRY.send("POST", "/register", body, bearer("x")).status


@pytest.mark.proves("C100")
@ANY
@given(MEMBERS)
def test_any_metadata_are_answered(members: dict[str, Any]) -> None:
    assert register(members) in {201, 400}


@pytest.mark.proves("C100")
@ANY
@given(st.lists(KEYS, max_size=2), st.sampled_from(["RSA-OAEP-256", "ECDH-ES", None]))
def test_any_keys_are_answered(keys: list[dict[str, Any]], algorithm: str | None) -> None:
    members = {"jwks": {"keys": keys}, "id_token_encrypted_response_alg": algorithm}
    assert register(members) in {201, 400}


@pytest.mark.proves("C38")
@ANY
@given(
    st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "sub", "iss", "claims"]), VALUES)
)
def test_any_claims_of_a_request_object_are_judged(changes: dict[str, Any]) -> None:
    claims = {"iss": "a", "aud": "https://issuer.test", "exp": 1_800_000_060, **changes}
    try:
        check_request_object(claims, client_id="a", issuer="https://issuer.test", now=1_800_000_000)
        parameters = read_parameters(claims)
    except OAuthError:
        return
    assert all(isinstance(value, str) for value in parameters.values())
