"""RFC 6749 §2.3 at every endpoint that acts for a client."""

from base64 import b64encode

import pytest
from msgspec.structs import replace

from dojang.server.ports import PutClient
from dojang.server.provider import Provider
from dojang.testing import Issuer
from dojang.testing.inline import run
from tests.server.front_door import (
    GRANT,
    NOW,
    ORDERS,
    basic,
    basic_of,
    basic_raw,
    bearer,
    header_of,
    open_issuer,
    post,
    refusal,
)

FORMS = {
    "/token": GRANT,
    "/introspect": {"token": "any"},
    "/revoke": {"token": "any"},
}
each_endpoint = pytest.mark.parametrize("path", FORMS)


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    issuer.add_client("poster", {ORDERS: ["read"]}, authentication="client_secret_post")
    return issuer


def as_post(issuer: Issuer, client_id: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": issuer.credentials(client_id).secret}


@each_endpoint
@pytest.mark.proves("C45")
def test_a_client_that_proves_who_it_is_is_answered(issuer: Issuer, path: str) -> None:
    assert post(issuer, path, FORMS[path], basic_of(issuer, "shop")).status == 200
    assert post(issuer, path, FORMS[path] | as_post(issuer, "poster")).status == 200


@each_endpoint
@pytest.mark.proves("C45")
def test_no_credentials_are_refused(issuer: Issuer, path: str) -> None:
    assert refusal(post(issuer, path, FORMS[path])) == (401, "invalid_client")
    named = FORMS[path] | {"client_id": "shop"}
    assert refusal(post(issuer, path, named)) == (401, "invalid_client")
    in_query = f"{path}?client_id=shop&client_secret={issuer.credentials('shop').secret}"
    assert refusal(post(issuer, in_query, FORMS[path])) == (401, "invalid_client")


@each_endpoint
@pytest.mark.proves("C45", "C52")
def test_unknown_disabled_and_wrong_look_the_same(issuer: Issuer, path: str) -> None:
    secret = issuer.credentials("shop").secret
    issuer.add_client("gone")
    of_gone = basic_of(issuer, "gone")
    issuer.disable_client("gone")
    answers = [
        post(issuer, path, FORMS[path], header)
        for header in (
            basic("shop", "dojang_cs_" + "A" * 43),
            basic("shop", ""),
            basic("shop", secret[:-1]),
            basic("nobody", secret),
            basic("", secret),
            basic("no\x00body", secret),
            basic("n\N{LATIN SMALL LETTER O WITH STROKE}body", secret),
            basic("x" * 5000, secret),
            of_gone,
        )
    ]
    assert len({(answer.status, answer.headers, answer.body) for answer in answers}) == 1
    assert refusal(answers[0]) == (401, "invalid_client")
    challenge = header_of(answers[0], b"www-authenticate")
    assert challenge is not None
    assert challenge.startswith(b"Basic ")


@each_endpoint
@pytest.mark.proves("C46", "C119")
def test_only_the_registered_method_counts(issuer: Issuer, path: str) -> None:
    assert refusal(post(issuer, path, FORMS[path] | as_post(issuer, "shop"))) == (
        401,
        "invalid_client",
    )
    assert refusal(post(issuer, path, FORMS[path], basic_of(issuer, "poster"))) == (
        401,
        "invalid_client",
    )


@each_endpoint
@pytest.mark.proves("C46")
def test_two_methods_at_once_are_a_bad_request(issuer: Issuer, path: str) -> None:
    header = basic_of(issuer, "shop")
    secret = issuer.credentials("shop").secret
    assertion = {"client_assertion": "a.b.c", "client_assertion_type": "x"}
    for form, headers in (
        ({"client_secret": secret}, [header]),
        ({"client_id": "shop", "client_secret": secret}, [header]),
        (assertion, [header]),
        ({"client_id": "shop", "client_secret": secret} | assertion, []),
        ({}, [header, header]),
        ({}, [header, bearer("x")]),
    ):
        answer = post(issuer, path, FORMS[path] | form, *headers)
        assert refusal(answer) == (400, "invalid_request")


@pytest.mark.proves("C46")
def test_a_bearer_token_is_a_method_too(issuer: Issuer) -> None:
    audience = issuer.provider.introspection_audience
    issuer.add_client("asker", {audience: ["introspect"]})
    token = issuer.token(scopes=["introspect"], audience=audience, client_id="asker")
    form = {"token": token}
    assert post(issuer, "/introspect", form, bearer(token)).status == 200
    both = post(issuer, "/introspect", form | as_post(issuer, "poster"), bearer(token))
    assert refusal(both) == (400, "invalid_request")
    for path in ("/token", "/revoke"):
        assert refusal(post(issuer, path, FORMS[path], bearer(token))) == (401, "invalid_client")


@each_endpoint
@pytest.mark.proves("C46")
def test_a_client_id_in_the_form_must_be_the_proven_one(issuer: Issuer, path: str) -> None:
    header = basic_of(issuer, "shop")
    same = post(issuer, path, FORMS[path] | {"client_id": "shop"}, header)
    other = post(issuer, path, FORMS[path] | {"client_id": "poster"}, header)
    assert same.status == 200
    assert refusal(other) == (401, "invalid_client")


@pytest.mark.proves("C47")
def test_basic_credentials_are_form_decoded(issuer: Issuer) -> None:
    secret = issuer.credentials("shop").secret
    escaped = "%73h%6Fp:" + secret.replace("_", "%5f")
    assert post(issuer, "/token", GRANT, basic_raw(escaped.encode())).status == 200


@pytest.mark.parametrize(
    "value",
    [
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic c2hvcA",  # no padding
        b"Basic c2hvcA==",  # no colon
        b"Basic " + b64encode(b"shop:%zz"),
        b"Basic " + b64encode(b"shop:%"),
        b"Basic " + b64encode(b"sh%F0%28op:x"),
        b"Basic " + b64encode(b"sh\xc3\xb8p:x"),
        b"Basic " + b64encode(b"shop:x")[:-1] + b"=\xff",
        b"Digest c2hvcDp4",
        b"c2hvcDp4",
        b"",
    ],
)
@pytest.mark.proves("C47")
def test_malformed_basic_credentials_are_refused(issuer: Issuer, value: bytes) -> None:
    answer = post(issuer, "/token", GRANT, (b"authorization", value))
    assert refusal(answer) == (401, "invalid_client")


@pytest.mark.proves("C47")
def test_a_plus_in_basic_credentials_is_a_space(issuer: Issuer) -> None:
    secret = issuer.credentials("shop").secret
    assert refusal(post(issuer, "/token", GRANT, basic_raw(f"sh+op:{secret}".encode()))) == (
        401,
        "invalid_client",
    )
    assert post(issuer, "/token", GRANT, basic_raw(f"shop:{secret}+".encode())).status == 401


@pytest.mark.proves("C50")
def test_a_secret_is_generated_long_and_stored_hashed(issuer: Issuer) -> None:
    secrets = [issuer.perform("client.add")["client_secret"] for _ in range(50)]
    assert len(set(secrets)) == 50
    for secret in secrets:
        assert secret.startswith("dojang_cs_")
        assert len(secret.removeprefix("dojang_cs_")) * 6 >= 256
    stored = repr(run(issuer.provider.store.list_clients()))
    trail = repr(run(issuer.provider.store.load_audit()))
    assert not any(secret in stored or secret in trail for secret in secrets)
    listed = str(issuer.perform("client.list"))
    assert not any(secret in listed for secret in secrets)


@pytest.mark.proves("C50")
def test_nobody_chooses_a_secret(issuer: Issuer) -> None:
    with pytest.raises(Exception, match="unknown field"):
        issuer.perform("client.add", client_secret="correct horse battery staple")


@pytest.mark.proves("C119")
def test_an_old_secret_works_for_the_overlap_and_no_longer(issuer: Issuer) -> None:
    first = basic_of(issuer, "shop")
    rotated = issuer.perform("client.rotate_secret", client_id="shop", overlap=100)
    second = basic("shop", rotated["client_secret"])

    def works() -> list[bool]:
        return [post(issuer, "/token", GRANT, header).status == 200 for header in (first, second)]

    assert works() == [True, True]
    issuer.clock.move(99.5)
    assert works() == [True, True]
    issuer.clock.move(0.5)
    assert works() == [False, True]


@pytest.mark.proves("C119")
def test_without_an_overlap_every_old_secret_ends_at_once(issuer: Issuer) -> None:
    first = basic_of(issuer, "shop")
    second = issuer.perform("client.rotate_secret", client_id="shop", overlap=100)["client_secret"]
    third = issuer.perform("client.rotate_secret", client_id="shop")["client_secret"]
    assert post(issuer, "/token", GRANT, first).status == 401
    assert post(issuer, "/token", GRANT, basic("shop", second)).status == 401
    assert post(issuer, "/token", GRANT, basic("shop", third)).status == 200


@each_endpoint
@pytest.mark.proves("C45", "C119")
def test_a_client_whose_secrets_all_ended_has_none(issuer: Issuer, path: str) -> None:
    store = issuer.provider.store
    client = run(store.find_client("shop"))
    assert client is not None
    ended = tuple(replace(secret, expires_at=NOW) for secret in client.secrets)
    run(store.commit([PutClient(replace(client, secrets=ended, version=2))]))
    for header in (basic_of(issuer, "shop"), basic("shop", ""), basic("shop", "x")):
        assert refusal(post(issuer, path, FORMS[path], header)) == (401, "invalid_client")


@pytest.mark.proves("C119")
def test_a_later_rotation_prolongs_no_secret(issuer: Issuer) -> None:
    first = basic_of(issuer, "shop")
    issuer.perform("client.rotate_secret", client_id="shop", overlap=10)
    issuer.perform("client.rotate_secret", client_id="shop", overlap=1000)
    issuer.clock.move(10)
    assert post(issuer, "/token", GRANT, first).status == 401


@pytest.mark.proves("C117")
def test_reasons_are_counted_in_fixed_words(issuer: Issuer) -> None:
    provider: Provider = issuer.provider
    post(issuer, "/token", GRANT, basic("someone\N{SNOWMAN}", "s3cret-in-a-header"))
    post(issuer, "/token", GRANT | {"scope": "s3cret-in-a-form"}, basic_of(issuer, "shop"))
    names = " ".join(word for counter in provider.counters for word in counter)
    assert "unknown_client" in names
    assert "scope_not_granted" in names
    assert "s3cret" not in names
    assert "someone" not in names
