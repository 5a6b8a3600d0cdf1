"""A host without sockets: a relay that follows a scripted issuer, and the way of others to it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from dojang.clock import Clock
from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse
from dojang.jose.keys import KeySet
from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request
from dojang.resource.relay import Relay
from dojang.trust.chunk_files import ChunkFiles
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.feed_archive import FeedArchive
from dojang.trust.follower import Follower
from dojang.trust.remote_keys import FixedKeys
from tests.scripted_issuer import ScriptedIssuer

FORM = (b"content-type", b"application/x-www-form-urlencoded")


class Straight:
    """An `AsyncTransport` to the issuer."""

    def __init__(self, issuer: ScriptedIssuer) -> None:
        self._issuer = issuer

    async def send(self, request: FetchRequest) -> FetchResponse:
        return self._issuer.send(request)


class RelayHost:
    """A `Transport` that leads to its relay. Nothing waits there for news. `on_question` is called
    while a question is on its way, `change` is what is made of the answers."""

    def __init__(self, issuer: ScriptedIssuer, directory: Path, *, clock: Clock) -> None:
        self.issuer = issuer
        self.clock = clock
        self.directory = directory / "follow.sock.d"
        self.directory.mkdir()
        self.socket = directory / "follow.sock"
        self.down = False
        self.on_question: Callable[[], object] = lambda: None
        self.change: Callable[[FetchResponse], FetchResponse] = lambda response: response
        self.asked: list[str] = []
        self.start()

    def start(self) -> None:
        """Begin anew, as a process does that is started again."""
        self.relay = Relay(
            FixedKeys(KeySet([self.issuer.key.verifying_key()])),
            files=ChunkFiles(self.directory),
            archive=FeedArchive(),
            directory=self.directory.name,
            clock=self.clock,
        )
        self.follower = Follower(
            self.issuer.url,
            credentials=ClientSecretBasic("orders", "secret"),
            transport=self.issuer,
            clock=self.clock,
            by_hand=True,
            relaying=self.relay.relaying,
        )
        self.relay.begin(self.follower, Straight(self.issuer))

    def poll(self) -> None:
        """The relay asks the issuer."""
        self.follower.poll()
        self.relay.tell()

    def join(self) -> Follower:
        """Another process of the host."""
        return Follower(
            self.issuer.url,
            relay=str(self.socket),
            transport=self,
            clock=self.clock,
            by_hand=True,
        )

    def send(self, request: FetchRequest) -> FetchResponse:
        if self.down:
            raise FetchFailed(request.host, FetchProblem.CONNECTION)
        path = urlsplit(request.url).path
        body = request.body
        self.asked.append(path)
        if path == "/feed":
            self.on_question()
            body = urlencode(dict(parse_qsl(body.decode())) | {"hold": "0"}).encode()
        return self.change(self.ask(request.method, path, body, dict(request.headers)))

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> FetchResponse:
        endpoint = {
            ("POST", "/feed/join"): self.relay.join,
            ("POST", "/feed"): self.relay.question,
            ("GET", "/feed/snapshot"): self.relay.snapshot,
            ("GET", "/status"): self.relay.status,
        }[method, path]
        given = tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
        try:
            answer = asyncio.run(endpoint(Request(method, path, b"", given, body, "unix")))
        except Unavailable:
            return FetchResponse(503, {}, b"{}")
        shown = {name.decode(): value.decode() for name, value in (*answer.headers, *answer.own)}
        return FetchResponse(answer.status, shown, answer.body)
