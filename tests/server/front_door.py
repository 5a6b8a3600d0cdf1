"""Requests as clients send them, into an issuer in process."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from dojang.jose import base64url
from dojang.oauth.http import Response
from dojang.testing import Issuer, SettableClock

NOW = 1_800_000_000
FORM = (b"content-type", b"application/x-www-form-urlencoded")
ORDERS = "https://orders.test"
PAYMENTS = "https://payments.test"
GRANT = {"grant_type": "client_credentials"}

Header = tuple[bytes, bytes]


def open_issuer(url: str = "https://issuer.test") -> Issuer:
    """A new issuer whose clock stands at `NOW`."""
    return Issuer(url, clock=SettableClock(NOW))


def post(issuer: Issuer, path: str, form: Mapping[str, str] | bytes, *headers: Header) -> Response:
    """A form request, whole; `form` is encoded unless it is bytes already."""
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return issuer.transport.answer("POST", path, (FORM, *headers), body)


def get(issuer: Issuer, path: str, *headers: Header) -> Response:
    return issuer.transport.answer("GET", path, headers, b"")


def basic(client_id: str, secret: str) -> Header:
    return basic_raw(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())


def basic_raw(pair: bytes) -> Header:
    return b"authorization", b"Basic " + b64encode(pair)


def bearer(token: str) -> Header:
    return b"authorization", b"Bearer " + token.encode()


def basic_of(issuer: Issuer, client_id: str) -> Header:
    return basic(client_id, issuer.credentials(client_id).secret)


def read(response: Response) -> dict[str, Any]:
    """The JSON object of a response."""
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return document


def refusal(response: Response) -> tuple[int, str]:
    """Status and error code."""
    return response.status, read(response)["error"]


def header_of(response: Response, name: bytes) -> bytes | None:
    found = [value for key, value in (*response.headers, *response.own) if key == name]
    assert len(found) <= 1
    return found[0] if found else None


def decode_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, nothing proven."""
    header, payload, _ = token.split(".")
    return json.loads(base64url.decode(header)), json.loads(base64url.decode(payload))
