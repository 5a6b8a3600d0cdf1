"""The admin API from the outside, as the operator client."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlencode

from dojang.cli.doors import fail_unreachable, find_door
from dojang.cli.errors import Exit, Failure
from dojang.client import BoundSource, ClientSecretBasic, TokenRefused, TokenSource, Unavailable
from dojang.fetch import FetchFailed, FetchRequest, FetchResponse
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.server.administration import OPERATIONS, Operation
from dojang.server.config import Config, parse_address
from dojang.server.paths import ADMIN

_MAX_BYTES: Final = 16 * 1024 * 1024
_TIMEOUT: Final = 30.0


class AdminClient:
    """Performs operations on a running server."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._management: Final = find_door(parse_address(config.listen.management))

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
        request = self._build_request(OPERATIONS[name], dict(parameters))
        answer = self._send(request)
        if answer.status == 401:  # the key that signed the kept token may have been revoked
            answer = self._send(request)
        document = _parse(answer, "the admin API")
        if answer.status == 200:
            return document
        detail = str(document.get("detail") or document.get("title") or answer.status)
        raise Failure(detail, Exit.UNREACHABLE if answer.status >= 500 else Exit.USAGE)

    def _build_request(self, operation: Operation, parameters: dict[str, Any]) -> FetchRequest:
        segments = [
            quote(str(parameters.pop(each[1:-1])), safe="") if each.startswith("{") else each
            for each in operation.path.split("/")
        ]
        url = f"{self._management.url}{ADMIN}{'/'.join(segments)}"
        headers: tuple[tuple[str, str], ...] = ()
        body = b""
        if operation.method == "GET":
            url += f"?{urlencode(parameters)}" if parameters else ""
        else:
            headers = (("Content-Type", "application/json"),)
            body = json_object.dump(parameters)
        return FetchRequest(
            operation.method, url, headers, body, timeout=_TIMEOUT, max_bytes=_MAX_BYTES
        )

    def _send(self, request: FetchRequest) -> FetchResponse:
        token = self._find_token()
        header = ("Authorization", f"Bearer {token}")
        try:
            answer = self._management.transport.send(
                request._replace(headers=(*request.headers, header))
            )
        except FetchFailed as error:
            raise fail_unreachable("the admin API", error) from None
        if answer.status == 401:
            self.__dict__.pop("_source", None)
        return answer

    def _find_token(self) -> str:
        operator = self._config.operator.client_id
        try:
            return self._source.token()
        except TokenRefused as refused:
            if refused.error != "invalid_client":
                raise Failure(
                    f"the running server gives the operator client {operator!r} no token for "
                    f"{self._config.issuer}{ADMIN}: {refused.error}"
                ) from None
            raise Failure(
                f"the running server refuses the operator client {operator!r}: its secret was "
                "rotated, or it is disabled or of another installation. Give the present one with "
                "operator.client_secret_file; if it is lost, stop the server and run "
                f"`dojang client rotate-secret {operator} --secret-file FILE`"
            ) from None
        except Unavailable as error:
            raise Failure(f"the server's token endpoint: {error}", Exit.UNREACHABLE) from None

    @cached_property
    def _source(self) -> BoundSource:
        config = self._config
        door = find_door(parse_address(config.listen.public))
        source = TokenSource(
            issuer=config.issuer,
            credentials=ClientSecretBasic(config.operator.client_id, config.operator.client_secret),
            fetch_from=door.url,
            transport=door.transport,
        )
        return source.bind(resource=config.issuer + ADMIN)


def _parse(answer: FetchResponse, what: str) -> dict[str, Any]:
    try:
        return json_object.parse(answer.body, max_bytes=_MAX_BYTES)
    except InvalidToken:
        raise Failure(f"{what} answers {answer.status} without JSON", Exit.UNREACHABLE) from None
