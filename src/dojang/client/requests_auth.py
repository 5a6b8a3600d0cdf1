"""Tokens on the requests of `requests`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from dojang.client.auth import Answered, Send, Step, advance, authorize
from dojang.client.source import BoundSource


class RequestsAuth(AuthBase):
    """`requests.get(url, auth=RequestsAuth(source.bind(resource=…)))`."""

    def __init__(self, source: BoundSource) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"RequestsAuth({self._source!r})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        replayable = isinstance(request.body, str | bytes | None)
        steps = authorize(self._source, request.url or "", replayable=replayable)
        self._prepare(request, steps, None)

        def answer(response: Response, **settings: Any) -> Response:
            reply = Answered(response.status_code, response.headers.get("www-authenticate", ""))
            again = response.request.copy()
            if not self._prepare(again, steps, reply):
                return response
            _ = response.content  # so that the connection can be used again
            response.close()
            renewed: Response = response.connection.send(again, **settings)
            renewed.history.append(response)
            renewed.request = again
            return renewed

        request.register_hook("response", answer)  # type: ignore[no-untyped-call]
        return request

    def _prepare(
        self, request: PreparedRequest, steps: Generator[Step, Any, None], reply: Answered | None
    ) -> bool:
        """Take steps up to the next request and put its token on; False when there is none."""
        step = advance(steps, reply)
        if step is not None and not isinstance(step, Send):
            step = advance(steps, self._source.token())
        if not isinstance(step, Send):
            return False
        request.headers["Authorization"] = f"Bearer {step.token}"
        return True
