"""Clients that register themselves (RFC 7591)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchResponse
from dojang.jose.keys import SigningKey
from dojang.oauth.redirects import LONGEST_REDIRECT_URI
from dojang.server.epochs import plan_failover
from dojang.server.model import Profile
from dojang.server.people import Registration, RegistrationToken
from dojang.server.registering import PAUSE
from dojang.server.registration_policy import RegistrationPolicy
from dojang.testing.inline import run
from tests.server.clients.registering import CALLBACK, CLOSED, OPEN, ORDERS, Registry
from tests.server.front_door import basic, bearer, get, header_of, post, read, refusal

KEY = SigningKey.generate("ES256", kid="k1")
JWKS = {"keys": [KEY.public_jwk()]}
METADATA = (400, "invalid_client_metadata")
REDIRECT = (400, "invalid_redirect_uri")


@pytest.mark.proves("C100", "A2")
def test_a_client_registers_and_is_told_everything(registry: Registry) -> None:
    client = registry.register(
        contacts=["blue@blue.test"], software_id="blue", grant_types=["authorization_code"]
    )
    described = registry.describe(client)
    client_id, secret = client.pop("client_id"), client.pop("client_secret")
    assert client.pop("registration_access_token").startswith(f"dojang_ra_{client_id}")
    assert client == {
        "redirect_uris": [CALLBACK],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "response_modes": ["query", "form_post"],
        "application_type": "web",
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid profile email orders:read",
        "client_name": "Blue",
        "contacts": ["blue@blue.test"],
        "software_id": "blue",
        "subject_type": "public",
        "id_token_signed_response_alg": "ES256",
        "require_pushed_authorization_requests": False,
        "require_signed_request_object": False,
        "require_auth_time": False,
        "backchannel_logout_session_required": False,
        "frontchannel_logout_session_required": False,
        "client_id_issued_at": 1_800_000_000,
        "client_secret_expires_at": 0,
        "registration_client_uri": f"https://issuer.test/register/{client_id}",
    }
    refused = post(
        registry.issuer, "/token", {"grant_type": "client_credentials"}, basic(client_id, secret)
    )
    assert read(refused)["error"] != "invalid_client"
    assert described["grants"] == []
    assert described["sign_in"]["first_party"] is False
    assert described["sign_in"]["refresh"] == "none"
    assert described["sign_in"]["profile"] == "oauth21"
    assert described["sign_in"]["resources"] == {ORDERS: ["orders:read"]}


@pytest.mark.proves("C100")
def test_nobody_registers_unless_the_operator_says_so() -> None:
    registry = Registry(None)
    assert registry.try_register().status == 404
    metadata = read(get(registry.issuer, "/.well-known/openid-configuration"))
    assert "registration_endpoint" not in metadata
    offered = read(get(Registry().issuer, "/.well-known/openid-configuration"))
    assert offered["registration_endpoint"] == "https://issuer.test/register"


@pytest.mark.proves("C100")
@pytest.mark.parametrize("token", ["x", "dojang_it_" + "a" * 75, "Ω", "dojang_ra_" + "0" * 75])
def test_without_a_good_initial_token_nothing_is_looked_at(registry: Registry, token: str) -> None:
    uri = "https://sector.test/uris"
    registry.issuer.web.put(uri, [CALLBACK])
    refused = registry.try_register(
        token.encode("latin-1", "replace").decode("latin-1"), sector_identifier_uri=uri
    )
    assert refusal(refused) == (401, "invalid_token")
    assert header_of(refused, b"www-authenticate") == (
        b'Bearer realm="dojang", error="invalid_token"'
    )
    assert registry.issuer.web.requests == []
    plain = registry.send("POST", "/register", {"redirect_uris": [CALLBACK]})
    assert refusal(plain) == (401, "invalid_token")


@pytest.mark.proves("C100")
def test_an_initial_token_is_known_by_its_secret(registry: Registry) -> None:
    other = registry.issuer.perform("registration_token.add")["token"]
    assert refusal(registry.try_register(registry.token[:-43] + other[-43:])) == (
        401,
        "invalid_token",
    )


@pytest.mark.proves("C100")
def test_an_initial_token_is_for_so_many_clients_until_so_late(registry: Registry) -> None:
    added = registry.issuer.perform("registration_token.add", label="team", clients=2, lifetime=600)
    token, token_id = added["token"], added["registration_token"]["token_id"]
    assert [registry.try_register(token).status for _ in range(3)] == [201, 201, 401]
    later = registry.issuer.perform("registration_token.add", lifetime=600)["token"]
    registry.issuer.clock.move(600)
    assert registry.try_register(later).status == 401
    listed = registry.issuer.perform("registration_token.list")["registration_tokens"]
    assert [each["left"] for each in listed if each["token_id"] == token_id] == [0]
    assert not any("digest" in each for each in listed)


@pytest.mark.proves("C100")
def test_an_initial_token_that_is_revoked_registers_nobody(registry: Registry) -> None:
    added = registry.issuer.perform("registration_token.add", clients=2)
    token_id = added["registration_token"]["token_id"]
    registry.issuer.perform("registration_token.revoke", token_id=token_id)
    assert registry.try_register(added["token"]).status == 401


@pytest.mark.proves("C100", "C63")
def test_an_initial_token_whose_revocation_may_be_lost_registers_nobody(registry: Registry) -> None:
    plan = partial(
        plan_failover,
        issuer=registry.issuer.url,
        encryption_key=registry.issuer.provider.state.keys._encryption_key,
        clock=registry.issuer.clock,
        lossless=False,
    )
    client = registry.register()
    run(registry.issuer.provider.store.begin_epoch(plan))
    assert registry.try_register().status == 401
    assert registry.manage("GET", client).status == 200  # as its secret, it is what it was


@pytest.mark.proves("C100")
def test_a_refused_registration_costs_nothing(registry: Registry) -> None:
    added = registry.issuer.perform("registration_token.add")
    assert registry.try_register(added["token"], redirect_uris=["javascript:x"]).status == 400
    assert registry.try_register(added["token"], scope="admin").status == 400
    assert registry.try_register(added["token"]).status == 201


@pytest.mark.proves("C100")
def test_open_to_everyone_is_so_many_an_hour() -> None:
    registry = Registry(RegistrationPolicy(open_to_everyone=True, hourly_limit=3))
    document = {"redirect_uris": [CALLBACK], "id_token_signed_response_alg": "ES256"}

    def register() -> int:
        return registry.send("POST", "/register", document).status

    assert [register() for _ in range(4)] == [201, 201, 201, 503]
    registry.issuer.clock.move(3600)
    assert [register() for _ in range(4)] == [201, 201, 201, 503]


@pytest.mark.proves("C100", "C28")
@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["javascript:alert(1)"],
        ["data:text/html,x"],
        ["vbscript:x"],
        ["file:///etc/passwd"],
        ["https://blue.test/#fragment"],
        ["https://blue.test/*"],
        ["https://user@blue.test/"],
        ["http://blue.test/callback"],
        ["//blue.test/"],
        ["/callback"],
        ["com.example.app:/callback"],
        ["https://blue.test/" + "a" * LONGEST_REDIRECT_URI],
        [CALLBACK, "javascript:alert(1)"],
        ["https://blue.test/\u0000"],
        "https://blue.test/callback",
        [1],
        [None],
        {"0": CALLBACK},
        [[CALLBACK]],
    ],
)
def test_redirect_uris_are_as_for_every_client(registry: Registry, uris: Any) -> None:
    assert refusal(registry.try_register(redirect_uris=uris)) == REDIRECT


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_name": 1},
        {"client_name": ""},
        {"client_name": "a\u0007"},
        {"client_name": "a\u202eb"},
        {"client_name": "a" * 201},
        {"client_uri": "javascript:alert(1)"},
        {"client_uri": "http://blue.test"},
        {"logo_uri": "data:image/png;base64,x"},
        {"policy_uri": ["https://blue.test"]},
        {"tos_uri": "https://user:pass@blue.test"},
        {"contacts": "blue@blue.test"},
        {"contacts": ["a"] * 101},
        {"application_type": "service"},
        {"response_types": ["token"]},
        {"response_types": ["code", "id_token"]},
        {"response_types": []},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["authorization_code", "client_credentials"]},
        {"grant_types": ["authorization_code", "implicit"]},
        {"grant_types": ["refresh_token"]},
        {"response_modes": []},
        {"response_modes": ["fragment"]},
        {"response_modes": "query"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct"}]}},
        {"token_endpoint_auth_signing_alg": "none"},
        {"token_endpoint_auth_signing_alg": "HS256"},
        {"jwks": JWKS, "jwks_uri": "https://blue.test/keys"},
        {"jwks": [KEY.public_jwk()]},
        {"jwks": {"keys": [{**KEY.public_jwk(), "d": "AAAA"}]}},
        {"jwks": {"keys": [{**KEY.public_jwk(), "use": "enc", "alg": "ECDH-ES", "d": "AAAA"}]}},
        {"jwks": {"keys": [KEY.public_jwk()] * 65}},
        {"jwks_uri": "http://blue.test/keys"},
        {"jwks_uri": "https://169.254.169.254/keys"},
        {"jwks_uri": "https://0x7f000001/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"backchannel_logout_uri": "https://10.0.0.1/"},
        {"post_logout_redirect_uris": ["javascript:alert(1)"]},
        {"post_logout_redirect_uris": ["https://blue.test/a"] * 101},
        {"subject_type": "ephemeral"},
        {"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://other.test/callback"]},
        {"sector_identifier_uri": "https://[::1]/uris"},
        {"sector_identifier_uri": "https://unknown.test/uris"},
        {"id_token_signed_response_alg": "none"},
        {"id_token_signed_response_alg": "HS256"},
        {"userinfo_signed_response_alg": "none"},
        {"default_max_age": -1},
        {"default_max_age": 2**80},
        {"default_max_age": "60"},
        {"default_max_age": True},
        {"require_auth_time": "true"},
        {"scope": "openid admin"},
        {"scope": "openid offline_access"},
        {"scope": "openid orders:write"},
        {"scope": ["openid"]},
        {"scope": "openid  email"},
        {"scope": 'openid "'},
        {"initiate_login_uri": 5},
        {"initiate_login_uri": "javascript:alert(1)"},
        {"software_id": "a" * 2049},
    ],
)
def test_what_is_wrong_unsupported_or_not_allowed_is_refused(
    registry: Registry, changes: dict[str, Any]
) -> None:
    refused = registry.try_register(**changes)
    assert refusal(refused) == METADATA
    description = read(refused)["error_description"]
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)
    assert registry.issuer.perform("client.list")["clients"] == []


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"redirect_uris": ["https://a.test/"], "redirect_uris": ["https://b.test/"]}',
        b'{"a":' * 20 + b"1" + b"}" * 20,
        b'{"client_name": "\xff"}',
        b'{"client_name": "' + b"a" * 40_000 + b'"}',
    ],
)
def test_what_is_no_json_object_is_refused(registry: Registry, body: bytes) -> None:
    refused = registry.send("POST", "/register", body, bearer(registry.token))
    assert refusal(refused) in {METADATA, (400, "invalid_redirect_uri")}


def test_a_form_is_no_registration(registry: Registry) -> None:
    refused = post(
        registry.issuer, "/register", {"redirect_uris": CALLBACK}, bearer(registry.token)
    )
    assert refusal(refused) == (400, "invalid_request")


@pytest.mark.proves("C100")
def test_unknown_members_and_nulls_are_passed_over(registry: Registry) -> None:
    document = {
        "redirect_uris": [CALLBACK],
        "id_token_signed_response_alg": "ES256",
        "client_uri": None,
        "client_name#ko": "파랑",
        "first_party": True,
        "profile": "oidc-basic",
        "grants": [{"resource": ORDERS, "scopes": ["orders:write"]}],
        "client_id": "operator",
        "client_secret": "mine",
    }
    client = read(registry.send("POST", "/register", document, bearer(registry.token)))
    assert client["client_id"] != "operator"
    assert client["client_secret"] != "mine"
    assert not {"client_uri", "client_name#ko", "first_party", "grants"} & client.keys()
    described = registry.describe(client)
    assert described["sign_in"]["first_party"] is False
    assert described["grants"] == []


@pytest.mark.proves("C100")
def test_a_client_names_less_than_it_may_have(registry: Registry) -> None:
    narrow = registry.register(scope="openid")
    wide = registry.register(scope="orders:read openid")
    assert (narrow["scope"], wide["scope"]) == ("openid", "openid orders:read")
    assert registry.describe(narrow)["sign_in"]["resources"] == {}
    assert registry.describe(wide)["sign_in"]["resources"] == {ORDERS: ["orders:read"]}


@pytest.mark.proves("C100")
def test_by_default_a_client_gets_nothing_at_any_api() -> None:
    registry = Registry(OPEN)
    assert registry.register()["scope"] == "openid profile email"
    assert refusal(registry.try_register(scope="openid orders:read")) == METADATA


@pytest.mark.proves("C100")
def test_what_lies_at_the_sector_names_every_redirect_uri(registry: Registry) -> None:
    web, uri = registry.issuer.web, "https://sector.test/uris"
    wanted = {
        "redirect_uris": [CALLBACK, "https://other.test/callback"],
        "subject_type": "pairwise",
        "sector_identifier_uri": uri,
    }
    for document in (
        [CALLBACK],
        [],
        {"0": CALLBACK},
        [CALLBACK, 1],
        b"",
        b"[" * 60_000,
        b"x" * 70_000,
        [CALLBACK, "https://other.test/callback/"],
    ):
        web.put(uri, document)
        assert refusal(registry.try_register(**wanted)) == METADATA
        registry.issuer.clock.move(PAUSE)
    web.put(uri, wanted["redirect_uris"], status=404)
    assert refusal(registry.try_register(**wanted)) == METADATA
    registry.issuer.clock.move(PAUSE)
    web.put(uri, wanted["redirect_uris"], status=302, headers={"location": "https://a.test"})
    assert refusal(registry.try_register(**wanted)) == METADATA
    registry.issuer.clock.move(PAUSE)
    web.put(uri, [*wanted["redirect_uris"], "https://more.test/"])
    assert registry.describe(registry.register(**wanted))["sign_in"]["sector"] == "sector.test"
    plain = registry.register(subject_type="pairwise")
    assert registry.describe(plain)["sign_in"]["sector"] == "blue.test"
    device = registry.register(
        subject_type="pairwise",
        application_type="native",
        redirect_uris=["http://127.0.0.1/callback", "com.example.blue:/callback"],
    )
    assert registry.describe(device)["sign_in"]["sector"] is None


@pytest.mark.proves("C100")
def test_the_sector_of_another_is_not_had_by_a_scheme_of_ones_own(registry: Registry) -> None:
    """Whoever has the scheme is answered, whatever host stands in it: the names that `blue.test`
    knows people by would be theirs too."""
    blue = registry.register(subject_type="pairwise")
    thief = registry.register(
        subject_type="pairwise",
        application_type="native",
        redirect_uris=["com.example.thief://blue.test/callback"],
    )
    sectors = [registry.describe(each)["sign_in"]["sector"] for each in (blue, thief)]
    assert sectors == ["blue.test", None]


@pytest.mark.proves("C100")
@pytest.mark.parametrize("policy", [CLOSED, OPEN])
def test_nobody_has_the_server_fetch_without_end(policy: RegistrationPolicy) -> None:
    registry = Registry(policy)
    wanted = {"sector_identifier_uri": "https://sector.test/uris"}
    statuses = [registry.try_register(**wanted).status for _ in range(4)]
    assert statuses == [400, 503, 503, 503]
    assert len(registry.issuer.web.requests) == 1
    registry.issuer.clock.move(PAUSE)
    registry.issuer.web.put("https://sector.test/uris", [CALLBACK])
    client = registry.register(**wanted)
    change = {"client_id": client["client_id"], "redirect_uris": [CALLBACK], **wanted}
    statuses = [registry.manage("PUT", client, change).status for _ in range(3)]
    assert statuses == [200, 503, 503]
    assert len(registry.issuer.web.requests) == 3


@pytest.mark.proves("C100")
def test_nobody_has_one_address_after_the_other_fetched_for_keys(registry: Registry) -> None:
    """Whoever asks for it with a signature has a key set fetched, at most so often for one address:
    a client that moves its own all the time would have the server call on anybody."""
    client = registry.register(jwks_uri="https://blue.test/keys")
    change = {"client_id": client["client_id"], "redirect_uris": [CALLBACK]}
    moves = [{**change, "jwks_uri": f"https://other.test/{place}"} for place in range(3)]
    assert [registry.manage("PUT", client, each).status for each in moves] == [200, 503, 503]
    stays = [registry.manage("PUT", client, moves[0]).status for _ in range(3)]
    assert stays == [200, 200, 200]
    registry.issuer.clock.move(PAUSE)
    assert registry.manage("PUT", client, moves[1]).status == 200


def test_a_sector_that_does_not_answer_is_refused_and_no_oracle(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for problem in FetchProblem:

        async def fail(request: object, problem: FetchProblem = problem) -> FetchResponse:
            raise FetchFailed("sector.test", problem)

        monkeypatch.setattr(registry.issuer.web, "send", fail)
        registry.issuer.clock.move(PAUSE)
        refused = registry.try_register(sector_identifier_uri="https://sector.test/")
        seen.add((refused.status, refused.body))
    assert len(seen) == 1


@pytest.mark.proves("C100", "C102")
def test_what_is_kept_opens_nothing(registry: Registry) -> None:
    client = registry.register()
    store = registry.issuer.provider.store
    (kept,) = run(store.list_all(Registration))
    tokens = run(store.list_all(RegistrationToken))
    audit = run(store.load_audit())
    text = repr((kept, tokens, audit))
    for secret in (client["registration_access_token"], client["client_secret"], registry.token):
        assert secret not in text
        assert secret[-43:] not in text
    event = next(each.event for each in audit if each.event.action == "client.register")
    assert event.actor.startswith("registration-token:")
    assert event.target == client["client_id"]


@pytest.mark.proves("C100")
def test_a_public_client_proves_nothing_and_uses_pkce() -> None:
    registry = Registry(RegistrationPolicy(open_to_everyone=True, profile=Profile.OIDC_BASIC))
    client = registry.register(
        token_endpoint_auth_method="none",
        application_type="native",
        redirect_uris=["com.example.blue:/callback", "http://127.0.0.1/callback"],
        grant_types=["authorization_code", "refresh_token"],
    )
    assert "client_secret" not in client
    assert "client_secret_expires_at" not in client
    (described,) = registry.issuer.perform("client.list")["clients"]
    assert described["sign_in"]["profile"] == "oauth21"
    assert described["sign_in"]["refresh"] == "rotating"
    assert described["sign_in"]["public"] is True


@pytest.mark.proves("C100")
def test_the_operator_says_whether_pkce_may_be_left_out() -> None:
    registry = Registry(RegistrationPolicy(open_to_everyone=True, profile=Profile.OIDC_BASIC))
    registry.register()
    (described,) = registry.issuer.perform("client.list")["clients"]
    assert described["sign_in"]["profile"] == "oidc-basic"
