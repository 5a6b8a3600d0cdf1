"""A Redis of our own: a real process that a test may kill, freeze, empty and fill."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds
INSTALL = "Redis is not installed; type: apt-get install -y redis-server"


class RedisServer:
    """On loopback; keeps nothing on the disk."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._server: subprocess.Popen[bytes] | None = None
        self.home = Path(tempfile.mkdtemp(prefix="dojang-redis-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Return when it answers."""
        self._server = subprocess.Popen(
            [
                self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", self.home, *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with suppress(OSError):
                if self.command("PING") == "+PONG":
                    return
            time.sleep(0.01)
        raise RuntimeError("Redis does not start")

    def command(self, *words: str) -> str:
        """The first line of the answer, as it is on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            with connection.makefile("rb") as answer:
                return answer.readline().decode().strip()

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._server is not None
        self._server.wait(PATIENCE)
        self._server = None

    def freeze(self) -> None:
        """Connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def fill_up(self) -> None:
        """No memory is left for anything new."""
        self.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.command("CONFIG", "SET", "maxmemory", "1mb")
        for number in range(100):
            if self.command("SET", f"filler{number}", "x" * 100_000).startswith("-OOM"):
                return
        raise RuntimeError("Redis does not fill up")

    def empty(self) -> None:
        self.command("FLUSHALL")
        self.command("CONFIG", "SET", "maxmemory", "0")

    def remove(self) -> None:
        if self._server is not None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.home)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running Redis. Without one installed the test is skipped, or fails in CI."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    server = RedisServer(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()
