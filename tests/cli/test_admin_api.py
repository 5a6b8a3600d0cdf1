"""The admin API over HTTP: who may, what is said, and what is written down (C109)."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from dojang.oauth.http import Request, Response
from dojang.server.access_tokens import issue_access_token
from dojang.server.administration import OPERATIONS, perform
from dojang.server.paths import ADMIN
from dojang.server.provider import Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing import SettableClock
from dojang.web.admin import build_admin_routes
from dojang.web.routing import RouteTable

NOW = 1_800_000_000
ISSUER = "https://issuer.test"
KEY = bytes(range(32))
ORDERS = "https://orders.test"
JSON = (b"content-type", b"application/json")


class Api(NamedTuple):
    provider: Provider
    routes: RouteTable
    clock: SettableClock

    async def ask(
        self, method: str, path: str, *headers: tuple[bytes, bytes], body: Any = None
    ) -> Response:
        found = self.routes.find((ADMIN + path).encode())
        handler = found.place.methods.get(method.encode(), found.place.otherwise)
        content = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        if body is not None and not any(name == b"content-type" for name, _ in headers):
            headers = (*headers, JSON)
        answer = handler(Request(method, found.path, found.query, headers, content, "127.0.0.1"))
        return await answer if isinstance(answer, Coroutine) else answer

    async def issue(self, client_id: str, resource: str) -> tuple[bytes, bytes]:
        """The header of a token for all that the client may do there."""
        position = await self.provider.state.reach_barrier()
        client = await self.provider.state.find_client(client_id)
        assert client is not None
        (grant,) = (each for each in client.grants if each.resource == resource)
        token = issue_access_token(
            self.provider.state.keys, issuer=ISSUER, client=client, grant=grant,
            resource=self.provider.state.resources[resource], scope=" ".join(grant.scopes),
            position=position, now=self.clock.now(),
        )  # fmt: skip
        return b"authorization", b"Bearer " + token.encode()

    async def do(self, name: str, **parameters: Any) -> dict[str, Any]:
        operation = OPERATIONS[name]
        from msgspec import convert

        converted = convert(parameters, operation.parameters)
        return await perform(self.provider, operation, converted, actor="test")


async def open_api() -> Api:
    clock = SettableClock(NOW)
    settings: Any = {
        "issuer": ISSUER,
        "store": MemoryStore(),
        "clock": clock,
        "key_encryption_key": KEY,
    }
    await initialise(**settings)
    provider = await Provider.start(**settings)
    api = Api(provider, RouteTable(build_admin_routes(provider)), clock)
    await api.do("resource.add", identifier=ORDERS, scopes=["admin:read", "admin:write"])
    admin = f"{ISSUER}/admin"
    both = ["admin:read", "admin:write"]
    for name, resource, scopes in (
        ("operator", admin, both), ("viewer", admin, ["admin:read"]), ("shop", ORDERS, both),
    ):  # fmt: skip
        grants = [{"resource": resource, "scopes": scopes}]
        await api.do("client.add", client_id=name, grants=grants)
    return api


@pytest.fixture
async def api() -> Api:
    return await open_api()


def read(response: Response) -> dict[str, Any]:
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return document


def find_header(response: Response, name: bytes) -> bytes:
    return dict(response.headers).get(name, b"")


@pytest.mark.proves("C109", "A5")
async def test_an_operator_changes_and_reads(api: Api) -> None:
    operator = await api.issue("operator", f"{ISSUER}/admin")
    added = await api.ask(
        "POST", "/v1/clients", operator, body={"client_id": "a/b".replace("/", "-")}
    )
    assert added.status == 200
    assert find_header(added, b"cache-control") == b"no-store"
    disabled = await api.ask("POST", "/v1/clients/a-b/disable", operator)
    assert read(disabled)["client"]["enabled"] is False
    page = read(await api.ask("GET", "/v1/clients?after=a&limit=1", operator))
    assert [each["client_id"] for each in page["clients"]] == ["a-b"]


@pytest.mark.proves("C109")
async def test_every_change_is_audited_with_the_client_that_made_it(api: Api) -> None:
    operator = await api.issue("operator", f"{ISSUER}/admin")
    await api.ask("POST", "/v1/clients", operator, body={"client_id": "new"})
    records = (await api.do("audit.list"))["records"]
    assert (records[-1]["actor"], records[-1]["action"]) == ("operator", "client.add")
    assert "dojang_cs_" not in json.dumps(records)


@pytest.mark.proves("C109")
@pytest.mark.parametrize("name", OPERATIONS)
async def test_every_operation_wants_its_scope(api: Api, name: str) -> None:
    operation = OPERATIONS[name]
    path = operation.path.replace("{client_id}", "shop").replace("{kid}", "x")
    path = path.replace("{identifier}", quote(ORDERS, safe=""))
    nobody = await api.ask(operation.method, path)
    assert nobody.status == 401
    assert find_header(nobody, b"www-authenticate") == b'Bearer realm="dojang admin"'
    viewer = await api.issue("viewer", f"{ISSUER}/admin")
    looked = await api.ask(operation.method, path, viewer)
    if operation.method == "GET":
        assert looked.status == 200
        assert operation.scope == "admin:read"
    else:
        assert looked.status == 403
        assert operation.scope == "admin:write"
        challenge = find_header(looked, b"www-authenticate")
        assert b'error="insufficient_scope"' in challenge
        assert b'scope="admin:write"' in challenge


@pytest.mark.proves("C109")
async def test_a_token_for_another_audience_is_refused_whatever_its_scope(api: Api) -> None:
    shop = await api.issue("shop", ORDERS)
    refused = await api.ask("GET", "/v1/status", shop)
    assert refused.status == 401
    assert b'error="invalid_token"' in find_header(refused, b"www-authenticate")


@pytest.mark.proves("C109", "K6")
async def test_a_dead_token_is_refused(api: Api) -> None:
    async def status(header: tuple[bytes, bytes]) -> int:
        return (await api.ask("GET", "/v1/status", header)).status

    operator = await api.issue("operator", f"{ISSUER}/admin")
    assert await status(operator) == 200
    await api.do("revoke.client", client_id="operator")
    assert await status(operator) == 401
    fresh = await api.issue("operator", f"{ISSUER}/admin")
    assert await status(fresh) == 200
    api.clock.move(300)
    assert await status(fresh) == 401


@pytest.mark.proves("C109")
async def test_what_a_browser_sends_by_itself_does_not_count(api: Api) -> None:
    name, value = await api.issue("operator", f"{ISSUER}/admin")
    token = value.removeprefix(b"Bearer ")
    for headers in (
        [(b"cookie", b"access_token=" + token)],
        [(b"cookie", b"authorization=Bearer " + token)],
        [(b"authorization", b"Basic " + token)],
        [(b"authorization", b"Bearer ")],
    ):
        refused = await api.ask("GET", "/v1/status", *headers)
        assert refused.status == 401
    in_query = await api.ask("GET", f"/v1/status?access_token={token.decode()}")
    assert in_query.status == 401
    twice = await api.ask("GET", "/v1/status", (name, value), (name, value))
    assert twice.status == 400
    form = (b"content-type", b"application/x-www-form-urlencoded")
    sent = await api.ask("POST", "/v1/clients", (name, value), form, body=b"client_id=x")
    assert sent.status == 415


@pytest.mark.parametrize(
    "method, path, body, status, detail",
    [
        ("POST", "/v1/clients", {"client_id": 7}, 400, "client_id: Expected `str"),
        ("POST", "/v1/clients", {"grants": [{"resource": 1}]}, 400, "grants: "),
        ("POST", "/v1/clients", {"clientid": "x"}, 400, "clientid: "),
        ("POST", "/v1/clients", {"authentication": "mtls"}, 400, "authentication: Invalid enum"),
        ("POST", "/v1/resources", {"identifier": "https://x.test"}, 400, "scopes: "),
        ("POST", "/v1/resources", b'{"a":1,"a":2}', 400, "not a strict JSON object"),
        ("POST", "/v1/resources", b"[]", 400, "not a strict JSON object"),
        ("POST", "/v1/clients/shop/rotate-secret", {"client_id": "x"}, 400, "client_id: stands"),
        ("POST", "/v1/clients/shop/rotate-secret", {"overlap": "1"}, 400, "overlap: Expected"),
        ("POST", "/v1/clients/none/disable", None, 404, "there is no client 'none'"),
        ("POST", "/v1/clients", {"client_id": "shop"}, 409, "exists already"),
        ("GET", "/v1/audit?limit=x", None, 400, "limit: Expected `int`"),
        ("GET", "/v1/audit?limit=1&limit=2", None, 400, "more than once"),
        ("GET", "/v1/status?x=1", None, 400, "x: "),
    ],
)  # fmt: skip
async def test_a_mistake_is_a_problem_document_that_names_the_field(  # noqa: PLR0917
    api: Api, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    operator = await api.issue("operator", f"{ISSUER}/admin")
    answer = await api.ask(method, path, operator, body=body)
    assert answer.status == status
    assert find_header(answer, b"content-type") == b"application/problem+json"
    assert find_header(answer, b"cache-control") == b"no-store"
    problem = read(answer)
    assert problem.keys() == {"title", "status", "detail"}
    assert problem["status"] == status
    assert detail in problem["detail"]


async def test_a_database_that_is_gone_is_503(api: Api) -> None:
    operator = await api.issue("operator", f"{ISSUER}/admin")
    await api.provider.store.close()
    answer = await api.ask("GET", "/v1/clients", operator)
    assert answer.status == 503
    assert find_header(answer, b"retry-after").isdigit()


async def test_changes_at_once_are_done_one_after_the_other(api: Api) -> None:
    operator = await api.issue("operator", f"{ISSUER}/admin")
    answers = await asyncio.gather(
        *(api.ask("POST", "/v1/clients", operator, body={"client_id": "one"}) for _ in range(8))
    )
    assert sorted(each.status for each in answers) == [200] + [409] * 7
