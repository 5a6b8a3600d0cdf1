"""The view figures: what ten million revoked tokens take, and what looking for one more costs.

Runs in a process of its own (`python -m bench.view FACTS ROUNDS`), so that its memory is its own.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.contenders import build_local
from bench.figures import VIEW, Measured
from bench.machine import ROOT, SOURCE, BenchBroken, pinned, resident_megabytes, server_core
from bench.rounds import interval
from bench.tokens import write_pools
from dojang.oauth.feed import Record, Tagger
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.trust.marks import Marks
from dojang.trust.revocation_shards import Layout, build_image
from dojang.trust.revocations import RevocationView

LIVES = 3600  # seconds that facts are remembered
TOKENS = 400
TOKEN_CODE = 1
ROW = 19
SHARD_BITS = 8  # as a table of ten million has them


def measure_view(wanted: frozenset[str], *, facts: int, rounds: int) -> Iterable[Measured]:
    """Measures the wanted view figures with `facts` revoked tokens."""
    figures = [each for each in VIEW if each.name in wanted and each.name != "view-gap"]
    if not figures:
        return
    done = subprocess.run(
        pinned(server_core(), [sys.executable, "-m", "bench.view", str(facts), str(rounds)]),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if done.returncode:
        raise BenchBroken(f"the view could not be measured:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    for figure in figures:
        samples = found[figure.name]
        detail = {name: value for name, value in found.items() if type(value) is not list}
        yield Measured(figure, interval(samples), len(samples), detail=detail)


def measure(facts: int, rounds: int) -> dict[str, Any]:
    """In this process: bytes a fact, and the share of a cold ES256 verification that a miss is."""
    _build_chunk(0, facts, random.Random(0))  # what making one leaves behind is not the view's
    gc.collect()
    _give_back()
    before = resident_megabytes(os.getpid())
    view = build_view(facts)
    gc.collect()
    _give_back()
    resident = (resident_megabytes(os.getpid()) - before) * 1024**2
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as folder:
        document = json.loads(write_pools(Path(folder), TOKENS).read_text())
    pool = document["pools"]["ES256"]
    verify = build_local("ES256", pool["jwk"], document["issuer"], document["audience"])
    identifiers = [
        {**claims, "kid": "key", "iss": document["issuer"]}
        for claims in map(_read_claims, pool["tokens"])
    ]
    marks = [view.mark(Rev(1, 0), claims) for claims in identifiers]
    misses, whole, cold = [], [], []
    for _ in range(rounds):
        cold.append(_time(verify(pool["tokens"])) / TOKENS)
        misses.append(_time(_look_for(view, marks)) / TOKENS)
        whole.append(_time(_mark_and_look_for(view, identifiers)) / TOKENS)
    return {
        "view-bytes": [resident / facts],
        "view-miss": [miss / verified * 100 for miss, verified in zip(misses, cold, strict=True)],
        "view-mark": [both / verified * 100 for both, verified in zip(whole, cold, strict=True)],
        "facts": len(view),
        "miss_us": interval(misses).median * 1e6,
        "mark_and_miss_us": interval(whole).median * 1e6,
        "cold_verify_us": interval(cold).median * 1e6,
    }


def _give_back() -> None:
    """Have the allocator give freed memory back to the system, where it is glibc's."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def build_view(facts: int) -> RevocationView:
    """A view of `facts` revoked tokens, and of a client that was shut out long ago. It comes as a
    follower gets it, as a snapshot whose chunks are used where they lie."""
    draw = random.Random(facts)
    tagger = Tagger(draw.randbytes(32))
    chunks = [_build_chunk(place, facts, draw) for place in range(1 << SHARD_BITS)]
    view = RevocationView(tagger)
    view.take(chunks, rev=Rev(1, facts))
    shut_out = Record(FactKind.CLIENT, tagger.tag(FactKind.CLIENT, "client"), 2**31)
    view.apply(1, facts + 1, [shut_out])
    return view


def _build_chunk(place: int, facts: int, draw: random.Random) -> bytes:
    """A shard of a view with so many tokens."""
    first, kept_until = bytes([place]), b"\x70\0\0"
    rows = sorted(first + draw.randbytes(15) + kept_until for _ in range(-(-facts >> SHARD_BITS)))
    return build_image(Layout(TOKEN_CODE, ROW, SHARD_BITS), place, rows)


def _look_for(view: RevocationView, tokens: Sequence[Marks]) -> Callable[[], None]:
    def run() -> None:
        for marks in tokens:
            if view.find_killer(marks) is not None:
                raise BenchBroken("a token that lives was found revoked")

    return run


def _mark_and_look_for(
    view: RevocationView, tokens: Sequence[dict[str, Any]]
) -> Callable[[], None]:
    """As an admission does for a token it sees for the first time."""
    rev = Rev(1, 0)

    def run() -> None:
        for claims in tokens:
            if view.find_killer(view.mark(rev, claims)) is not None:
                raise BenchBroken("a token that lives was found revoked")

    return run


def _read_claims(token: str) -> dict[str, Any]:
    from dojang.jose import base64url

    claims: dict[str, Any] = json.loads(base64url.decode(token.split(".")[1]))
    return {**claims, "client_id": claims["client_id"][:8], "sub": claims["sub"][:8]}


def _time(run: Callable[[], None]) -> float:
    gc.collect()
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
