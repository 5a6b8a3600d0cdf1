"""Authorization requests that their client signed (RFC 9101): in the browser, or pushed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.client_assertion import ASSERTION_TYPE
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.pkce import build_challenge
from dojang.server.admin.errors import OperationRefused
from dojang.server.client_keys import COOLDOWN
from dojang.server.interaction import PersonAsked, Redirected
from tests.server.front_door import basic_of, get, post, read, refusal
from tests.server.people.world import CALLBACK, ORDERS, VERIFIER, World

KEY, OTHER = SigningKey.generate("ES256", kid="k1"), SigningKey.generate("ES256", kid="k2")
EDDSA = SigningKey.generate("EdDSA", kid="k3")
TYPE = "oauth-authz-req+jwt"
ALONE = dict.fromkeys(
    ("redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge"), None
) | {"code_challenge_method": None}


class Signing(World):
    """A world whose client `app` has keys."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        wanted = {
            "redirect_uris": (CALLBACK,),
            "scopes": ("openid", "email"),
            "resources": {ORDERS: ("orders:read",)},
            "id_token_algorithm": "ES256",
            **settings,
        }
        self.issuer.add_client(
            "signs",
            jwks={"keys": [KEY.public_jwk(), EDDSA.public_jwk()]},
            sign_in=wanted,
        )

    def build(
        self,
        *,
        key: SigningKey = KEY,
        typ: str | None = TYPE,
        **changes: Any,
    ) -> str:
        """A good request object, changed; a change to None takes a claim away."""
        claims = {
            "iss": "signs",
            "aud": self.issuer.url,
            "exp": self.now + 300,
            "nbf": self.now,
            "client_id": "signs",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "signed",
            "nonce": "n-2",
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in claims.items() if value is not None}
        return sign_jwt(given, CompactSigner(key, typ=typ))

    def ask_signed(self, request: str, **beside: str | None) -> Any:
        return self.ask(**{**ALONE, "client_id": "signs", "request": request, **beside})

    def refuse(self, request: str, **beside: str | None) -> tuple[ErrorCode, str]:
        """How a request is refused, on a page: nothing is sent anywhere."""
        with pytest.raises(OAuthError) as refused:
            self.ask_signed(request, **beside)
        return refused.value.code, refused.value.reason


@pytest.fixture
def world() -> Signing:
    return Signing()


def finish(world: World, asked: Any) -> Redirected:
    if isinstance(asked, PersonAsked) and asked.account_id is None:
        asked = world.sign_in(asked)
    if isinstance(asked, PersonAsked):
        asked = world.consent(asked)
    assert isinstance(asked, Redirected)
    return asked


@pytest.mark.proves("C38", "A2")
@pytest.mark.parametrize("typ", [TYPE, "application/oauth-authz-req+jwt", "JWT", "jwt", None])
@pytest.mark.parametrize("key", [KEY, EDDSA])
def test_what_was_signed_is_what_is_asked(world: Signing, typ: str, key: SigningKey) -> None:
    done = finish(world, world.ask_signed(world.build(typ=typ, key=key)))
    assert done.parameters["state"] == "signed"
    assert read(world.redeem(done.parameters["code"], "signs"))["scope"] == "openid"


@pytest.mark.proves("C38")
def test_nothing_beside_the_object_counts(world: Signing) -> None:
    beside = {
        "scope": "openid email",
        "state": "beside",
        "redirect_uri": "https://evil.test/",
        "response_type": "token",
        "response_mode": "form_post",
        "prompt": "none",
        "max_age": "x",
        "resource": ORDERS,
        "nonce": "other",
        "code_challenge": "x",
        "claims": "{",
    }
    asked = world.ask_signed(world.build(), **beside)
    assert isinstance(asked, PersonAsked)
    assert asked.interaction.parameters == {
        "client_id": "signs",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "state": "signed",
        "nonce": "n-2",
        "code_challenge": build_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    done = finish(world, asked)
    assert done.target.uri == CALLBACK
    assert read(world.redeem(done.parameters["code"], "signs"))["scope"] == "openid"


@pytest.mark.proves("C38")
def test_numbers_and_objects_stand_as_such(world: Signing) -> None:
    claims = {"id_token": {"email": {"essential": True}}}
    request = world.build(
        max_age=60, claims=claims, scope="openid orders:read", resource=[ORDERS], extra={"a": [1]}
    )
    asked = world.ask_signed(request)
    assert asked.checked.request.max_age == 60
    assert asked.checked.request.claims["id_token"] == claims["id_token"]
    assert asked.checked.wanted.resource == ORDERS
    assert "extra" not in asked.interaction.parameters


@pytest.mark.proves("C38")
@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"key": OTHER}, "request_object_unknown_key"),
        ({"key": SigningKey.generate("ES256", kid="k1")}, "request_object_bad_signature"),
        ({"iss": "app"}, "request_object_of_another"),
        ({"iss": None}, "request_object_of_another"),
        ({"iss": ["signs"]}, "request_object_of_another"),
        ({"client_id": "app"}, "request_object_of_another"),
        ({"sub": "signs"}, "request_object_is_an_assertion"),
        ({"aud": None}, "request_object_audience"),
        ({"aud": "https://other.test"}, "request_object_audience"),
        ({"aud": ["https://other.test"]}, "request_object_audience"),
        ({"aud": {"https://issuer.test": 1}}, "request_object_audience"),
        ({"aud": "https://issuer.test/token"}, "request_object_audience"),
        ({"exp": None}, "request_object_expired"),
        ({"exp": 1_800_000_000}, "request_object_expired"),
        ({"exp": "1900000000"}, "request_object_time_malformed"),
        ({"exp": True}, "request_object_time_malformed"),
        ({"exp": 10**400}, "request_object_lives_too_long"),
        ({"exp": 1_800_003_611, "nbf": None}, "request_object_lives_too_long"),
        ({"exp": 1_800_000_100, "nbf": 1_799_996_499}, "request_object_lives_too_long"),
        (
            {"exp": 1_800_000_100, "nbf": None, "iat": 1_799_996_499},
            "request_object_lives_too_long",
        ),
        ({"nbf": 1_800_000_011}, "request_object_from_the_future"),
        ({"iat": 1_800_000_011}, "request_object_from_the_future"),
        ({"nbf": "now"}, "request_object_time_malformed"),
        ({"request": "x"}, "request_object_nested"),
        ({"request_uri": "https://signs.test/"}, "request_object_nested"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "request_object_nested"),
        ({"scope": ["openid"]}, "request_object_malformed"),
        ({"state": 5}, "request_object_malformed"),
        ({"max_age": True}, "request_object_malformed"),
        ({"max_age": 1.5}, "request_object_malformed"),
        ({"claims": []}, "request_object_malformed"),
        ({"resource": [ORDERS, ORDERS]}, "request_object_malformed"),
        ({"redirect_uri": {}}, "request_object_malformed"),
        ({"typ": "at+jwt"}, "request_object_type_not_allowed"),
        ({"typ": "logout+jwt"}, "request_object_type_not_allowed"),
        ({"typ": "client-authentication+jwt"}, "request_object_type_not_allowed"),
        ({"typ": "dpop+jwt"}, "request_object_type_not_allowed"),
        ({"typ": "dojang-feed+jwt"}, "request_object_type_not_allowed"),
    ],
)
def test_what_is_not_right_is_shown_and_never_sent(
    world: Signing, changes: dict[str, Any], reason: str
) -> None:
    assert world.refuse(world.build(**changes)) == (ErrorCode.INVALID_REQUEST_OBJECT, reason)


@pytest.mark.proves("C38")
@pytest.mark.parametrize("signature", ["", "x"])
def test_an_unsigned_object_is_none(world: Signing, signature: str) -> None:
    _, claims, _ = world.build().split(".")
    for algorithm in ("none", "None", "HS256", "RS1"):
        header = base64url.encode(json.dumps({"alg": algorithm, "typ": TYPE}).encode())
        code, _ = world.refuse(f"{header}.{claims}.{signature}")
        assert code is ErrorCode.INVALID_REQUEST_OBJECT


@pytest.mark.proves("C38")
@pytest.mark.parametrize(
    "request_object", ["x", ".", "..", "a.b.c", "a.b.c.d.e", "é", "\ud800", "e30.e30." + "A" * 9000]
)
def test_what_is_no_jwt_is_refused(world: Signing, request_object: str) -> None:
    assert world.refuse(request_object)[0] is ErrorCode.INVALID_REQUEST_OBJECT


@pytest.mark.proves("C38")
def test_the_redirect_uri_inside_is_the_clients(world: Signing) -> None:
    request = world.build(redirect_uri="https://evil.test/")
    assert world.refuse(request, redirect_uri=CALLBACK) == (
        ErrorCode.INVALID_REQUEST,
        "redirect_uri",
    )
    refused = world.ask_signed(world.build(response_type="token"))
    assert isinstance(refused, Redirected)
    assert refused.parameters["error"] == "unsupported_response_type"


@pytest.mark.proves("C38")
def test_a_client_that_need_not_sign_is_told_at_its_own_address(world: Signing) -> None:
    bad = world.build(exp=1)
    told = world.ask_signed(bad, redirect_uri=CALLBACK, state="beside")
    assert isinstance(told, Redirected)
    assert told.target.uri == CALLBACK
    assert told.parameters["error"] == "invalid_request_object"
    assert told.parameters["state"] == "beside"
    for beside in ({}, {"redirect_uri": "https://evil.test/"}, {"redirect_uri": f"{CALLBACK}/"}):
        assert world.refuse(bad, **beside)[0] is ErrorCode.INVALID_REQUEST_OBJECT
    always = Signing(require_signed_request_object=False)
    always.issuer.add_client(
        "always",
        jwks={"keys": [KEY.public_jwk()]},
        sign_in={
            "redirect_uris": (CALLBACK,),
            "id_token_algorithm": "ES256",
            "require_signed_request_object": True,
        },
    )
    refused = always.refuse(bad, client_id="always", redirect_uri=CALLBACK)
    assert refused[0] is ErrorCode.INVALID_REQUEST_OBJECT


@pytest.mark.proves("C38")
def test_an_object_of_another_client_is_none_of_this_one(world: Signing) -> None:
    world.issuer.add_client(
        "other",
        jwks={"keys": [OTHER.public_jwk()]},
        sign_in={"redirect_uris": (CALLBACK,), "id_token_algorithm": "ES256"},
    )
    assert world.refuse(world.build(), client_id="other")[0] is ErrorCode.INVALID_REQUEST_OBJECT
    mixed = world.build(key=OTHER, iss="other", client_id="signs")
    assert world.refuse(mixed, client_id="other")[0] is ErrorCode.INVALID_REQUEST_OBJECT
    assert world.refuse(world.build(), client_id="app") == (
        ErrorCode.INVALID_REQUEST_OBJECT,
        "no_client_keys",
    )
    assert world.refuse(world.build(), client_id=None)[0] is ErrorCode.INVALID_CLIENT


@pytest.mark.proves("C38", "C39")
def test_an_object_by_reference_is_not_fetched(world: Signing) -> None:
    uri = "https://signs.test/request"
    world.issuer.web.put(uri, world.build().encode())
    refused = world.ask(client_id="signs", request_uri=uri)
    assert isinstance(refused, Redirected)
    assert refused.parameters["error"] == "request_uri_not_supported"
    code, reason = world.refuse(world.build(), request_uri=uri)
    assert (code, reason) == (ErrorCode.INVALID_REQUEST, "two_requests")
    assert world.issuer.web.requests == []


@pytest.mark.proves("C38")
def test_no_other_token_of_the_client_is_a_request(world: Signing) -> None:
    assertion = {"iss": "signs", "sub": "signs", "aud": world.issuer.url, "jti": "j"}
    for typ in ("JWT", "client-authentication+jwt"):
        token = sign_jwt({**assertion, "exp": world.now + 60}, CompactSigner(KEY, typ=typ))
        assert world.refuse(token)[0] is ErrorCode.INVALID_REQUEST_OBJECT
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": world.build(typ="JWT", jti="j"),
    }
    assert refusal(post(world.issuer, "/token", form)) == (401, "invalid_client")


@pytest.mark.proves("C38")
def test_a_client_that_signs_does_nothing_else() -> None:
    world = Signing()
    world.issuer.add_client(
        "always",
        jwks={"keys": [KEY.public_jwk(), EDDSA.public_jwk()]},
        sign_in={
            "redirect_uris": (CALLBACK,),
            "id_token_algorithm": "ES256",
            "require_signed_request_object": True,
            "request_object_algorithm": "EdDSA",
        },
    )
    refused = world.ask(client_id="always")
    assert isinstance(refused, Redirected)
    assert refused.parameters["error"] == "invalid_request"
    names: dict[str, Any] = {"iss": "always", "client_id": "always"}
    assert world.refuse(world.build(**names), client_id="always")[1] == (
        "request_object_algorithm_not_allowed"
    )
    asked = world.ask_signed(world.build(key=EDDSA, **names), client_id="always")
    assert isinstance(finish(world, asked), Redirected)
    with pytest.raises(OperationRefused, match="jwks"):
        world.issuer.add_client(
            "keyless",
            sign_in={"redirect_uris": (CALLBACK,), "require_signed_request_object": True},
        )


def push(world: Signing, request: str, client_id: str = "signs", **form: str) -> Any:
    return post(
        world.issuer, "/par", {"request": request, **form}, basic_of(world.issuer, client_id)
    )


@pytest.mark.proves("C37", "C38")
def test_an_object_is_pushed_as_well() -> None:
    world = Signing(require_signed_request_object=False, require_pushed=True)
    response = push(world, world.build(), scope="openid email", redirect_uri="https://evil.test/")
    assert response.status == 201, response.body
    uri = read(response)["request_uri"]
    done = finish(world, world.ask(**{**ALONE, "client_id": "signs", "request_uri": uri}))
    assert done.parameters["state"] == "signed"
    assert refusal(push(world, world.build(aud="x"))) == (400, "invalid_request_object")
    assert refusal(push(world, world.build(redirect_uri="https://evil.test/"))) == (
        400,
        "invalid_request",
    )
    assert refusal(push(world, world.build(), client_id="app")) == (400, "invalid_request_object")
    assert refusal(push(world, world.build(), request_uri=uri)) == (400, "invalid_request")


@pytest.mark.proves("C38")
def test_a_pushed_request_of_a_client_that_signs_is_signed() -> None:
    world = Signing()
    world.issuer.add_client(
        "always",
        jwks={"keys": [KEY.public_jwk()]},
        sign_in={
            "redirect_uris": (CALLBACK,),
            "id_token_algorithm": "ES256",
            "require_signed_request_object": True,
        },
    )
    plain = {
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": CALLBACK,
        "code_challenge": build_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    refused = post(world.issuer, "/par", plain, basic_of(world.issuer, "always"))
    assert refusal(refused) == (400, "invalid_request")
    signed = push(world, world.build(iss="always", client_id="always"), client_id="always")
    uri = read(signed)["request_uri"]
    asked = world.ask(**{**ALONE, "client_id": "always", "request_uri": uri})
    assert isinstance(finish(world, asked), Redirected)


@pytest.mark.proves("C38", "C100")
def test_keys_are_fetched_for_it_and_fetched_again(world: Signing) -> None:
    uri = "https://fetched.test/keys"
    world.issuer.web.put(uri, {"keys": [KEY.public_jwk()]})
    world.issuer.add_client(
        "fetched",
        jwks_uri=uri,
        sign_in={"redirect_uris": (CALLBACK,), "id_token_algorithm": "ES256"},
    )
    names: dict[str, Any] = {"iss": "fetched", "client_id": "fetched"}
    asked = world.ask_signed(world.build(**names), client_id="fetched")
    assert isinstance(asked, PersonAsked)
    world.issuer.web.put(uri, {"keys": [OTHER.public_jwk()]})
    world.issuer.clock.move(COOLDOWN)
    asked = world.ask_signed(world.build(key=OTHER, **names), client_id="fetched")
    assert isinstance(asked, PersonAsked)
    world.issuer.web.documents.clear()
    world.issuer.clock.move(4000)
    request = world.build(key=OTHER, **names)
    assert world.refuse(request, client_id="fetched") == (
        ErrorCode.INVALID_REQUEST_OBJECT,
        "client_keys_unreachable",
    )


@pytest.mark.proves("C38")
def test_discovery_says_so(world: Signing) -> None:
    metadata = read(get(world.issuer, "/.well-known/openid-configuration"))
    assert metadata["request_parameter_supported"] is True
    assert metadata["request_uri_parameter_supported"] is False
    assert "none" not in metadata["request_object_signing_alg_values_supported"]
    assert "ES256" in metadata["request_object_signing_alg_values_supported"]
