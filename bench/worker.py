"""A process that holds contenders and measures the one it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.machine import BenchBroken, pinned


class Worker:
    """Started on `core`; one request at a time, so only one contender ever runs."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._process = subprocess.Popen(
            pinned(core, command),
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.terminate()
        self._process.wait(10)

    def rate(
        self, contender: str, algorithm: str, *, first: int, count: int, repeat: int = 1
    ) -> float:
        """Tokens a second over tokens first..first+count, each shown `repeat` times."""
        asked = {
            "contender": contender,
            "algorithm": algorithm,
            "first": first,
            "count": count,
            "repeat": repeat,
        }
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise BenchBroken("a worker has no pipes")
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise BenchBroken(f"{contender} {algorithm}: the worker ended")
        return 1 / float(line)
