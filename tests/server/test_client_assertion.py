"""`private_key_jwt`: RFC 7523 §3 and its successor, at the endpoints."""

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.client_assertion import ASSERTION_TYPE
from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request, Response
from dojang.server.administration import OPERATIONS, OperationRefused, perform
from dojang.server.endpoints.token import token
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer, SettableClock
from dojang.testing.inline import run
from tests.server.front_door import (
    FORM,
    GRANT,
    NOW,
    ORDERS,
    basic,
    open_issuer,
    post,
    refusal,
)

KEY = SigningKey.generate("ES256", kid="k1")
OTHER = SigningKey.generate("ES256", kid="k1")
numbers = count()


@pytest.fixture
def issuer() -> Issuer:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    add_keyed_client(issuer, "robot", KEY)
    return issuer


def add_keyed_client(issuer: Issuer, client_id: str, *keys: SigningKey) -> None:
    issuer.add_client(
        client_id,
        {ORDERS: ["read"]},
        authentication="private_key_jwt",
        jwks={"keys": [key.public_jwk() | {"kid": key.kid} for key in keys]},
    )


def build_assertion(
    changes: Mapping[str, Any] = MappingProxyType({}),
    *,
    key: SigningKey = KEY,
    typ: str | None = "client-authentication+jwt",
) -> dict[str, str]:
    claims = {
        "iss": "robot",
        "sub": "robot",
        "aud": "https://issuer.test",
        "iat": NOW,
        "exp": NOW + 60,
        "jti": f"jti-{next(numbers)}",
    } | dict(changes)
    kept = {name: value for name, value in claims.items() if value is not None}
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": sign_jwt(kept, CompactSigner(key, typ=typ)),
    }


def ask(issuer: Issuer, assertion: dict[str, str]) -> Response:
    return post(issuer, "/token", GRANT | assertion)


@pytest.mark.parametrize("typ", ["client-authentication+jwt", "JWT", None])
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
@pytest.mark.proves("C48", "C45")
def test_a_good_assertion_proves_the_client(issuer: Issuer, path: str, typ: str | None) -> None:
    form = GRANT | {"token": "any"} | build_assertion(typ=typ)
    assert post(issuer, path, form).status == 200
    named = GRANT | {"token": "any", "client_id": "robot"} | build_assertion(typ=typ)
    assert post(issuer, path, named).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"aud": "https://issuer.test/token"},
        {"aud": "https://issuer.test/"},
        {"aud": ["https://issuer.test"]},
        {"aud": ["https://issuer.test", "https://other.test"]},
        {"exp": None},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": NOW + 311},
        {"exp": NOW + 10**9},
        {"exp": str(NOW + 60)},
        {"exp": True},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
    ],
    ids=str,
)
@pytest.mark.proves("C48")
def test_each_defect_refuses_the_assertion(issuer: Issuer, changes: dict[str, Any]) -> None:
    assert refusal(ask(issuer, build_assertion(changes))) == (401, "invalid_client")


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt"])
@pytest.mark.proves("C48")
def test_another_type_refuses_the_assertion(issuer: Issuer, typ: str) -> None:
    assert refusal(ask(issuer, build_assertion(typ=typ))) == (401, "invalid_client")


@pytest.mark.proves("C48")
def test_another_key_refuses_the_assertion(issuer: Issuer) -> None:
    assert refusal(ask(issuer, build_assertion(key=OTHER))) == (401, "invalid_client")


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(
    "ahead, status", [(-3600, 200), (0, 200), (8, 200), (10, 200), (61, 401), (3600, 401)]
)
@pytest.mark.proves("C49")
def test_a_clock_may_be_slightly_ahead(issuer: Issuer, claim: str, ahead: int, status: int) -> None:
    assert ask(issuer, build_assertion({claim: NOW + ahead})).status == status


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("value", ["1", True, [], {}])
@pytest.mark.proves("C49")
def test_times_are_numbers(issuer: Issuer, claim: str, value: Any) -> None:
    assert ask(issuer, build_assertion({claim: value})).status == 401


@pytest.mark.proves("C48")
def test_the_type_of_the_assertion_is_said(issuer: Issuer) -> None:
    assertion = build_assertion()["client_assertion"]
    for form in (
        {"client_assertion": assertion},
        {"client_assertion": assertion, "client_assertion_type": "jwt-bearer"},
    ):
        assert refusal(post(issuer, "/token", GRANT | form)) == (401, "invalid_client")


@pytest.mark.proves("C48")
def test_an_assertion_is_spent_once_and_its_replay_recorded(issuer: Issuer) -> None:
    assertion = build_assertion()
    assert ask(issuer, assertion).status == 200
    assert refusal(ask(issuer, assertion)) == (401, "invalid_client")
    issuer.clock.move(59)
    assert refusal(ask(issuer, assertion)) == (401, "invalid_client")
    records = issuer.perform("audit.list", after=0, limit=1000)["records"]
    assert [record["outcome"] for record in records].count("refused") == 1
    last = records[-1]
    assert (last["actor"], last["outcome"]) == ("robot", "refused")
    assert last["detail"] == {"reason": "assertion_replayed"}
    assert assertion["client_assertion"] not in str(last)


@pytest.mark.proves("C48")
def test_it_is_spent_up_to_its_very_last_moment(issuer: Issuer) -> None:
    assertion = build_assertion({"exp": NOW + 60.5})
    assert ask(issuer, assertion).status == 200
    for at in (60, 60.4, 60.6, 61, 62):
        issuer.clock.move_to(NOW + at)
        assert ask(issuer, assertion).status == 401


@pytest.mark.proves("C48")
def test_the_same_jti_of_another_client_is_another_assertion(issuer: Issuer) -> None:
    add_keyed_client(issuer, "drone", OTHER)
    assert ask(issuer, build_assertion({"jti": "one"})).status == 200
    of_drone = {"iss": "drone", "sub": "drone", "jti": "one"}
    assert ask(issuer, build_assertion(of_drone, key=OTHER)).status == 200


@pytest.mark.proves("C48")
def test_a_refused_assertion_spends_nothing(issuer: Issuer) -> None:
    assert ask(issuer, build_assertion({"jti": "one"}, key=OTHER)).status == 401
    assert ask(issuer, build_assertion({"aud": "https://other.test", "jti": "one"})).status == 401
    assert ask(issuer, build_assertion({"jti": "one"})).status == 200


@pytest.mark.proves("C48")
def test_an_assertion_works_once_across_two_nodes() -> None:
    store, clock, key = MemoryStore(), SettableClock(NOW), bytes(range(32))
    settings: dict[str, Any] = {
        "issuer": "https://issuer.test",
        "store": store,
        "clock": clock,
        "key_encryption_key": key,
    }
    run(initialise(**settings))
    nodes = [run(Provider.start(**settings)) for _ in range(2)]
    for name, asked in {
        "resource.add": {"identifier": ORDERS, "scopes": ("read",)},
        "client.add": {
            "client_id": "robot",
            "authentication": "private_key_jwt",
            "jwks": {"keys": [KEY.public_jwk()]},
        },
    }.items():
        operation = OPERATIONS[name]
        parameters = msgspec.convert(asked, operation.parameters)
        run(perform(nodes[0], operation, parameters, actor="test"))

    def ask_node(node: Provider, assertion: dict[str, str]) -> int:
        body = "&".join(f"{name}={value}" for name, value in (GRANT | assertion).items())
        body = body.replace(ASSERTION_TYPE, ASSERTION_TYPE.replace(":", "%3A"))
        request = Request("POST", "/token", b"", (FORM,), body.encode(), "127.0.0.1")
        return run(token(node, request)).status

    for first, second in (nodes, nodes[::-1]):
        assertion = build_assertion()
        # The client has no grant: 400 says that it was authenticated.
        assert ask_node(first, assertion) == 400
        assert ask_node(second, assertion) == 401
        assert ask_node(first, assertion) == 401


@pytest.mark.proves("C48", "F7")
def test_a_replay_store_that_fails_lets_nothing_through(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> bool:
        raise Unavailable("database")

    assertion = build_assertion()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "consume_once", fail)
        assert ask(issuer, assertion).status == 503
    assert ask(issuer, assertion).status == 200


@pytest.mark.proves("C46", "C119")
def test_a_client_with_keys_has_no_secret(issuer: Issuer) -> None:
    for secret in ("", "dojang_cs_" + "A" * 43):
        assert refusal(post(issuer, "/token", GRANT, basic("robot", secret))) == (
            401,
            "invalid_client",
        )


@pytest.mark.proves("C119")
def test_a_client_with_a_secret_has_no_keys(issuer: Issuer) -> None:
    issuer.add_client("shop", {ORDERS: ["read"]})
    assert ask(issuer, build_assertion({"iss": "shop", "sub": "shop"})).status == 401


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        {"keys": []},
        {"keys": [KEY.private_jwk()]},
        {"keys": [KEY.public_jwk(), KEY.private_jwk()]},
        {"keys": [{"kty": "oct", "k": "A" * 43, "alg": "HS256"}]},
        {"keys": "none"},
        {},
    ],
)
@pytest.mark.proves("C50")
def test_only_public_keys_are_registered(issuer: Issuer, jwks: dict[str, Any] | None) -> None:
    with pytest.raises(OperationRefused, match="jwks"):
        issuer.add_client("new", authentication="private_key_jwt", jwks=jwks)


@pytest.mark.proves("C52")
def test_a_bad_assertion_answers_as_a_bad_secret(issuer: Issuer) -> None:
    issuer.add_client("shop", {ORDERS: ["read"]})
    answers = [
        post(issuer, "/token", GRANT, basic("shop", "wrong")),
        ask(issuer, build_assertion(key=OTHER)),
        ask(issuer, build_assertion({"iss": "nobody", "sub": "nobody"})),
        ask(issuer, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "junk"}),
        ask(issuer, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c"}),
        ask(issuer, {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.W10.c"}),
    ]
    assert len({(answer.status, answer.headers, answer.body) for answer in answers}) == 1
