"""A client reads, changes and removes its own registration, and no other (RFC 7592)."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.jose.keys import SigningKey
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.server.admin.errors import OperationRefused
from dojang.server.people import Grant, Registration
from dojang.server.ports import Put
from dojang.testing.inline import run
from tests.server.clients.registering import CALLBACK, ORDERS, Registry
from tests.server.front_door import basic, bearer, post, read, refusal

REFUSED = (401, "invalid_token")
METADATA = (400, "invalid_client_metadata")
OTHER = "https://blue.test/other"


def describe_anew(client: dict[str, Any], **changes: Any) -> dict[str, Any]:
    wanted = {
        "client_id": client["client_id"],
        "redirect_uris": [CALLBACK],
        "id_token_signed_response_alg": "ES256",
        **changes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


@pytest.mark.proves("C102")
def test_a_client_reads_what_it_registered_and_no_secret(registry: Registry) -> None:
    client = registry.register(client_name="Blue", contacts=["a@blue.test"])
    response = registry.manage("GET", client)
    assert response.status == 200
    del client["client_secret"]
    assert read(response) == client


@pytest.mark.proves("C102")
def test_a_client_manages_no_other(registry: Registry) -> None:
    mine, other = registry.register(), registry.register()
    token = mine["registration_access_token"]
    for method, document in (("GET", None), ("PUT", describe_anew(other)), ("DELETE", None)):
        assert refusal(registry.manage(method, other, document, token=token)) == REFUSED
    swapped = f"dojang_ra_{other['client_id']}{token[-43:]}"
    assert refusal(registry.manage("GET", other, token=swapped)) == REFUSED
    assert registry.manage("GET", other).status == 200


@pytest.mark.proves("C102")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("token", ["x", "dojang_ra_", "dojang_ra_" + "0" * 75, "\x80"])
def test_nothing_else_opens_it(registry: Registry, method: str, token: str) -> None:
    client = registry.register()
    document = describe_anew(client) if method == "PUT" else None
    path = f"/register/{client['client_id']}"
    shown = (b"authorization", b"Bearer " + token.encode("latin-1"))
    assert refusal(registry.send(method, path, document, shown)) == REFUSED
    assert refusal(registry.send(method, path, document)) == REFUSED
    assert refusal(registry.send(method, path, document, bearer(registry.token))) == REFUSED
    secret = basic(client["client_id"], client["client_secret"])
    assert refusal(registry.send(method, path, document, secret)) == REFUSED
    assert registry.manage("GET", client).status == 200


@pytest.mark.proves("C102")
@pytest.mark.parametrize("path", ["/register/operator", "/register/none", "/register/%00"])
def test_what_did_not_register_is_not_there(registry: Registry, path: str) -> None:
    client = registry.register()
    shown = bearer(client["registration_access_token"])
    assert refusal(registry.send("GET", path, None, shown)) == REFUSED


@pytest.mark.proves("C102")
def test_a_change_replaces_everything(registry: Registry) -> None:
    client = registry.register(contacts=["a@blue.test"], scope="openid orders:read")
    response = registry.manage("PUT", client, describe_anew(client, redirect_uris=[OTHER]))
    assert response.status == 200, response.body
    later = read(response)
    assert later["redirect_uris"] == [OTHER]
    assert not {"contacts", "client_name", "client_secret"} & later.keys()
    assert later["scope"] == "openid profile email orders:read"
    assert later["client_id_issued_at"] == client["client_id_issued_at"]
    assert read(registry.manage("GET", client)) == later
    described = registry.describe(client)
    assert described["sign_in"]["redirect_uris"] == [OTHER]
    assert described["version"] == 2
    asked = post(
        registry.issuer,
        "/token",
        {"grant_type": "authorization_code", "code": "x"},
        basic(client["client_id"], client["client_secret"]),
    )
    assert refusal(asked) == (400, "invalid_grant")  # its secret is what it was


@pytest.mark.proves("C102")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "operator"},
        {"client_secret": "guessed"},
        {"client_secret": 1},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://issuer.test/register/other"},
        {"client_secret_expires_at": 0},
        {"client_id_issued_at": 1},
        {"scope": "openid admin:write"},
        {"grant_types": ["client_credentials"]},
        {"jwks_uri": "https://10.0.0.1/"},
    ],
)
def test_a_change_is_refused_whole(registry: Registry, changes: dict[str, Any]) -> None:
    client = registry.register()
    refused = registry.manage("PUT", client, describe_anew(client, **changes))
    assert refusal(refused) == METADATA
    (described,) = registry.issuer.perform("client.list")["clients"]
    assert described["version"] == 1


@pytest.mark.proves("C102")
def test_a_client_changes_how_it_proves_itself(registry: Registry) -> None:
    client = registry.register()
    key = SigningKey.generate("ES256", kid="k1")
    by_key = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]}}
    later = read(registry.manage("PUT", client, describe_anew(client, **by_key)))
    assert not {"client_secret", "client_secret_expires_at"} & later.keys()
    old = basic(client["client_id"], client["client_secret"])
    form = {"grant_type": "authorization_code", "code": "x"}
    assert refusal(post(registry.issuer, "/token", form, old)) == (401, "invalid_client")
    back = read(registry.manage("PUT", client, describe_anew(client)))
    assert back["client_secret"] != client["client_secret"]
    assert refusal(post(registry.issuer, "/token", form, old)) == (401, "invalid_client")
    new = basic(client["client_id"], back["client_secret"])
    assert refusal(post(registry.issuer, "/token", form, new)) == (400, "invalid_grant")


@pytest.mark.proves("C102", "K6")
def test_the_end_of_a_client_ends_all_it_holds(registry: Registry) -> None:
    client = registry.register()
    client_id = client["client_id"]
    store = registry.issuer.provider.store
    grant = Grant(
        grant_id="g",
        client_id=client_id,
        account_id="a",
        session_id=None,
        scopes=("openid",),
        auth_time=1,
        created_at=1,
        expires_at=2_000_000_000,
    )
    run(store.commit([Put(grant)]))
    assert registry.manage("DELETE", client).status == 204
    facts = run(store.load_facts(Rev(0, 0)))
    assert [(fact.kind, fact.identifier) for fact in facts] == [
        (FactKind.CLIENT, client_id),
        (FactKind.GRANT, "g"),
    ]
    assert run(store.find_client(client_id)) is None
    assert run(store.list_all(Registration)) == []
    ended = run(store.find(Grant, "g"))
    assert ended is not None
    assert ended.ended_at is not None
    for method in ("GET", "DELETE"):
        assert refusal(registry.manage(method, client)) == REFUSED
    actions = [each.event.action for each in run(store.load_audit())]
    assert actions[-1] == "client.remove_registration"


@pytest.mark.proves("C102", "K6")
def test_an_operator_removes_a_client_with_its_registration(registry: Registry) -> None:
    client = registry.register()
    registry.issuer.perform("client.remove", client_id=client["client_id"])
    assert refusal(registry.manage("GET", client)) == REFUSED
    assert run(registry.issuer.provider.store.list_all(Registration)) == []


@pytest.mark.proves("K6")
def test_the_tokens_of_a_removed_client_are_dead_even_where_it_comes_again(
    registry: Registry,
) -> None:
    issuer = registry.issuer
    issuer.add_client("machine", {ORDERS: ["orders:read"]})
    token = issuer.token(scopes=["orders:read"], audience=ORDERS, client_id="machine")
    assert issuer.introspect(token, audience=ORDERS)["active"] is True
    issuer.perform("client.remove", client_id="machine")
    assert issuer.introspect(token, audience=ORDERS)["active"] is False
    issuer.add_client("machine", {ORDERS: ["orders:read"]})
    assert issuer.introspect(token, audience=ORDERS)["active"] is False
    with pytest.raises(OperationRefused):
        issuer.perform("client.remove", client_id="nobody")


@pytest.mark.proves("C102")
def test_a_client_that_is_disabled_manages_nothing(registry: Registry) -> None:
    client = registry.register()
    registry.issuer.disable_client(client["client_id"])
    for method in ("GET", "DELETE"):
        assert refusal(registry.manage(method, client)) == REFUSED
    assert refusal(registry.manage("PUT", client, describe_anew(client))) == REFUSED
    (described,) = registry.issuer.perform("client.list")["clients"]
    assert described["enabled"] is False
