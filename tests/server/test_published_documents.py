"""Discovery (RFC 8414) and the key set (RFC 7517), as anyone may fetch and keep them."""

import json
from typing import Any

import pytest

from dojang.jose.keys import KeySet
from dojang.oauth.metadata import find_metadata_paths, parse_metadata
from dojang.server.grant_types import ANEW, STANDING
from dojang.server.lifetimes import JWKS_MAX_AGE
from dojang.server.provider import initialise
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer, SettableClock
from dojang.testing.inline import run
from tests.server.front_door import (
    GRANT,
    NOW,
    ORDERS,
    basic_of,
    decode_jwt,
    get,
    header_of,
    open_issuer,
    post,
    read,
)

JWKS = "/.well-known/jwks.json"
ISSUERS = ["https://issuer.test", "https://issuer.test/tenant/one", "http://127.0.0.1:8460"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@pytest.fixture
def issuer() -> Issuer:
    return open_issuer()


@pytest.mark.parametrize("url", ISSUERS)
@pytest.mark.proves("C94", "A2")
def test_the_metadata_is_the_issuers_wherever_it_is_looked_for(url: str) -> None:
    issuer = open_issuer(url)
    documents = set()
    for path in find_metadata_paths(url):
        answer = get(issuer, path)
        assert answer.status == 200
        assert header_of(answer, b"content-type") == b"application/json"
        documents.add(answer.body)
    (document,) = documents
    assert parse_metadata(document, issuer=url).issuer == url


@pytest.mark.parametrize("url", ISSUERS)
@pytest.mark.proves("C94")
def test_every_address_in_it_is_the_issuers_and_answers(url: str) -> None:
    issuer = open_issuer(url)
    metadata = read(get(issuer, find_metadata_paths(url)[0]))
    addresses = {
        name: value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))
    }
    assert addresses.keys() == {
        "authorization_endpoint",
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "userinfo_endpoint",
        "end_session_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "dojang_feed_endpoint",
        "jwks_uri",
    }
    origin = "/".join(url.split("/")[:3])
    for name, address in addresses.items():
        assert address.startswith(url)
        path = address.removeprefix(origin)
        answer = (get if name == "jwks_uri" else post_nothing)(issuer, path)
        assert answer.status in (200, 303, 400, 401)


def post_nothing(issuer: Issuer, path: str) -> Any:
    return post(issuer, path, b"")


@pytest.mark.proves("C94", "A1")
def test_only_what_the_server_does_stands_in_it(issuer: Issuer) -> None:
    metadata = read(get(issuer, "/.well-known/oauth-authorization-server"))
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    grants = ["client_credentials", "authorization_code", "refresh_token", exchange]
    assert metadata["grant_types_supported"] == [*STANDING, *ANEW] == grants
    assert metadata["response_types_supported"] == ["code"]
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    for endpoint in ("token", "introspection", "revocation"):
        public = [] if endpoint == "introspection" else ["none"]
        found = sorted(metadata[f"{endpoint}_endpoint_auth_methods_supported"])
        assert found == sorted([*methods, *public])
        algorithms = metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert "ES256" in algorithms
        assert not {"none", "HS256", "HS384", "HS512"} & set(algorithms)
    assert not {"none", "HS256"} & set(metadata["id_token_signing_alg_values_supported"])
    assert metadata["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test",
        "https://issuer.test/",
        "https://issuer.test/tenant/",
        "https://issuer.test?x=1",
        "https://issuer.test#x",
        "https://user@issuer.test",
        "issuer.test",
        "",
    ],
)
@pytest.mark.proves("C94")
def test_a_server_under_a_bad_name_does_not_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|issuer|https"):
        run(
            initialise(
                issuer=url,
                store=MemoryStore(),
                clock=SettableClock(NOW),
                key_encryption_key=bytes(32),
            )
        )


@pytest.mark.parametrize(
    "header",
    [
        (b"host", b"evil.test"),
        (b"x-forwarded-host", b"evil.test"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-prefix", b"/evil"),
        (b"forwarded", b"host=evil.test;proto=http"),
        (b"x-original-url", b"/evil"),
    ],
)
@pytest.mark.proves("C110", "C94")
def test_no_header_changes_the_issuer(issuer: Issuer, header: tuple[bytes, bytes]) -> None:
    path = "/.well-known/oauth-authorization-server"
    assert get(issuer, path, header) == get(issuer, path)
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    answer = post(issuer, "/token", GRANT, basic_of(issuer, "shop"), header)
    assert decode_jwt(read(answer)["access_token"])[1]["iss"] == "https://issuer.test"


@pytest.mark.proves("C95", "K2")
def test_the_key_set_has_public_keys_only(issuer: Issuer) -> None:
    issuer.add_resource("urn:rsa", ["x"], algorithm="RS256")
    issuer.add_resource("urn:ed", ["x"], algorithm="EdDSA")
    issuer.add_resource("urn:opaque", ["x"], token_format="opaque")
    issuer.rotate_keys()
    answer = get(issuer, JWKS)
    assert header_of(answer, b"content-type") == b"application/json"
    keys = read(answer)["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) == 7
    for key in keys:
        assert not PRIVATE & key.keys()
        assert key["use"] == "sig"
        assert key["kty"] in ("EC", "RSA", "OKP")
        assert key["alg"] in ("ES256", "RS256", "EdDSA")
    assert KeySet.parse(answer.body).skipped == ()
    stored = run(issuer.provider.store.load_keys())
    assert not {record.kid for record in stored if record.use == "seal"} & {
        key["kid"] for key in keys
    }


@pytest.mark.proves("K2")
def test_a_kid_says_nothing(issuer: Issuer) -> None:
    issuer.add_client("shop")
    issuer.add_resource("urn:rsa", ["x"], algorithm="RS256")
    kids = [key["kid"] for key in read(get(issuer, JWKS))["keys"]]
    for kid in kids:
        assert len(bytes.fromhex(kid)) == 8
    assert len({kid[:3] for kid in kids}) > 1  # no time in front


@pytest.mark.parametrize("path", [JWKS, "/.well-known/oauth-authorization-server"])
@pytest.mark.proves("C95")
def test_documents_are_kept_for_a_while_and_asked_for_again_cheaply(
    issuer: Issuer, path: str
) -> None:
    whole = get(issuer, path)
    assert header_of(whole, b"cache-control") == b"public, max-age=%d" % JWKS_MAX_AGE
    etag = header_of(whole, b"etag")
    assert etag is not None
    for condition in (etag, b"W/" + etag, b'"other", ' + etag, b"*"):
        unchanged = get(issuer, path, (b"if-none-match", condition))
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert header_of(unchanged, b"etag") == etag
        assert header_of(unchanged, b"cache-control") is not None
    for condition in (b'"other"', b"", etag[:-2] + b'x"'):
        assert get(issuer, path, (b"if-none-match", condition)) == whole


@pytest.mark.proves("C95")
def test_a_changed_key_set_has_another_tag(issuer: Issuer) -> None:
    before = header_of(get(issuer, JWKS), b"etag")
    assert before is not None
    issuer.revoke_key()
    after = get(issuer, JWKS, (b"if-none-match", before))
    assert after.status == 200
    assert header_of(after, b"etag") != before


@pytest.mark.proves("C94")
def test_the_metadata_is_strict_json(issuer: Issuer) -> None:
    body = get(issuer, "/.well-known/openid-configuration").body
    pairs = json.loads(body, object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == len(pairs)
