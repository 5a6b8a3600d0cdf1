"""Clients that register themselves at an issuer in process."""

from __future__ import annotations

import json
from typing import Any, Final

from dojang.oauth.http import Response
from dojang.server.registration_policy import RegistrationPolicy
from dojang.testing import Issuer, SettableClock
from tests.server.front_door import NOW, Header, bearer, read

CALLBACK: Final = "https://blue.test/callback"
JSON: Final = (b"content-type", b"application/json")
ORDERS: Final = "https://orders.test"
CLOSED: Final = RegistrationPolicy(
    resources={ORDERS: ("orders:read",), "https://gone.test": ("x",)}
)
OPEN: Final = RegistrationPolicy(open_to_everyone=True)


def perform(issuer: Issuer, operation: str, **asked: Any) -> dict[str, Any]:
    """An operation, and its answer as it is in JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(issuer.perform(operation, **asked)))
    return answer


class Registry:
    """An issuer with an API, where clients register as `policy` says; `token` is an initial access
    token for many."""

    def __init__(self, policy: RegistrationPolicy | None = CLOSED) -> None:
        self.issuer: Final = Issuer(
            "https://issuer.test", clock=SettableClock(NOW), registration=policy
        )
        self.issuer.add_resource(ORDERS, ["orders:read", "orders:write"])
        added = self.issuer.perform("registration_token.add", clients=100)
        self.token: Final[str] = added["token"]

    def send(self, method: str, path: str, document: object = None, *headers: Header) -> Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        if document is None:
            return self.issuer.transport.answer(method, path, headers, b"")
        return self.issuer.transport.answer(method, path, (JSON, *headers), body)

    def try_register(self, token: str | None = None, /, **metadata: Any) -> Response:
        """With the initial token, unless another is given; None in metadata leaves a member out."""
        wanted = {
            "redirect_uris": [CALLBACK],
            "client_name": "Blue",
            "id_token_signed_response_alg": "ES256",
            **metadata,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        return self.send("POST", "/register", given, bearer(token or self.token))

    def register(self, **metadata: Any) -> dict[str, Any]:
        response = self.try_register(**metadata)
        assert response.status == 201, response.body
        return read(response)

    def describe(self, client: dict[str, Any]) -> dict[str, Any]:
        """The client as operators see it, in JSON."""
        listed = self.issuer.perform("client.list")["clients"]
        (found,) = [each for each in listed if each["client_id"] == client["client_id"]]
        described: dict[str, Any] = json.loads(json.dumps(found))
        return described

    def manage(
        self, method: str, client: dict[str, Any], document: object = None, *, token: str = ""
    ) -> Response:
        uri: str = client["registration_client_uri"]
        shown = token or client["registration_access_token"]
        return self.send(method, uri.removeprefix(self.issuer.url), document, bearer(shown))
