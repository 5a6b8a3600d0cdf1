"""Somebody else listens where our server would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.installation import Installation

LIVE = b'{"status":"live"}'


class Impostor(BaseHTTPRequestHandler):
    """Answers as live to whatever it is asked, and remembers what it was told."""

    told: list[str]

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.told.append(f"{self.command} {self.path} {self.headers} {self.rfile.read(length)!r}")
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(LIVE)))
        self.end_headers()
        self.wfile.write(LIVE)

    do_GET = do_POST = answer  # noqa: N815  names of the standard library

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def told(stopped: Installation) -> Iterator[list[str]]:
    """What an impostor at both of our addresses was told."""
    told: list[str] = []
    handler = type("Handler", (Impostor,), {"told": told})
    addresses = [("127.0.0.1", port) for port in (stopped.public, stopped.management)]
    servers = [ThreadingHTTPServer(address, handler) for address in addresses]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.proves("A5", "O2")
def test_it_is_told_no_secret(stopped: Installation, told: list[str]) -> None:
    done = stopped.run("client", "list")
    assert done.code == 3
    assert "Nothing was sent to it" in done.err
    assert [line.split(" HTTP")[0].split()[:2] for line in told] == [["GET", "/health/live"]]
    assert not any("authorization" in line.lower() for line in told)
