"""The real `dojang` in processes of its own, on an installation in a directory of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOJANG = str(Path(sys.executable).with_name("dojang"))
SECRET = ("dojang_cs_", "dojang_at_", "eyJ")
LONG = 60  # seconds after which a process is taken for stuck

ORDERS = "https://orders.example"
PAYMENTS = "https://payments.example"


class Done:
    """A command that ended."""

    def __init__(self, process: "subprocess.CompletedProcess[str]") -> None:
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def json(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    def holds_secret(self) -> bool:
        return any(mark in self.out + self.err for mark in SECRET)


def environment(**extra: str) -> dict[str, str]:
    """Ours, without settings of another installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
    return {**kept, "COLUMNS": "200", **extra}


def dojang(
    *arguments: str,
    cwd: Path,
    stdin: str = "",
    env: dict[str, str] | None = None,
    program: str = DOJANG,
) -> Done:
    """Run a command to its end."""
    return Done(
        subprocess.run(
            [program, *arguments],
            cwd=cwd,
            env=environment(**(env or {})),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
    )


def find_free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Installation:
    """What `dojang init` made, and its server while it runs. `program` is the command line."""

    def __init__(self, directory: Path, *options: str, program: str = DOJANG) -> None:
        self.directory = directory
        self.program = program
        self.public, self.management = find_free_ports(2)
        self.issuer = f"http://127.0.0.1:{self.public}"
        self.made = self.run(
            "init",
            f"--public=127.0.0.1:{self.public}",
            f"--management=127.0.0.1:{self.management}",
            *options,
        )
        self.log = ""
        self._server: subprocess.Popen[str] | None = None

    def run(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Done:
        return dojang(*arguments, cwd=self.directory, stdin=stdin, env=env, program=self.program)

    def must(self, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """A command that succeeds, and its JSON."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.code == 0, done.err
        return done.json()

    def start(self, command: Sequence[str] = ()) -> None:
        """Serve, and come back when it does."""
        server = subprocess.Popen(
            [*(command or (self.program,)), "serve"],
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stderr is not None
        self._server = server
        for line in server.stderr:
            self.log += line
            if "serving on" in line:
                return
        raise AssertionError(self.log)

    @property
    def is_running(self) -> bool:
        return self._server is not None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server; its exit code."""
        assert self._server is not None
        self._server.send_signal(number)
        _, rest = self._server.communicate(timeout=LONG)
        self.log += rest
        code = self._server.returncode
        self._server = None
        return code

    def add_client(self, name: str, *grants: str) -> str:
        """The file that holds its secret."""
        options = [f"--grant={grant}" for grant in grants]
        file = f"{name}.secret"
        self.must("client", "add", name, *options, f"--secret-file={file}")
        return file

    def issue(self, name: str, resource: str) -> str:
        """A token for a client made by `add_client`."""
        done = self.run(
            "token", "issue", f"--client-id={name}", f"--client-secret-file={name}.secret",
            f"--resource={resource}",
        )  # fmt: skip
        assert done.code == 0, done.err
        return done.out.strip()

    def is_active(self, token: str, asker: str = "orders") -> bool:
        """What the issuer says to a client that may ask."""
        done = self.run(
            "token", "introspect", "-", f"--client-id={asker}",
            f"--client-secret-file={asker}.secret", stdin=token,
        )  # fmt: skip
        assert done.code in {0, 1}, done.err
        return done.code == 0
