"""HTTP load from wrk on a core of its own, and single requests to see what is answered."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.machine import BenchBroken, load_core, pinned

CONNECTIONS = 64
SCRIPT = Path(__file__).resolve().parent / "lua" / "send.lua"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as wrk sends it; an empty body makes it a GET."""

    path: str
    form: tuple[tuple[str, str], ...] = ()
    credentials: tuple[str, str] | None = None

    @property
    def method(self) -> str:
        return "POST" if self.form else "GET"

    @property
    def authorization(self) -> str:
        if self.credentials is None:
            return ""
        return "Basic " + b64encode(":".join(self.credentials).encode()).decode()

    @property
    def body(self) -> str:
        return urlencode(self.form)

    @property
    def line(self) -> str:
        return f"{self.method}\t{self.path}\t{self.authorization}\t{self.body}"


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; times are milliseconds."""

    rate: float
    requests: int
    p50: float
    p99: float


def send(origin: str, call: Call) -> dict[str, Any]:
    """The JSON object that one call is answered with. Raises `BenchBroken`."""
    headers = {"Authorization": call.authorization} if call.authorization else {}
    if call.form:
        headers["Content-Type"] = FORM
    asked = urllib.request.Request(
        origin + call.path, data=call.body.encode() or None, headers=headers, method=call.method
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        raise BenchBroken(f"{call.method} {call.path}: {error.code} {text}") from error
    except (OSError, ValueError) as error:
        raise BenchBroken(f"{call.method} {call.path}: {error}") from error
    if not isinstance(found, dict):
        raise BenchBroken(f"{call.method} {call.path}: the answer is no JSON object")
    return found


def put_load(origin: str, calls: Sequence[Call], *, seconds: int, folder: Path) -> Load:
    """Sends `calls` in turn over kept-alive connections. Raises `BenchBroken` unless every
    answer was a success."""
    requests = folder / "requests.txt"
    requests.write_text("".join(call.line + "\n" for call in calls))
    return run_wrk(origin, SCRIPT, requests, seconds=seconds)


def run_wrk(
    origin: str, script: Path, said: Path, *, seconds: int, connections: int = CONNECTIONS
) -> Load:
    """What a script of ours does with what it is told in the file `said`. Raises `BenchBroken`
    unless every answer was a success."""
    if not shutil.which("wrk"):
        raise BenchBroken("wrk is missing (`./run bench` installs it on Debian)")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    done = subprocess.run(
        pinned(load_core(), [*command, "-s", script, origin, "--", said]),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 30,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise BenchBroken(f"wrk failed: {done.stdout}{done.stderr}")
    saw = json.loads(lines[-1])
    if saw["refused"] or saw["failed"] or not saw["requests"]:
        raise BenchBroken(f"{origin}: not every answer was a success: {saw}")
    return Load(
        rate=saw["requests"] / saw["microseconds"] * 1e6,
        requests=saw["requests"],
        p50=saw["p50"] / 1000,
        p99=saw["p99"] / 1000,
    )
