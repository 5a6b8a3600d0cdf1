"""The Config OP plan, and what other plans ask of the two documents."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.conditions import check_json
from tests.conformance.conftest import Begin, InProcess
from tests.conformance.suite import Suite
from tests.server.front_door import read

# Members that the suite knows, of those that this server could have; by the type of each.
ADDRESSES = """
issuer jwks_uri authorization_endpoint token_endpoint userinfo_endpoint end_session_endpoint
registration_endpoint revocation_endpoint introspection_endpoint
pushed_authorization_request_endpoint device_authorization_endpoint
"""
LISTS = """
scopes_supported response_types_supported response_modes_supported grant_types_supported
prompt_values_supported acr_values_supported subject_types_supported claims_supported
ui_locales_supported code_challenge_methods_supported
token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported
revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported
introspection_endpoint_auth_methods_supported
introspection_endpoint_auth_signing_alg_values_supported
id_token_signing_alg_values_supported id_token_encryption_alg_values_supported
id_token_encryption_enc_values_supported userinfo_signing_alg_values_supported
userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported
request_object_signing_alg_values_supported dpop_signing_alg_values_supported
"""
FLAGS = """
claims_parameter_supported request_parameter_supported request_uri_parameter_supported
require_request_uri_registration require_signed_request_object
require_pushed_authorization_requests authorization_response_iss_parameter_supported
frontchannel_logout_supported frontchannel_logout_session_supported
backchannel_logout_supported backchannel_logout_session_supported
"""


@pytest.fixture
def suite(begin: Begin) -> Suite:
    return begin("oidcc-discovery-endpoint-verification")


def test_the_document_is_found_and_names_its_issuer(suite: Suite) -> None:
    address = suite.config["server"]["discoveryUrl"]
    assert address == suite.metadata["issuer"] + "/.well-known/openid-configuration"
    response = suite.get(address)
    assert response.status == 200
    check_json(response)
    issuer = urlsplit(suite.metadata["issuer"])
    assert issuer.scheme == "https"
    assert issuer.hostname
    assert not (issuer.query)
    assert not (issuer.fragment)
    assert not (issuer.username)


def test_every_member_has_its_type_and_is_known(suite: Suite) -> None:
    extra = set(suite.config["server"]["allow_unexpected_metadata_fields"])
    assert extra < set(suite.metadata)
    for name, value in suite.metadata.items():
        if name in LISTS.split():
            assert value, name
            assert all(isinstance(each, str) for each in value), name
            assert len(set(value)) == len(value), name
        elif name in FLAGS.split():
            assert isinstance(value, bool), name
        else:
            assert name in ADDRESSES.split() or name in extra, name
            assert isinstance(value, str), name


def test_every_address_is_https(suite: Suite) -> None:
    found = [name for name in suite.metadata if name.endswith("_endpoint")]
    assert {"authorization_endpoint", "token_endpoint", "userinfo_endpoint"} <= set(found)
    for name in (*found, "jwks_uri"):
        assert urlsplit(suite.metadata[name]).scheme == "https", name


@pytest.mark.proves("C28")
def test_what_must_be_supported_is(suite: Suite) -> None:
    metadata = suite.metadata
    assert metadata["response_types_supported"] == ["code"]
    assert "authorization_code" in metadata["grant_types_supported"]
    assert set(metadata["subject_types_supported"]) == {"public", "pairwise"}
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert "RS256" in metadata["userinfo_signing_alg_values_supported"]
    assert "openid" in metadata["scopes_supported"]
    assert all(
        re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", each) for each in metadata["scopes_supported"]
    )
    assert all(
        re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", each) for each in metadata["ui_locales_supported"]
    )
    assert metadata["request_uri_parameter_supported"] is False  # left out it would be true


def test_what_logout_needs_is_announced(suite: Suite) -> None:
    """oidcc-{rp-initiated,backchannel,frontchannel}-logout-discovery-endpoint-verification."""
    for name in ("backchannel", "frontchannel"):
        assert suite.metadata[f"{name}_logout_supported"] is True
        assert suite.metadata[f"{name}_logout_session_supported"] is True
    assert "end_session_endpoint" in suite.metadata


def read_keys(suite: Suite) -> list[dict[str, Any]]:
    response = suite.get(suite.metadata["jwks_uri"])
    assert response.status == 200
    check_json(response)
    keys: list[dict[str, Any]] = read(response)["keys"]
    return keys


@pytest.mark.proves("C95")
def test_the_key_set_has_public_keys_with_names_of_their_own(suite: Suite) -> None:
    keys = read_keys(suite)
    kids = [key["kid"] for key in keys]
    assert all(kids)
    assert len(set(kids)) == len(kids)
    for key in keys:
        assert key["use"] == "sig"
        assert key["kty"] in {"RSA", "EC", "OKP"}
        assert not set(key) & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
        assert key["kty"] != "RSA" or len(key["n"]) >= 342  # 2048 bits


def test_oidcc_server_rotate_keys(server: InProcess, begin: Begin) -> None:
    suite = begin("oidcc-server-rotate-keys")
    before = read_keys(suite)
    server.world.perform("keys.rotate", use="id_token", algorithm="RS256")
    after = read_keys(suite)
    assert all(key in after for key in before)
    new = [key for key in after if key not in before]
    assert new
    for key in new:
        assert key["kid"] not in {each["kid"] for each in before}
        assert key.get("n") not in {each["n"] for each in before if "n" in each}
