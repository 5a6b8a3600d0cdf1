"""The figure of a large snapshot: how long an event loop stands still while its process maps one.

Runs in a process of its own (`python -m bench.mapping FOLDER ROUNDS`).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

from bench.figures import VIEW, Measured
from bench.machine import ROOT, SOURCE, BenchBroken
from bench.rounds import interval
from bench.view import build_view
from dojang.fetch import HttpTransport, drive
from dojang.oauth.feed import Tagger
from dojang.oauth.revocation_fact import Rev
from dojang.trust.chunk_files import SUFFIX, ChunkFiles
from dojang.trust.revocations import RevocationView

TURN = 0.001  # seconds


def measure_mapping(
    wanted: frozenset[str], *, facts: int, rounds: int, folder: Path
) -> Iterable[Measured]:
    """Measures the figure, if wanted, with so many revoked tokens in files."""
    figures = [figure for figure in VIEW if figure.name in wanted and figure.name == "view-gap"]
    if not figures:
        return
    folder.mkdir()
    files = ChunkFiles(folder)
    for chunk in build_view(facts).export().chunks:
        files.store(sha256(chunk).digest(), chunk)
    done = subprocess.run(
        [sys.executable, "-m", "bench.mapping", str(folder), str(rounds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise BenchBroken(f"mapping could not be measured:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    taken = f"mapped in {interval(found['took_ms']).median:.0f} ms"
    yield Measured(figures[0], interval(found["gaps_ms"]), rounds, ours=taken, detail=found)


async def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """In this process: the longest that a loop waits for its turn, with nothing else to do and
    while a thread loads."""
    gaps, idle, took = [], [], []
    for _ in range(rounds):
        idle.append(await _find_gap(Thread(target=lambda: time.sleep(0.2))))
        began = time.perf_counter()
        gaps.append(await _find_gap(Thread(target=_load, args=(folder,))))
        took.append((time.perf_counter() - began) * 1000)
    return {"gaps_ms": gaps, "idle_gaps_ms": idle, "took_ms": took}


def _load(folder: Path) -> None:
    digests = [bytes.fromhex(path.stem) for path in folder.glob(f"*{SUFFIX}")]
    chunks = drive(ChunkFiles(folder).load(digests), HttpTransport())
    RevocationView(Tagger(bytes(32))).take(chunks, rev=Rev(1, 1))


async def _find_gap(thread: Thread) -> float:
    longest, last = 0.0, time.perf_counter()
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(TURN)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest * 1000


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2])))))
