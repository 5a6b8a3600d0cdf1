"""Dojang as shipped: `dojang init` and `dojang serve` with their defaults, on embedded SQLite."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import BenchBroken
from bench.servers import (
    Credentials,
    Paths,
    Process,
)

CONFIG = Path(__file__).resolve().parent / "dojang.toml"
DOJANG = Path(sys.executable).parent / "dojang"
PATHS = Paths(token="/token", introspection="/introspect", jwks="/.well-known/jwks.json")


@dataclass(frozen=True, slots=True)
class Ours:
    """The server that is measured, on a data directory of its own."""

    process: Process
    origin: str
    clients: Sequence[Credentials]
    introspector: Credentials
    name: str = "dojang"
    paths: Paths = PATHS


def build_ours(folder: Path) -> Ours:
    raise BenchBroken(f"{DOJANG} serve is not there yet")
