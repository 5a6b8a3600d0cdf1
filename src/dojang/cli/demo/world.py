"""The processes of the demo in a directory of their own, and their end."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from dojang.cli.config_loading import load_config
from dojang.cli.demo.service import ServiceSettings
from dojang.cli.errors import Exit, Failure
from dojang.server.config import Config

_DOJANG: Final = (sys.executable, "-c", "from dojang.cli import main; main()")
_SERVICE: Final = (sys.executable, "-m", "dojang.cli.demo.service")
_PATIENCE: Final = 20.0  # seconds for a process to answer
_FAREWELL: Final = 3.0


class World:
    """An authorization server and two services. Close it, whatever happens."""

    def __init__(self) -> None:
        self.directory: Final = Path(tempfile.mkdtemp(prefix="dojang-demo-"))
        self.ports: Final = _find_free_ports(4)
        self.issuer: Final = f"http://127.0.0.1:{self.ports[0]}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def initialise(self) -> Config:
        """Make the authorization server; the configuration of its operator."""
        auth = self.directory / "auth"
        run = subprocess.run(  # noqa: S603  our own program
            [
                *_DOJANG,
                "init",
                str(auth),
                f"--public=127.0.0.1:{self.ports[0]}",
                f"--management=127.0.0.1:{self.ports[1]}",
            ],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise Failure(f"dojang init: {run.stderr.strip()}", Exit.UNREACHABLE)
        return load_config(auth / "dojang.toml", environ={}).config

    async def start_server(self) -> float:
        """Start the authorization server; the seconds until it answers."""
        config = self.directory / "auth" / "dojang.toml"
        began = time.perf_counter()
        self._start("server", [*_DOJANG, "serve", "--config", str(config)], {})
        await self._wait_for("server", self.ports[0])
        return time.perf_counter() - began

    async def start_services(self, secrets: Mapping[str, str]) -> None:
        """Start orders and payments, which are clients with these `secrets`."""
        payments_url = f"http://127.0.0.1:{self.ports[3]}"
        for name, port in (("orders", self.ports[2]), ("payments", self.ports[3])):
            file = self.directory / f"{name}.secret"
            file.touch(mode=0o600)
            file.write_text(secrets[name])
            settings = ServiceSettings(
                issuer=self.issuer,
                port=port,
                secret_file=str(file),
                payments_url=payments_url,
            )
            told = {"DEMO_SERVICE": msgspec.json.encode(settings).decode()}
            self._start(name, [*_SERVICE, name], told)
        await asyncio.gather(
            self._wait_for("orders", self.ports[2]), self._wait_for("payments", self.ports[3])
        )

    def kill_server(self) -> float:
        """SIGKILL, and wait for its death; the moment after (`perf_counter` seconds)."""
        process = self._processes.pop("server")
        process.kill()
        process.wait()
        return time.perf_counter()

    def close(self) -> None:
        """End every process and leave no file behind."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _FAREWELL
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, name: str, command: list[str], told: dict[str, str]) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603  our own programs
                command,
                env=_environment() | told,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the story, which ends them in order
            )

    async def _wait_for(self, name: str, port: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._processes[name].poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
        log = (self.directory / f"{name}.log").read_text(errors="replace").strip()
        last = log.splitlines()[-1] if log else "it said nothing"
        raise Failure(f"the process {name} did not start: {last}", Exit.UNREACHABLE)


def _environment() -> dict[str, str]:
    """Ours, without the settings of another installation."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}


def _find_free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
