"""Client metadata (RFC 7591) in the hands of an operator."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.server.administration import OperationRefused
from dojang.testing import Issuer, SettableClock
from tests.server.clients.registering import ORDERS, perform
from tests.server.front_door import NOW

CALLBACK = "https://web.test/callback"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
METADATA: dict[str, Any] = {
    "client_name": "Web",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "openid email",
    "id_token_signed_response_alg": "ES256",
    "token_endpoint_auth_method": "client_secret_post",
    "require_pushed_authorization_requests": True,
    "default_max_age": 60,
    "client_uri": "https://web.test/",
    "x_vendor": {"ignored": True},
}


@pytest.fixture
def issuer() -> Issuer:
    issuer = Issuer("https://issuer.test", clock=SettableClock(NOW))
    issuer.add_resource(ORDERS, ["orders:read", "orders:write"])
    return issuer


def add(issuer: Issuer, metadata: dict[str, Any], **besides: Any) -> dict[str, Any]:
    client: dict[str, Any] = perform(issuer, "client.add", metadata=metadata, **besides)["client"]
    return client


def test_metadata_say_what_a_client_is(issuer: Issuer) -> None:
    client = add(issuer, METADATA, client_id="web")
    assert (client["client_id"], client["name"]) == ("web", "Web")
    assert client["authentication"] == "client_secret_post"
    sign_in = client["sign_in"]
    assert sign_in["redirect_uris"] == [CALLBACK]
    assert sign_in["scopes"] == ["openid", "email"]
    assert sign_in["id_token_algorithm"] == "ES256"
    assert sign_in["refresh"] == "rotating"
    assert sign_in["require_pushed"] is True
    assert sign_in["default_max_age"] == 60
    assert sign_in["client_uri"] == "https://web.test/"
    assert sign_in["first_party"] is False
    assert sign_in["resources"] == {}


def test_without_its_grant_type_there_are_no_refresh_tokens(issuer: Issuer) -> None:
    client = add(issuer, {"redirect_uris": [CALLBACK]})
    assert client["sign_in"]["refresh"] == "none"
    assert client["sign_in"]["scopes"] == ["openid", "profile", "email"]


def test_what_is_said_besides_goes_before(issuer: Issuer) -> None:
    key = {"jwks_uri": "https://web.test/keys"}
    client = add(
        issuer,
        METADATA | {"jwks": {"keys": []}, "scope": "openid orders:read"},
        name="Other",
        sign_in={"first_party": True, "resources": {ORDERS: ["orders:read"]}, "refresh": "fixed"},
        **key,
    )
    assert client["name"] == "Other"
    assert client["jwks"] is None
    assert client["sign_in"]["first_party"] is True
    assert client["sign_in"]["refresh"] == "fixed"
    assert client["sign_in"]["resources"] == {ORDERS: ["orders:read"]}


def test_a_client_that_acts_for_itself(issuer: Issuer) -> None:
    metadata = {"grant_types": ["client_credentials"], "scope": "orders:read", "client_id": "m"}
    grants = [{"resource": ORDERS, "scopes": ["orders:read"]}]
    client = add(issuer, metadata, grants=grants)
    assert (client["client_id"], client["sign_in"]) == ("m", None)


def test_a_sector_is_read_where_it_lies(issuer: Issuer) -> None:
    uri = "https://sector.test/uris"
    issuer.web.put(uri, [CALLBACK])
    client = add(issuer, METADATA | {"subject_type": "pairwise", "sector_identifier_uri": uri})
    assert client["sign_in"]["sector"] == "sector.test"
    issuer.web.put(uri, ["https://another.test/"])
    with pytest.raises(OperationRefused, match="does not name every redirect URI"):
        add(issuer, METADATA | {"subject_type": "pairwise", "sector_identifier_uri": uri})


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "changes, what",
    [
        ({"scope": "openid orders:read"}, "at which resource"),
        ({"scope": "a\nb"}, "scope"),
        ({"grant_types": ["client_credentials"]}, "redirect_uris is about how people sign in"),
        ({"grant_types": ["authorization_code", "client_credentials"]}, "grants"),
        ({"grant_types": ["authorization_code", EXCHANGE]}, "exchanges"),
        ({"grant_types": ["password"]}, "grant_types: supported are"),
        ({"response_types": ["token"]}, "response_types: supported are"),
        ({"redirect_uris": ["javascript:x"]}, "redirect_uris"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"redirect_uris": "https://web.test/"}, "redirect_uris has a wrong type"),
        ({"client_id": "another"}, "client_id is not 'web'"),
        ({"client_secret": "chosen"}, "leave out client_secret"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
        ({"jwks_uri": "https://10.0.0.1/"}, "jwks_uri"),
        ({"id_token_encrypted_response_enc": "A256GCM"}, "enc stands without"),
        ({"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://b.test/"]}, "several"),
    ],
)
def test_what_is_not_supported_or_contradicts_is_refused(
    issuer: Issuer, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(OperationRefused) as raised:
        add(issuer, METADATA | changes, client_id="web")
    assert raised.value.status == 400
    assert what in raised.value.detail
    assert perform(issuer, "client.list")["clients"] == []


def test_of_a_change_only_what_the_metadata_name_counts(issuer: Issuer) -> None:
    grants = [{"resource": ORDERS, "scopes": ["orders:read"]}]
    sign_in = {"first_party": True, "refresh": "fixed", "resources": {ORDERS: ["orders:read"]}}
    before = add(issuer, METADATA, client_id="web", grants=grants, sign_in=sign_in)
    update = {"default_max_age": None, "tos_uri": "https://web.test/tos"}
    answer = perform(issuer, "client.update", client_id="web", metadata=update)
    assert answer["changed"] == ["sign_in.default_max_age", "sign_in.tos_uri"]
    assert answer["client"]["grants"] == before["grants"]
    whole = METADATA | {"grant_types": ["authorization_code", "refresh_token"], "scope": "openid"}
    answer = perform(issuer, "client.update", client_id="web", metadata=whole)
    later = answer["client"]
    assert later["grants"] == []
    assert later["sign_in"]["resources"] == {}
    assert later["sign_in"]["scopes"] == ["openid"]
    assert later["sign_in"]["refresh"] == "fixed"
    assert later["sign_in"]["first_party"] is True
    assert [each["kind"] for each in answer["revoked"]] == ["client"]


def test_the_grant_types_of_a_change_say_what_is_left(issuer: Issuer) -> None:
    grants = [{"resource": ORDERS, "scopes": ["orders:read"]}]
    add(issuer, METADATA, client_id="web", grants=grants)
    only = {"grant_types": ["client_credentials"]}
    answer = perform(issuer, "client.update", client_id="web", metadata=only)
    assert answer["client"]["sign_in"] is None
    assert len(answer["client"]["grants"]) == 1
    with pytest.raises(OperationRefused, match="client_id is not 'web'"):
        perform(issuer, "client.update", client_id="web", metadata={"client_id": "x"})
