"""Which handler a target leads to."""

import pytest

from dojang.oauth.http import Request, Response
from dojang.web.routing import Route, RouteTable, TemplateRoute


def answer(request: Request) -> Response:
    return Response(200, (), request.path.encode())


def show(request: Request, parameters: object) -> Response:
    return Response(200, (), repr(parameters).encode())


TABLE = RouteTable(
    [
        Route("/v1/keys", {"GET": answer}),
        TemplateRoute("/v1/keys/{kid}/revoke", {"POST": show}),
        TemplateRoute("/v1/{kind}/{kid}", {"GET": show}),
    ]
)


def ask(method: str, target: bytes) -> Response:
    place, path, query = TABLE.find(target)
    request = Request(method, path, query, (), b"", "")
    given = place.methods.get(method.encode(), place.otherwise)(request)
    assert isinstance(given, Response)
    return given


@pytest.mark.parametrize(
    "method, target, status, body",
    [
        ("GET", b"/v1/keys?a=b", 200, b"/v1/keys"),
        ("HEAD", b"/v1/keys", 200, b"/v1/keys"),
        ("POST", b"/v1/keys/a%2Fb/revoke", 200, b"{'kid': 'a/b'}"),
        ("POST", b"/v1/keys/%E2%82%AC/revoke?x", 200, "{'kid': '€'}".encode()),
        ("GET", b"/v1/clients/c1", 200, b"{'kind': 'clients', 'kid': 'c1'}"),
        ("POST", b"/v1/keys//revoke", 404, b'{"error":"not_found"}'),
        ("POST", b"/v1/keys/%FF/revoke", 404, b'{"error":"not_found"}'),
        ("POST", b"/v1/keys/a/b/revoke", 404, b'{"error":"not_found"}'),
        ("POST", b"/v1/keys/" + b"a" * 4000 + b"/revoke", 404, b'{"error":"not_found"}'),
        ("GET", b"/v1/keys/a/revoke", 405, b'{"error":"method_not_allowed"}'),
        ("POST", b"/v1/keys", 405, b'{"error":"method_not_allowed"}'),
        ("OPTIONS", b"/v1/keys", 204, b""),
    ],
)
def test_a_target_leads_to_one_place(method: str, target: bytes, status: int, body: bytes) -> None:
    given = ask(method, target)
    assert (given.status, given.body) == (status, body)


def test_a_path_stands_once() -> None:
    with pytest.raises(ValueError, match="/a"):
        RouteTable([Route("/a", {"GET": answer}), Route("/a", {"POST": answer})])
