"""The token endpoint: RFC 6749 §4.4 and §5, RFC 8707 §2, RFC 9068 §2.2."""

import pytest

from dojang.jose.jwt import JwtVerifier, check_claims
from dojang.jose.keys import KeySet
from dojang.oauth.http import Response
from dojang.server.admin.resources import SIGNING_ALGORITHMS
from dojang.server.administration import OperationRefused
from dojang.server.model import TokenFormat
from dojang.testing import Issuer
from tests.server.front_door import (
    FORM,
    GRANT,
    NOW,
    ORDERS,
    PAYMENTS,
    basic_of,
    decode_jwt,
    get,
    header_of,
    open_issuer,
    post,
    read,
    refusal,
)

RESOURCES = {ORDERS: ["read", "write"], PAYMENTS: ["read", "pay"]}


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    for identifier, scopes in RESOURCES.items():
        issuer.add_resource(identifier, scopes)
    issuer.add_client("both", {ORDERS: ["read", "write"], PAYMENTS: ["pay"]})
    issuer.add_client("one", {ORDERS: ["read"]})
    issuer.add_client("none")
    return issuer


def ask(issuer: Issuer, client_id: str, **form: str) -> Response:
    return post(issuer, "/token", GRANT | form, basic_of(issuer, client_id))


@pytest.mark.parametrize("token_format", TokenFormat)
@pytest.mark.proves("C52", "C53", "C119")
def test_the_answer_is_exactly_a_token(issuer: Issuer, token_format: TokenFormat) -> None:
    issuer.add_resource("urn:third", ["read"], token_format=token_format)
    issuer.add_client("third", {"urn:third": ["read"]})
    for scope in ("read", "read openid offline_access"):
        answer = ask(issuer, "third", scope=scope)
        if scope != "read":
            assert refusal(answer) == (400, "invalid_scope")
            continue
        assert answer.status == 200
        assert header_of(answer, b"content-type") == b"application/json"
        assert header_of(answer, b"cache-control") == b"no-store"
        told = read(answer)
        assert told.pop("access_token").startswith(
            "dojang_at_" if token_format is TokenFormat.OPAQUE else "ey"
        )
        assert told == {"token_type": "Bearer", "expires_in": 600, "scope": "read"}


@pytest.mark.proves("C53", "A1")
def test_there_is_no_password_and_no_implicit_grant(issuer: Issuer) -> None:
    for grant_type in ("password", "implicit", "device", "x", "Ä"):
        form = {"grant_type": grant_type, "username": "u", "password": "p", "refresh_token": "r"}
        answer = post(issuer, "/token", form, basic_of(issuer, "one"))
        assert refusal(answer) == (400, "unsupported_grant_type")
    assert refusal(post(issuer, "/token", b"", basic_of(issuer, "one"))) == (
        400,
        "invalid_request",
    )


@pytest.mark.proves("C66", "A1")
def test_a_jwt_has_the_claims_of_the_profile_and_no_identity(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="one")
    header, claims = decode_jwt(token)
    assert header.keys() == {"alg", "kid", "typ"}
    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
    jti, grant = claims.pop("jti"), claims.pop("grant")
    assert isinstance(jti, str)
    assert isinstance(grant, str)
    assert claims == {
        "iss": "https://issuer.test",
        "sub": "one",
        "aud": ORDERS,
        "client_id": "one",
        "iat": NOW,
        "exp": NOW + 600,
        "scope": "read",
        "rev": [1, 0],
    }


@pytest.mark.proves("C66", "K1")
def test_a_jwt_verifies_with_the_published_keys_alone(issuer: Issuer) -> None:
    token = issuer.token(scopes=["read"], audience=ORDERS, client_id="one")
    keys = KeySet.parse(get(issuer, "/.well-known/jwks.json").body)
    signed = JwtVerifier(keys, algorithms=["ES256"], types=["at+jwt"]).verify(token)
    check_claims(signed, issuer=issuer.url, audience=ORDERS, now=NOW)


@pytest.mark.proves("C66")
def test_ids_are_never_repeated(issuer: Issuer) -> None:
    tokens = [issuer.token(scopes=["read"], audience=ORDERS, client_id="one") for _ in range(200)]
    assert len({decode_jwt(token)[1]["jti"] for token in tokens}) == 200


@pytest.mark.parametrize(
    "client_id, resource, scope, outcome",
    [
        ("one", None, None, "read"),
        ("one", ORDERS, None, "read"),
        ("one", ORDERS, "read", "read"),
        ("one", ORDERS, "read read", "read"),
        ("one", ORDERS, "write", "invalid_scope"),  # the resource has it, the client has not
        ("one", ORDERS, "read write", "invalid_scope"),
        ("one", ORDERS, "pay", "invalid_scope"),
        ("one", ORDERS, "READ", "invalid_scope"),
        ("one", ORDERS, " ", "invalid_scope"),
        ("one", ORDERS, "read  read", "invalid_scope"),
        ("one", ORDERS, 'read"', "invalid_scope"),
        ("one", PAYMENTS, None, "invalid_target"),  # it exists, for others
        ("one", "https://nowhere.test", None, "invalid_target"),
        ("one", ORDERS + "/", None, "invalid_target"),
        ("one", ORDERS.upper(), None, "invalid_target"),
        ("one", "https://issuer.test/admin", None, "invalid_target"),
        ("one", "https://issuer.test/introspect", "introspect", "invalid_target"),
        ("both", None, None, "invalid_target"),  # which one?
        ("both", None, "pay", "invalid_target"),
        ("both", ORDERS, None, "read write"),
        ("both", ORDERS, "write", "write"),
        ("both", ORDERS, "write read", "write read"),
        ("both", PAYMENTS, None, "pay"),
        ("both", PAYMENTS, "read", "invalid_scope"),  # it has read, but at the other
        ("none", None, None, "invalid_target"),
        ("none", ORDERS, "read", "invalid_target"),
    ],
)
@pytest.mark.proves("C51", "A3")
def test_a_client_gets_what_it_is_registered_for(
    issuer: Issuer, client_id: str, resource: str | None, scope: str | None, outcome: str
) -> None:
    form = {"resource": resource, "scope": scope}
    answer = ask(issuer, client_id, **{name: text for name, text in form.items() if text})
    if outcome.startswith("invalid"):
        assert refusal(answer) == (400, outcome)
    else:
        assert read(answer)["scope"] == outcome
        claims = decode_jwt(read(answer)["access_token"])[1]
        assert claims["scope"] == outcome
        assert claims["aud"] == (resource or ORDERS)


@pytest.mark.proves("C51")
def test_a_resource_of_others_answers_as_one_that_is_not_there(issuer: Issuer) -> None:
    assert ask(issuer, "one", resource=PAYMENTS) == ask(issuer, "one", resource="https://x.test")


@pytest.mark.proves("A3", "C51")
def test_a_token_has_one_audience(issuer: Issuer) -> None:
    form = f"grant_type=client_credentials&resource={ORDERS}&resource={PAYMENTS}".encode()
    answer = post(issuer, "/token", form, basic_of(issuer, "both"))
    assert refusal(answer) == (400, "invalid_request")


@pytest.mark.proves("C51")
def test_a_client_without_a_grant_takes_none_from_the_form(issuer: Issuer) -> None:
    form = GRANT | {"audience": ORDERS, "aud": ORDERS, "sub": "one", "scope": "read"}
    answer = post(issuer, "/token", form, basic_of(issuer, "none"))
    assert refusal(answer) == (400, "invalid_target")


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"grant_type=client_credentials&grant_type=",
        b"grant_type=client_credentials&scope=read&scope=read",
        b"grant_type=client_credentials&%73cope=read&scope=read",
        b"grant_type=client_credentials&x=%zz",
        b"grant_type=client_credentials&x=%ff",
        b"grant_type=client_credentials&x=\xff",
        b"grant_type=client_credentials&" + b"&".join(b"p%d=1" % n for n in range(1000)),
        b"grant_type=client_credentials&x=" + b"x" * 8192,
        b"grant_type=",
        b"{}",
    ],
    ids=range(11),
)
@pytest.mark.proves("C52", "C112")
def test_a_malformed_form_is_an_invalid_request(issuer: Issuer, body: bytes) -> None:
    assert refusal(post(issuer, "/token", body, basic_of(issuer, "one"))) == (
        400,
        "invalid_request",
    )


@pytest.mark.parametrize(
    "media_type", [b"application/json", b"text/plain", b"multipart/form-data", b"", None]
)
@pytest.mark.proves("C52")
def test_another_media_type_is_an_invalid_request(issuer: Issuer, media_type: bytes | None) -> None:
    headers = [basic_of(issuer, "one")]
    if media_type is not None:
        headers.append((b"content-type", media_type))
    body = b"grant_type=client_credentials"
    answer = issuer.transport.answer("POST", "/token", tuple(headers), body)
    assert refusal(answer) == (400, "invalid_request")
    charset = (FORM[0], FORM[1] + b"; charset=UTF-8")
    answer = issuer.transport.answer("POST", "/token", (*headers[:1], charset), body)
    assert answer.status == 200


@pytest.mark.proves("C52")
def test_unknown_parameters_change_nothing(issuer: Issuer) -> None:
    plain = read(ask(issuer, "one"))
    more = read(ask(issuer, "one", expires_in="9", lifetime="9", token_type="mac", alg="none"))
    assert plain.keys() == more.keys()
    assert more["expires_in"] == 600
    assert decode_jwt(more["access_token"])[0]["alg"] == "ES256"


@pytest.mark.proves("C52")
def test_every_refusal_is_json_that_no_cache_keeps(issuer: Issuer) -> None:
    refused = [
        post(issuer, "/token", GRANT),
        post(issuer, "/token", b"", basic_of(issuer, "one")),
        ask(issuer, "one", scope="other"),
        ask(issuer, "one", resource="urn:x"),
    ]
    for answer in refused:
        assert header_of(answer, b"content-type") == b"application/json"
        assert header_of(answer, b"cache-control") == b"no-store"
        assert read(answer).keys() == {"error", "error_description"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.proves("C52")
def test_tokens_are_posted_for(issuer: Issuer, method: str) -> None:
    target = "/token?grant_type=client_credentials"
    answer = issuer.transport.answer(method, target, (basic_of(issuer, "one"),), b"")
    assert answer.status == 405


@pytest.mark.parametrize("algorithm", sorted(SIGNING_ALGORITHMS))
@pytest.mark.proves("K1", "C119")
def test_a_resource_names_its_algorithm(issuer: Issuer, algorithm: str) -> None:
    issuer.add_resource("urn:third", ["read"], algorithm=algorithm)
    token = issuer.token(scopes=["read"], audience="urn:third")
    assert decode_jwt(token)[0]["alg"] == algorithm
    keys = KeySet.parse(get(issuer, "/.well-known/jwks.json").body)
    verifier = JwtVerifier(keys, algorithms=[algorithm], types=["at+jwt"])
    assert verifier.verify(token).claims["aud"] == "urn:third"
    assert issuer.introspect(token, audience="urn:third")["active"] is True


@pytest.mark.parametrize("algorithm", ["none", "HS256", "es256", "A256GCM", "RSA1_5", ""])
@pytest.mark.proves("K1")
def test_no_other_algorithm_can_be_configured(issuer: Issuer, algorithm: str) -> None:
    with pytest.raises(OperationRefused, match="algorithm"):
        issuer.add_resource("urn:third", ["read"], algorithm=algorithm)


@pytest.mark.parametrize("token_format", TokenFormat)
@pytest.mark.parametrize("lifetime", [30, 301, 3600])
@pytest.mark.proves("C119")
def test_a_resource_sets_its_lifetime(
    issuer: Issuer, token_format: TokenFormat, lifetime: int
) -> None:
    issuer.add_resource(
        "urn:third", ["read"], token_format=token_format, access_token_lifetime=lifetime
    )
    issuer.add_client("third", {"urn:third": ["read"]})
    answer = read(ask(issuer, "third"))
    assert answer["expires_in"] == lifetime

    def is_active() -> bool:
        told = issuer.introspect(answer["access_token"], audience="urn:third")
        return told["active"] is True

    issuer.clock.move(lifetime - 0.5)
    assert is_active()
    issuer.clock.move(0.5)
    assert not is_active()


@pytest.mark.parametrize("lifetime", [0, -1, 29, 3601, 10**12])
@pytest.mark.proves("C119")
def test_lifetimes_are_bounded(issuer: Issuer, lifetime: int) -> None:
    with pytest.raises(OperationRefused, match="access_token_lifetime"):
        issuer.add_resource("urn:third", ["read"], access_token_lifetime=lifetime)


@pytest.mark.proves("K4")
def test_an_opaque_token_says_nothing(issuer: Issuer) -> None:
    issuer.add_resource("urn:third", ["read"], token_format="opaque")
    token = issuer.token(scopes=["read"], audience="urn:third", client_id="secretive")
    assert "." not in token
    for word in ("secretive", "urn:third", "read"):
        assert word not in token
    again = issuer.token(scopes=["read"], audience="urn:third", client_id="secretive")
    start = len("dojang_at_") + 5
    assert token[start : start + 20] != again[start : start + 20]


@pytest.mark.parametrize("algorithm", ["RS512", "ES512"])
@pytest.mark.proves("C51")
def test_the_largest_resource_there_can_be_has_tokens_that_verify(algorithm: str) -> None:
    issuer = open_issuer("https://issuer.test/" + "t" * 200)
    scopes = ["s" * 127 + str(number) for number in range(10, 25)]
    audience = "https://" + "x" * 1016
    issuer.add_resource(audience, scopes, algorithm=algorithm)
    token = issuer.token(scopes=scopes, audience=audience, client_id="c" * 128)
    assert issuer.introspect(token, audience=audience)["active"] is True
    for larger in ({"scopes": [*scopes, "s" * 200]}, {"identifier": audience + "x"}):
        asked = {"identifier": "urn:x", "scopes": ["a"]} | larger
        with pytest.raises(OperationRefused):
            issuer.perform("resource.add", **asked)


@pytest.mark.proves("C51")
def test_a_scope_stands_once(issuer: Issuer) -> None:
    with pytest.raises(OperationRefused, match="twice"):
        issuer.add_resource("urn:third", ["a", "b", "a"])
    issuer.add_client("eager", {ORDERS: ["read", "write", "read"]})
    assert read(ask(issuer, "eager"))["scope"] == "read write"
