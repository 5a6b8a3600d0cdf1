"""Dojang as shipped: `dojang init` and `dojang serve` with their defaults, on embedded SQLite.

Only the ports are ours to choose, because the defaults may be taken on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import BenchBroken
from bench.servers import (
    CALLBACK,
    CLIENTS,
    FORMATS,
    PERSON,
    SCOPES,
    Credentials,
    Paths,
    Process,
    free_port,
    resource_of,
)

PROGRAM = Path(sys.executable).parent / "dojang"
PATHS = Paths(
    token="/token",
    introspection="/introspect",
    jwks="/.well-known/jwks.json",
    authorization="/authorize",
)
INTROSPECTOR = "introspector"


@dataclass(frozen=True, slots=True)
class Ours:
    """The server that is measured, on an installation of its own."""

    process: Process
    origin: str
    clients: Sequence[Credentials]
    introspector: Credentials
    web: Credentials
    name: str = "dojang"
    paths: Paths = PATHS


def build_ours(folder: Path, *, name: str = "dojang", database: str | None = None) -> Ours:
    """An installation with clients and resources, ready to start, in `folder`/`name`; on an empty
    PostgreSQL `database` (its address) where one is given. Raises `BenchBroken`."""
    home = folder / name
    public, management = free_port(), free_port()
    options = ["--public", f"127.0.0.1:{public}", "--management", f"127.0.0.1:{management}"]
    if database is not None:
        address = folder / f"{name}.url"
        address.write_text(database)
        address.chmod(0o600)
        options += ["--storage-url-file", str(address)]
    _dojang(folder, "init", str(home), *options)
    introspector = _add_client(home, INTROSPECTOR, [])
    for form, value in FORMATS.items():
        written = ["--format", "opaque"] if value == "opaque" else ["--algorithm", value]
        scopes = [option for scope in SCOPES for option in ("--scope", scope)]
        asker = ["--introspector", INTROSPECTOR]
        _dojang(home, "resource", "add", resource_of(form), *written, *scopes, *asker)
    grants = [f"{resource_of(form)}={','.join(SCOPES)}" for form in FORMATS]
    clients = [_add_client(home, f"client-{number}", grants) for number in range(CLIENTS)]
    redirect = ["--redirect-uri", CALLBACK, "--scope", "openid", "--scope", "offline_access"]
    web = _add_client(home, "web", [], *redirect)
    password = folder / f"{name}.password"
    password.write_text(PERSON["password"])
    _dojang(home, "user", "add", PERSON["username"], "--password-file", str(password))
    process = Process([PROGRAM, "serve"], home, {}, folder / f"{name}.log", public)
    return Ours(process, f"http://127.0.0.1:{public}", clients, introspector, web, name)


def _add_client(home: Path, client_id: str, grants: Sequence[str], *more: str) -> Credentials:
    options = [option for grant in grants for option in ("--grant", grant)] + list(more)
    answer = json.loads(_dojang(home, "client", "add", client_id, *options, "--json"))
    return client_id, answer["client_secret"]


def _dojang(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise BenchBroken(f"dojang {' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
