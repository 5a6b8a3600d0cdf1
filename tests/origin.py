"""A small real HTTP server whose answers a test writes, and an issuer made of one."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey


class Received(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def basic(self) -> str:
        return b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()


class Answer(NamedTuple):
    """`parts` follow the body, each when it is there."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    parts: Iterable[bytes] = ()


Write = Callable[[Received], Answer]


def answer_json(document: object, status: int = 200, **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    body = json.dumps(document).encode()
    return Answer(status, body, (("content-type", "application/json"), *named))


def _answer_nothing(_: Received) -> Answer:
    return Answer(404)


class Origin:
    """`answers` maps paths to what is answered there; `requests` keeps what came."""

    def __init__(self) -> None:
        self.answers: dict[str, Write] = {}
        self.requests: list[Received] = []
        self.asked = Event()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, self.rfile.read(length))
                origin.requests.append(received)
                origin.asked.set()
                path = self.path.partition("?")[0]
                write = origin.answers.get(path, _answer_nothing)
                answer = write(received)
                self.send_response(answer.status)
                names = {name.lower() for name, _ in answer.headers}
                for name, value in answer.headers:
                    self.send_header(name, value)
                if "content-length" not in names and "transfer-encoding" not in names:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                for part in answer.parts:
                    self.wfile.write(part)
                    self.wfile.flush()

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # a peer that goes away is part of these tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, path: str) -> int:
        return sum(each.path.partition("?")[0] == path for each in self.requests)


class WireIssuer(Origin):
    """An issuer at `url`: metadata, keys, introspection of what `states` says, tokens."""

    METADATA = "/.well-known/oauth-authorization-server"

    def __init__(self, *, algorithm: str = "ES256") -> None:
        super().__init__()
        self.algorithm = algorithm
        self.key = SigningKey.generate(algorithm)
        self.published = [self.key]
        self.states: dict[str, dict[str, Any]] = {}
        self.issued = 0
        self.answers |= {
            self.METADATA: lambda _: answer_json(self.metadata()),
            "/jwks": lambda _: answer_json(self.jwks()),
            "/introspect": lambda got: answer_json(
                self.states.get(got.form["token"], {"active": False})
            ),
            "/token": self._issue,
        }

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "introspection_endpoint": f"{self.url}/introspect",
            "token_endpoint": f"{self.url}/token",
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.public_jwk() for key in self.published]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, changed; a change to None takes the claim away."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "machine",
            "aud": "https://orders.example",
            "client_id": "machine",
            "exp": now + 600,
            "iat": now,
            "jti": f"jti-{self.issued}",
            "scope": "orders:read",
        }
        self.issued += 1
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(
        self,
        *,
        key: SigningKey | None = None,
        typ: str | None = "at+jwt",
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        signer = CompactSigner(key or self.key, typ=typ, extra=header)
        return sign_jwt(self.claims(**changes), signer)

    def opaque(self, name: str = "opaque", **changes: Any) -> str:
        self.states[name] = {"active": True, **self.claims(**changes)}
        return name

    def _issue(self, received: Received) -> Answer:
        token = self.token(aud=received.form.get("resource", "https://orders.example"))
        return answer_json({"access_token": token, "token_type": "Bearer", "expires_in": 600})
