"""The admin API from the outside, as the operator client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from dojang.cli.doors import Door, fail_unreachable, find_door
from dojang.cli.errors import Exit, Failure
from dojang.fetch import FetchFailed, FetchRequest, FetchResponse
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.server.administration import OPERATIONS
from dojang.server.config import Config, parse_address
from dojang.server.paths import TOKEN
from dojang.trust.credentials import ClientSecretBasic, build_form

PREFIX: Final = "/admin"
_MAX_BYTES: Final = 16 * 1024 * 1024
_TIMEOUT: Final = 30.0
_EARLY: Final = 30  # seconds before its end that a token is replaced


class AdminClient:
    """Performs operations on a running server. Keeps its token until shortly before its end."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._management: Final = find_door(parse_address(config.listen.management))
        self._token = ""
        self._token_ends = 0.0

    def is_there(self) -> bool:
        """Whether a server listens. Raises `Failure` where something else does."""
        what = f"the management listener at {self._config.listen.management}"
        try:
            answer = self._management.transport.send(
                FetchRequest("GET", f"{self._management.url}/health/live", timeout=5.0)
            )
        except FetchFailed as error:
            if error.problem == "connection":
                return False
            raise fail_unreachable(what, error) from None
        if answer.status != 200:
            raise Failure(
                f"{what} is no Dojang server: it answers {answer.status}", Exit.UNREACHABLE
            )
        return True

    def perform(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Do one operation. Raises `Failure`."""
        operation = OPERATIONS[name]
        rest = dict(parameters)
        segments = [
            quote(str(rest.pop(segment[1:-1])), safe="") if segment.startswith("{") else segment
            for segment in operation.path.split("/")
        ]
        url = f"{self._management.url}{PREFIX}{'/'.join(segments)}"
        headers = [("Authorization", f"Bearer {self._find_token()}")]
        body = b""
        if operation.method == "GET":
            url += f"?{urlencode(rest)}" if rest else ""
        else:
            headers.append(("Content-Type", "application/json"))
            body = json_object.dump(rest)
        try:
            answer = self._management.transport.send(
                FetchRequest(
                    operation.method,
                    url,
                    tuple(headers),
                    body,
                    timeout=_TIMEOUT,
                    max_bytes=_MAX_BYTES,
                )
            )
        except FetchFailed as error:
            raise fail_unreachable("the admin API", error) from None
        document = _parse(answer, "the admin API")
        if answer.status == 200:
            return document
        detail = str(document.get("detail") or document.get("title") or answer.status)
        raise Failure(detail, Exit.UNREACHABLE if answer.status >= 500 else Exit.USAGE)

    def _find_token(self) -> str:
        if time.monotonic() >= self._token_ends - _EARLY:
            answer = self._ask_for_token()
            self._token = answer["access_token"]
            self._token_ends = time.monotonic() + answer["expires_in"]
        return self._token

    def _ask_for_token(self) -> dict[str, Any]:
        config = self._config
        door = self._find_public_door()
        form = {"grant_type": "client_credentials", "resource": f"{config.issuer}/admin"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        operator = ClientSecretBasic(config.operator.client_id, config.operator.client_secret)
        operator.authenticate(form, headers, issuer=config.issuer, now=time.time())
        url = door.url + urlsplit(config.issuer).path + TOKEN
        try:
            answer = door.transport.send(
                FetchRequest(
                    "POST", url, tuple(headers.items()), build_form(form), timeout=_TIMEOUT
                )
            )
        except FetchFailed as error:
            raise fail_unreachable("the server's token endpoint", error) from None
        document = _parse(answer, "the server's token endpoint")
        if answer.status == 200:
            return document
        if answer.status == 401:
            raise Failure(
                f"the running server refuses the operator client {config.operator.client_id!r}: "
                "its secret was rotated, or it is disabled or of another installation. Give the "
                "present one with operator.client_secret_file; if it is lost, stop the server and "
                "run "
                f"`dojang client rotate-secret {config.operator.client_id} --secret-file FILE`"
            )
        detail = document.get("error_description", answer.status)
        raise Failure(
            f"the running server gives the operator client {config.operator.client_id!r} no token "
            f"for {config.issuer}/admin: {detail}",
            Exit.UNREACHABLE if answer.status >= 500 else Exit.USAGE,
        )

    def _find_public_door(self) -> Door:
        return find_door(parse_address(self._config.listen.public))


def _parse(answer: FetchResponse, what: str) -> dict[str, Any]:
    try:
        return json_object.parse(answer.body, max_bytes=_MAX_BYTES)
    except InvalidToken:
        raise Failure(f"{what} answers {answer.status} without JSON", Exit.UNREACHABLE) from None
