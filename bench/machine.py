"""The cores that are measured on, and what must be known to read the figures."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


class BenchBroken(Exception):
    """The bench cannot measure: a peer does not start, an answer is not what it should be."""


def server_core() -> int:
    return min(os.sched_getaffinity(0))


def load_core() -> int:
    """Another core than the server's, where there is one."""
    return max(os.sched_getaffinity(0))


def pinned(core: int, command: Sequence[str | Path]) -> list[str | Path]:
    """The command, to run on `core` alone."""
    return ["taskset", "-c", str(core), *command]


def processor_seconds(pid: int) -> float:
    """Processor time that the process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchBroken(f"process {pid} says nothing about its memory")


def load_average() -> float:
    """How many processes have wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def describe_machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "server_core": server_core(),
        "load_core": load_core(),
        "kernel": platform.release(),
        "load_before": load_average(),
        "system": _line("/etc/os-release", "PRETTY_NAME=").strip('"'),
    }


def describe_versions(python: Path) -> dict[str, str]:
    """Versions on our side of the server figures; `python` is the peers' interpreter."""
    versions = {"python": platform.python_version()}
    versions["node"] = _output("node", "--version")
    versions["wrk"] = _output("wrk", "--version").split("\n")[0]
    asked = subprocess.run(
        [python, "-c", _ASK_VERSIONS], capture_output=True, text=True, check=True, timeout=60
    )
    own = subprocess.run(
        [sys.executable, "-c", _ASK_OWN], capture_output=True, text=True, check=True, timeout=60
    )
    for line in (*asked.stdout.splitlines(), *own.stdout.splitlines()):
        name, _, version = line.partition(" ")
        versions[name] = version
    head = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    versions["commit"] = head or "unknown"
    return versions


_ASK_VERSIONS = """
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from cryptography.hazmat.backends.openssl.backend import backend
for name in ("cryptography", "msgspec", "pybase64", "pyjwt", "joserfc"):
    with suppress(PackageNotFoundError):  # where no peer is measured
        print(name, version(name))
print("openssl", backend.openssl_version_text())
"""
_ASK_OWN = """
from importlib.metadata import version
for name in ("dojang", "uvloop", "httptools"):
    print(name, version(name))
"""


def _output(program: str, *arguments: str) -> str:
    if not shutil.which(program):
        return "absent"
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return (done.stdout or done.stderr).strip()


def _cpu_model() -> str:
    return _line("/proc/cpuinfo", "model name").lstrip("\t :") or platform.machine()


def _line(path: str, start: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")
