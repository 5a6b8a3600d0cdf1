"""Whatever is sent, an endpoint answers in its protocol: no request makes it fail."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojang.oauth.http import Request, Response
from dojang.server.administration import OPERATIONS, OperationRefused
from dojang.server.paths import ADMIN
from dojang.testing.inline import run
from dojang.web.admin import build_admin_routes
from dojang.web.routing import RouteTable
from tests.server.front_door import FORM, GRANT, ORDERS, basic_of, open_issuer, post, refusal

ISSUER = open_issuer()
ISSUER.add_resource(ORDERS, ["read"])
ISSUER.add_client("shop", {ORDERS: ["read"]})
SHOP = basic_of(ISSUER, "shop")
ISSUER.add_client("boss", {ISSUER.provider.admin_audience: ["admin:read", "admin:write"]})
TABLE = RouteTable(build_admin_routes(ISSUER.provider))
PATHS = ("/token", "/introspect", "/revoke")
NAMES = (
    *("grant_type", "scope", "resource", "token", "token_type_hint", "client_id"),
    *("client_secret", "client_assertion", "client_assertion_type", "audience"),
)
WORDS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *("client_credentials", "read", ORDERS, "shop", "a.b.c", "e30.e30.e30", "dojang_at_"),
            *("dojang_at_AAAA", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ISSUER.token(scopes=["read"], audience=ORDERS, client_id="shop"),
        ]
    ),
)
FORMS = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), WORDS), WORDS), max_size=8)
HEADERS = st.lists(
    st.one_of(
        st.just(SHOP),
        st.just(FORM),
        st.tuples(
            st.sampled_from([b"authorization", b"content-type", b"dpop", b"if-none-match"]),
            st.one_of(
                st.binary(max_size=60),
                st.binary(max_size=40).map(lambda rest: b"Basic " + rest),
                st.binary(max_size=40).map(lambda rest: b"Bearer " + rest),
                st.binary(max_size=40).map(lambda rest: b"bearer dojang_at_" + rest),
            ),
        ),
    ),
    max_size=4,
)


def check_answer(answer: Response) -> None:
    assert answer.status in (200, 304, 400, 401)
    if answer.status >= 400:
        assert json.loads(answer.body).keys() == {"error", "error_description"}
    if answer.status == 401:
        assert any(name == b"www-authenticate" for name, _ in answer.headers)


@given(st.sampled_from(PATHS), FORMS, HEADERS)
@settings(max_examples=400)
@pytest.mark.proves("C52")
def test_any_form_gets_an_answer(
    path: str, form: list[tuple[str, str]], headers: list[tuple[bytes, bytes]]
) -> None:
    body = urlencode(form, errors="replace").encode()
    check_answer(ISSUER.transport.answer("POST", path, tuple(headers), body))
    check_answer(post(ISSUER, path, body, *headers))


@given(st.sampled_from(PATHS), st.binary(max_size=300))
@settings(max_examples=400)
@pytest.mark.proves("C52")
def test_any_bytes_get_an_answer(path: str, body: bytes) -> None:
    check_answer(post(ISSUER, path, body, SHOP))


@given(HEADERS, st.binary(max_size=100))
@pytest.mark.proves("C94", "C95")
def test_any_header_gets_the_published_documents(
    headers: list[tuple[bytes, bytes]], condition: bytes
) -> None:
    for path in ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
        given_headers = (*headers, (b"if-none-match", condition))
        assert ISSUER.transport.answer("GET", path, given_headers, b"").status in (200, 304)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "form",
    [
        {"token": "x" * 8000},
        {"token": "." * 8000},
        {"token": "dojang_at_" + "A" * 8000},
        {"client_assertion": "." * 8000, "client_assertion_type": "x"},
        {"client_id": "x" * 8000, "client_secret": "y" * 8000},
        {"scope": "a " * 4000},
        {"resource": "https://" + "x" * 8000},
        {f"p{number}": "" for number in range(999)},
    ],
    ids=range(8),
)
@pytest.mark.proves("C112", "C52")
def test_large_parameters_get_an_answer(path: str, form: dict[str, str]) -> None:
    check_answer(post(ISSUER, path, GRANT | {"token": "x"} | form, SHOP))
    check_answer(post(ISSUER, path, GRANT | {"token": "x"} | form))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "name", ["grant_type", "token", "scope", "resource", "client_id", "x", "client_secret"]
)
@pytest.mark.proves("C52", "C46")
def test_no_parameter_stands_twice(path: str, name: str) -> None:
    for pair in (f"{name}=a&{name}=b", f"{name}=a&{name}=a", f"{name}=a&{name}=", f"{name}&{name}"):
        body = f"{pair}&{urlencode(GRANT | {'token': 'x'})}".encode()
        assert refusal(post(ISSUER, path, body, SHOP)) == (400, "invalid_request")


TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["\x00", "shop", ORDERS, "\N{BLACK HEART SUIT}", "x" * 300, "read", "urn:x"]),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
PARAMETERS = sorted(
    {field for operation in OPERATIONS.values() for field in operation.parameters.__struct_fields__}
)
HARMLESS = sorted(
    set(OPERATIONS) - {"keys.rotate", "keys.revoke", "client.disable", "revoke.everything"}
)


@given(st.sampled_from(HARMLESS), st.data())
@settings(max_examples=600)
@pytest.mark.proves("A5")
def test_any_admin_request_gets_an_answer(name: str, data: st.DataObject) -> None:
    operation = OPERATIONS[name]
    fields = operation.parameters.__struct_fields__
    in_path = {field for field in fields if f"{{{field}}}" in operation.path}
    asked = {
        field: data.draw(VALUES if data.draw(st.booleans()) else TEXTS)
        for field in fields
        if field not in in_path and data.draw(st.booleans())
    }
    path = ADMIN + operation.path
    for field in in_path:
        path = path.replace(f"{{{field}}}", data.draw(TEXTS).replace("/", "%2F") or "x")
    token = ISSUER.token(
        scopes=["admin:read", "admin:write"],
        audience=ISSUER.provider.admin_audience,
        client_id="boss",
    )
    headers = (
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
    )
    if operation.method == "GET":
        path += "?" + urlencode(asked)
    body = json.dumps(asked).encode() if operation.method == "POST" else b""
    answer = send_admin(operation.method, path, headers, body)
    assert answer.status in (200, 400, 404, 409)
    assert isinstance(json.loads(answer.body), dict)
    if asked.get("client_id") == "boss" or "boss" in path:
        return
    assert send_admin("GET", ADMIN + "/v1/status", headers, b"").status == 200


def send_admin(
    method: str, target: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> Response:
    place, path, query = TABLE.find(target.encode())
    request = Request(method, path, query, headers, body, "127.0.0.1")
    answer = place.methods.get(method.encode(), place.otherwise)(request)
    return answer if isinstance(answer, Response) else run(answer)


@pytest.mark.parametrize(
    "operation, parameters",
    [
        ("client.add", {"name": "\x00"}),
        ("client.add", {"client_id": "a:b"}),
        ("client.add", {"client_id": ""}),
        ("client.add", {"name": "x" * 10_000}),
        ("resource.add", {"identifier": "urn:\x00", "scopes": ("a",)}),
        ("resource.add", {"identifier": "urn:z", "scopes": ("a",), "introspectors": ("\x00",)}),
        ("resource.add", {"identifier": "urn:" + "z" * 10_000, "scopes": ("a",)}),
        ("revoke.token", {"jti": "\x00"}),
        ("revoke.token", {"jti": "x" * 256}),
        ("revoke.token", {}),
        ("revoke.grant", {"grant": "\x00"}),
        ("revoke.session", {"session": ""}),
        ("revoke.account", {"subject": "x" * 256}),
        ("revoke.client", {"client_id": "\x00"}),
        ("audit.list", {"after": 10**30}),
        ("audit.list", {"after": -1}),
        ("client.list", {"limit": 0}),
        ("client.rotate_secret", {"client_id": "shop", "overlap": 10**30}),
    ],
    ids=range(18),
)
@pytest.mark.proves("A5")
def test_what_cannot_be_kept_is_refused_by_name(
    operation: str, parameters: dict[str, object]
) -> None:
    with pytest.raises(OperationRefused):
        ISSUER.perform(operation, **parameters)
