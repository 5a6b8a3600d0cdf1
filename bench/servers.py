"""Authorization servers under load: a process on the server core, and what to ask it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bench.install import NODE
from bench.load import Call
from bench.machine import BenchBroken, pinned, server_core

CLIENTS = 8
FORMATS = {"opaque": "opaque", "es256": "ES256", "rs256": "RS256"}
SCOPES = ("orders:read", "orders:write")
SCOPE = SCOPES[0]
CALLBACK = "https://app.example/callback"
PERSON = {"username": "hong", "login": "hong", "password": "correct horse battery staple"}
START_LIMIT = 120.0  # seconds
Credentials = tuple[str, str]


def resource_of(token_format: str) -> str:
    """The resource whose tokens have this format, at both servers."""
    return f"https://{token_format}.orders.example/api"


@dataclass(frozen=True, slots=True)
class Paths:
    token: str
    introspection: str
    jwks: str
    authorization: str
    discovery: str = "/.well-known/openid-configuration"


@dataclass(slots=True)
class Process:
    """A server process, pinned; its output goes to a file that is shown when it fails."""

    command: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    port: int
    core: int = field(default_factory=server_core)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                pinned(self.core, self.command),
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BenchBroken("the server was not started")
        return self._process.pid

    def wait_until_listening(self) -> None:
        """Tries to connect until it works, every millisecond or so."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.001)
        raise BenchBroken(f"no server on port {self.port}:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_listening()
        except BenchBroken:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class AuthorizationServer(Protocol):
    """What the figures need of a server: how to run it and whom it knows."""

    @property
    def name(self) -> str: ...
    @property
    def process(self) -> Process: ...
    @property
    def origin(self) -> str: ...
    @property
    def paths(self) -> Paths: ...
    @property
    def clients(self) -> Sequence[Credentials]: ...
    @property
    def introspector(self) -> Credentials: ...
    @property
    def web(self) -> Credentials: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """oidc-provider, in memory."""

    process: Process
    origin: str
    clients: Sequence[Credentials]
    web: Credentials
    name: str = "oidc-provider"
    paths: Paths = Paths(
        token="/token", introspection="/token/introspection", jwks="/jwks", authorization="/auth"
    )

    @property
    def introspector(self) -> Credentials:
        return self.clients[0]


def build_peer(folder: Path) -> Peer:
    """The peer, ready to start; it has as many clients and resources as ours."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    clients = [(f"client-{number}", secrets.token_urlsafe(32)) for number in range(CLIENTS)]
    web = ("web", secrets.token_urlsafe(32))
    formats = {resource_of(name): value for name, value in FORMATS.items()}
    environment = {
        "NODE_ENV": "production",
        "PORT": str(port),
        "ISSUER": origin,
        "CLIENTS": json.dumps(clients),
        "FORMATS": json.dumps(formats),
        "WEB": json.dumps([*web, CALLBACK]),
    }
    process = Process(
        ["node", "provider.mjs"], NODE, environment, folder / "oidc-provider.log", port
    )
    return Peer(process, origin, clients, web)


def token_call(server: AuthorizationServer, token_format: str, client: Credentials) -> Call:
    form = (
        ("grant_type", "client_credentials"),
        ("resource", resource_of(token_format)),
        ("scope", SCOPE),
    )
    return Call(server.paths.token, form, client)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
