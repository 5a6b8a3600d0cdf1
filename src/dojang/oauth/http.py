"""The HTTP form of OAuth messages: requests and responses as values, strict form bodies
(RFC 6749 §3.1 and Appendix B), Basic credentials (RFC 6749 §2.3.1) and error responses (§5.2).

Reading from a socket and writing to one is not done here.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from dojang.jose import json_object
from dojang.oauth.errors import ErrorCode, OAuthError

FORM: Final = b"application/x-www-form-urlencoded"
JSON: Final = (b"content-type", b"application/json")
NO_STORE: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))  # RFC 6749 §5.1

Headers = tuple[tuple[bytes, bytes], ...]

MAX_PARAMETERS: Final = 1000
MAX_PARAMETER_BYTES: Final = 8192


class Channel(Protocol):
    """Takes parts of an answer that are ready before its end."""

    def send(self, headers: Headers, part: bytes) -> None:
        """Begin the answer, a 200 with these headers, with the first part. What the handler then
        returns ends it with the body alone, or without an end where it is no 200. From then on
        nothing is to be sent: another request may be in hand."""


class Request(NamedTuple):
    """One request, whole. `headers` are as received with names in lower case; `peer` is the
    address of the socket's other end, never taken from a header. There is a `channel` where the
    answer can be sent in parts."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    peer: str
    channel: Channel | None = None

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that may stand once; None where it is absent.

        Raises `OAuthError(INVALID_REQUEST)` where it stands twice.
        """
        found: bytes | None = None
        for key, value in self.headers:
            if key == name:
                if found is not None:
                    raise OAuthError(
                        ErrorCode.INVALID_REQUEST,
                        f"The {name.decode()} header stands more than once.",
                        reason="repeated_header",
                    )
                found = value
        return found


class Response(NamedTuple):
    """One response, whole. `own` are headers besides, whose values no other response has: heads
    without them are remembered."""

    status: int
    headers: Headers
    body: bytes
    own: Headers = ()


def build_json(status: int, document: dict[str, Any], *headers: tuple[bytes, bytes]) -> Response:
    """A JSON response that no cache may keep (RFC 6749 §5.1)."""
    return Response(status, (JSON, *NO_STORE, *headers), json_object.dump(document))


STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.INVALID_CLIENT: 401,
    ErrorCode.INVALID_TOKEN: 401,
    ErrorCode.INSUFFICIENT_SCOPE: 403,
    ErrorCode.TOO_MANY_FOLLOWERS: 429,
    ErrorCode.SERVER_ERROR: 500,
    ErrorCode.TEMPORARILY_UNAVAILABLE: 503,
}


def build_error(error: OAuthError, *headers: tuple[bytes, bytes]) -> Response:
    """The error response of RFC 6749 §5.2; any code not in `STATUS` is a 400."""
    document = {"error": str(error.code), "error_description": error.description}
    return build_json(STATUS.get(error.code, 400), document, *headers)


def parse_form(request: Request) -> dict[str, str]:
    """The parameters of a form body; a parameter without a value counts as absent.

    Raises `OAuthError(INVALID_REQUEST)` for another media type, a repeated parameter
    (RFC 6749 §3.1), bytes that are not UTF-8, or a body over the limits.
    """
    media_type = request.header(b"content-type") or b""
    if media_type != FORM and media_type.partition(b";")[0].strip().lower() != FORM:
        raise _bad_request("The body must be application/x-www-form-urlencoded.", "media_type")
    return parse_parameters(request.body)


def parse_parameters(encoded: bytes) -> dict[str, str]:
    """`application/x-www-form-urlencoded` bytes to parameters, by the rules of `parse_form`."""
    try:
        text = encoded.decode("ascii")
    except UnicodeDecodeError:
        raise _bad_request("The form has bytes that are not encoded.", "form_malformed") from None
    pairs = text.split("&", MAX_PARAMETERS)
    if len(pairs) > MAX_PARAMETERS:
        raise _bad_request("The request has too many parameters.", "too_many_parameters")
    seen: set[str] = set()
    parameters: dict[str, str] = {}
    for pair in filter(None, pairs):
        if len(pair) > MAX_PARAMETER_BYTES:
            raise _bad_request("A parameter is too long.", "parameter_too_long")
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = _decode(name), _decode(value)
        if name in seen:
            raise _bad_request("A parameter stands more than once.", "repeated_parameter")
        seen.add(name)
        if value:
            parameters[name] = value
    return parameters


def parse_basic(header: bytes) -> tuple[str, str]:
    """Client id and secret of a Basic `Authorization` header, each form-decoded strictly.

    Raises `OAuthError(INVALID_CLIENT)`.
    """
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise _bad_client("The Authorization scheme is not Basic.", "not_basic")
    try:
        pair = b64decode(encoded.strip(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise _bad_client("The Basic credentials are not base64.", "basic_malformed") from None
    identifier, separator, secret = pair.partition(":")
    if not separator:
        raise _bad_client("The Basic credentials have no colon.", "basic_malformed")
    try:
        return _decode(identifier), _decode(secret)
    except OAuthError:
        raise _bad_client(
            "The Basic credentials are not form-encoded.", "basic_malformed"
        ) from None


_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _decode(encoded: str) -> str:
    # What URIs are full of; a colon or a slash in its place makes or breaks no other escape.
    encoded = encoded.replace("%3A", ":").replace("%2F", "/")
    if "%" not in encoded and "+" not in encoded:
        return encoded
    if _BROKEN_ESCAPE.search(encoded):
        raise _bad_request("A percent sign is not followed by two digits.", "form_malformed")
    try:
        return unquote_to_bytes(encoded.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise _bad_request("A parameter is not UTF-8.", "form_malformed") from None


def _bad_request(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, description, reason=reason)


def _bad_client(description: str, reason: str) -> OAuthError:
    return OAuthError(ErrorCode.INVALID_CLIENT, description, reason=reason)
