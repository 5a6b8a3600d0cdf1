"""`dojang follow` as a process: one view for all processes of a host, and what becomes of it."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dojang.fetch import FetchRequest, HttpTransport
from tests.cli.installation import DOJANG, LONG, ORDERS, SECRET, Installation, environment

SERVICE = str(Path(__file__).with_name("relayed_service.py"))


class Relay:
    """A `dojang follow` for an installation, its socket where paths are short."""

    def __init__(self, installation: Installation, directory: Path) -> None:
        self.socket = directory / "follow.sock"
        self.directory = directory / "follow.sock.d"
        self.log = ""
        self.said: dict[str, Any] = {}
        self._installation = installation
        self._process: subprocess.Popen[str] | None = None

    @property
    def command(self) -> list[str]:
        return [
            "follow", f"--issuer={self._installation.issuer}", "--client-id=orders",
            "--client-secret-file=orders.secret", f"--socket={self.socket}", "--json",
        ]  # fmt: skip

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Come back when it serves."""
        self._process = subprocess.Popen(
            [DOJANG, *self.command], cwd=self._installation.directory, env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.said = json.loads("".join(self._process.stdout.readline() for _ in range(5)))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        _, self.log = self._process.communicate(timeout=LONG)
        code, self._process = self._process.returncode, None
        return code


@pytest.fixture
def relay(served: Installation) -> Iterator[Relay]:
    with TemporaryDirectory(dir="/tmp") as directory:
        relay = Relay(served, Path(directory))
        relay.start()
        yield relay
        if relay.is_running:
            relay.stop()


@pytest.mark.proves("V3", "F6")
def test_prefork_processes_share_the_view_of_a_relay(served: Installation, relay: Relay) -> None:
    token = served.issue("shop", ORDERS)
    with subprocess.Popen(
        [sys.executable, SERVICE, served.issuer, ORDERS, f"unix:{relay.socket}"],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as service:  # fmt: skip
        assert service.stdin is not None
        assert service.stdout is not None
        service.stdin.write(token)
        service.stdin.close()

        def hear(count: int) -> list[str]:
            assert service.stdout is not None
            return [service.stdout.readline().strip() for _ in range(count)]

        assert hear(3) == ["accepted"] * 3  # before the children were made, and in both
        relay.stop(signal.SIGKILL)
        assert hear(2) == ["unavailable"] * 2
        relay.start()
        assert hear(2) == ["accepted"] * 2
        served.must("revoke", "token", "-", stdin=token)
        assert hear(2) == ["revoked"] * 2
    assert relay.stop() == 0
    assert not any(mark in relay.log for mark in (*SECRET, "dojang_fl_"))


def test_the_socket_and_the_files_are_for_owner_and_group(relay: Relay) -> None:
    assert stat.S_IMODE(relay.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(relay.directory.stat().st_mode) == 0o750
    assert relay.stop() == 0
    assert not relay.socket.exists()


@pytest.mark.parametrize("extra", ["--name=other", "--directory=other"])
def test_a_second_relay_is_told_that_there_is_one(
    served: Installation, relay: Relay, extra: str
) -> None:
    done = served.run(*relay.command[:-1], extra)
    assert done.code == 2
    assert "One relay serves a socket" in done.err
    assert "Traceback" not in done.err
    assert relay.is_running


@pytest.mark.parametrize(
    "wrong", ["--issuer=ftp://auth.example", "--name=two words", "--staleness=0", "--socket=/no/x"]
)
def test_what_cannot_be_is_said_at_once(served: Installation, relay: Relay, wrong: str) -> None:
    relay.stop()
    done = served.run(*relay.command, wrong)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_it_says_where_it_serves_and_how_it_stands(served: Installation, relay: Relay) -> None:
    assert relay.said == {
        "issuer": served.issuer,
        "socket": str(relay.socket),
        "directory": str(relay.directory),
    }
    transport = HttpTransport(unix=str(relay.socket))
    answer = transport.send(FetchRequest("GET", "http://localhost/status"))
    assert json.loads(answer.body)["issuer"] == served.issuer
    transport.close()
