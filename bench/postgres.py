"""A PostgreSQL cluster for one run: its own directory and port, durable as by default."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.machine import BenchBroken
from bench.servers import free_port

START_LIMIT = 30.0  # seconds


@contextmanager
def run_postgres() -> Iterator[str]:
    """The address of an empty database. Raises `BenchBroken`."""
    programs, port = _find_programs(), free_port()
    rights = _find_rights()
    home = Path(tempfile.mkdtemp(prefix="dojang-bench-pg-"))
    try:
        if rights:
            os.chown(home, rights["user"], rights["group"])
        made = ["-D", home / "data", "-U", "dojang", "-A", "trust", "-E", "UTF8"]
        _run([programs / "initdb", *made], rights)
        command = [programs / "postgres", "-D", home / "data", "-p", str(port), "-k", home]
        server = subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **rights
        )
        try:
            where = ["-h", "127.0.0.1", "-p", str(port), "-U", "dojang"]
            _wait([programs / "pg_isready", "-q", *where], rights)
            _run([programs / "createdb", *where, "bench"], rights)
            yield f"postgresql://dojang@127.0.0.1:{port}/bench"
        finally:
            server.terminate()
            server.wait(START_LIMIT)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def postgres_version() -> str:
    """What the server says of itself."""
    return _run([_find_programs() / "postgres", "--version"], {}).strip()


def _find_programs() -> Path:
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(installed, key=lambda program: float(program.parts[-3]))
    program = str(found[-1]) if found else shutil.which("initdb")
    if program is None:
        raise BenchBroken("PostgreSQL is not installed; type: apt-get install -y postgresql")
    return Path(program).parent


def _find_rights() -> dict[str, Any]:
    """Who runs it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            owner = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    raise BenchBroken("there is no user postgres or nobody to run PostgreSQL as")


def _run(command: list[str | Path], rights: dict[str, Any]) -> str:
    done = subprocess.run(
        command, cwd="/", capture_output=True, text=True, check=False, timeout=60, **rights
    )
    if done.returncode:
        raise BenchBroken(f"{Path(command[0]).name} failed:\n{done.stderr}")
    return done.stdout


def _wait(command: list[str | Path], rights: dict[str, Any]) -> None:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        try:
            _run(command, rights)
        except BenchBroken:
            time.sleep(0.05)
        else:
            return
    raise BenchBroken("PostgreSQL does not start")
