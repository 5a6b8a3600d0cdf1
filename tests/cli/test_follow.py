"""`dojang follow` as a process: one view for all processes of a host, and what becomes of it."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dojang.trust.feed_status import FeedState, FeedStatus
from dojang.trust.follower import Follower
from tests.cli.installation import DOJANG, LONG, Installation, environment


class Relay:
    """A `dojang follow` for an installation, its socket where paths are short."""

    def __init__(self, installation: Installation, directory: Path) -> None:
        self.socket = directory / "follow.sock"
        self.directory = directory / "follow.sock.d"
        self._installation = installation
        self._process: subprocess.Popen[str] | None = None
        self.log = ""

    @property
    def command(self) -> list[str]:
        return [
            DOJANG, "follow", f"--issuer={self._installation.issuer}", "--client-id=orders",
            "--client-secret-file=orders.secret", f"--socket={self.socket}", "--name=host-1",
        ]  # fmt: skip

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command, cwd=self._installation.directory, env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert str(self.socket) in self._process.stdout.readline()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        _, self.log = self._process.communicate(timeout=LONG)
        code, self._process = self._process.returncode, None
        return code

    @property
    def is_running(self) -> bool:
        return self._process is not None


@pytest.fixture
def relay(served: Installation) -> Iterator[Relay]:
    with TemporaryDirectory(dir="/tmp") as directory:
        relay = Relay(served, Path(directory))
        relay.start()
        yield relay
        if relay.is_running:
            relay.stop()
            print(relay.log)


def wait_until(follower: Follower, holds: Callable[[FeedStatus], bool]) -> FeedStatus:
    deadline = time.monotonic() + 6
    while not holds(status := follower.status()):
        assert time.monotonic() < deadline, status
        follower.look()
        time.sleep(0.01)
    return status


def is_fresh(status: FeedStatus) -> bool:
    return status.state is FeedState.FRESH


def test_it(served: Installation, relay: Relay) -> None:
    follower = Follower(served.issuer, relay=str(relay.socket))
    wait_until(follower, is_fresh)
    print(follower.status())
    print(relay.stop(), relay.log)
