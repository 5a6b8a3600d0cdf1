"""A scripted issuer behind a real socket: lines leave while a question is held."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread

from dojang.fetch import FetchRequest, FetchResponse
from dojang.oauth.feed_notices import MEDIA_TYPE
from dojang.testing import SettableClock
from tests.origin import Answer, Origin, Received
from tests.scripted_issuer import ScriptedIssuer


class WireFeed(Origin):
    """`issuer` says what comes. Its time is its own."""

    def __init__(self) -> None:
        super().__init__()
        self.issuer = ScriptedIssuer(self.url, clock=SettableClock())
        for path in ("/.well-known/oauth-authorization-server", "/jwks", "/introspect"):
            self.answers[path] = self._pass_on
        for path in ("/feed/join", "/feed/snapshot"):
            self.answers[path] = self._pass_on
        self.answers["/feed"] = self._hold

    def _find_request(self, received: Received) -> FetchRequest:
        bearer = received.headers.get("authorization", "")
        headers = (("Authorization", bearer),)
        return FetchRequest(received.method, self.url + received.path, headers, received.body)

    def _pass_on(self, received: Received) -> Answer:
        return _show(self.issuer.send(self._find_request(received)))

    def _hold(self, received: Received) -> Answer:
        request, told = self._find_request(received), SimpleQueue[bytes | FetchResponse]()

        def hear(line: bytes) -> bool:
            told.put(line)
            return True

        if "heard" in received.form:
            request = request._replace(hear=hear)
        Thread(target=lambda: told.put(self.issuer.send(request)), daemon=True).start()
        first = told.get()
        if isinstance(first, FetchResponse):
            return _show(first)
        headers = (("content-type", MEDIA_TYPE), ("transfer-encoding", "chunked"))
        return Answer(200, b"", headers, _list_parts(first, told))


def _show(response: FetchResponse) -> Answer:
    return Answer(response.status, response.body, tuple(response.headers.items()))


def _list_parts(first: bytes, told: "SimpleQueue[bytes | FetchResponse]") -> Iterator[bytes]:
    each: bytes | FetchResponse = first
    while isinstance(each, bytes):
        yield _frame(each + b"\n")
        each = told.get()
    yield _frame(each.body)
    yield b"0\r\n\r\n"


def _frame(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)
