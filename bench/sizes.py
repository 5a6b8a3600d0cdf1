"""The size figures: what a million clients and many tokens cost those that ask, and what another
database does. Both sides are ours.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from msgspec import structs

from bench.endpoints import ENDPOINTS, compare
from bench.figures import NODE, SIZE, Figure, Measured
from bench.load import put_load
from bench.machine import BenchBroken
from bench.ours import Ours, build_ours
from bench.postgres import postgres_version, run_postgres
from bench.rounds import interval
from bench.servers import AuthorizationServer, Credentials, token_call
from dojang.server.model import Client, SecretHash
from dojang.server.ports import PutClient
from dojang.storage.opening import open_store
from dojang.trust.client_auth import generate_secret, hash_secret

FEW = 1_000
ASKING = 1_000  # clients, drawn from all
AT_ONCE = 2_000  # clients written in one commit
ISSUING = 20  # seconds a run


@dataclass(frozen=True, slots=True)
class Times:
    """How long a figure of two servers is measured."""

    rounds: int
    seconds: int
    warm_up_seconds: int


def measure_sizes(
    wanted: frozenset[str], *, clients: int, tokens: int, times: Times, folder: Path
) -> Iterable[Measured]:
    """Measures the wanted size figures: with `clients` clients on one side, where `tokens` were
    issued before, and 1,000 on the other."""
    figures = {figure.name: figure for figure in SIZE if figure.name in wanted}
    if not figures:
        return
    servers = [_build_filled(folder, count) for count in (clients, FEW)]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server.process)
        issued = _issue(servers[0], tokens, folder)
        if "size-bytes" in figures:
            yield Measured(
                figures["size-bytes"],
                interval([run.grown / run.tokens for run in issued]),
                len(issued),
                ours=f"{sum(run.tokens for run in issued):,} issued",
                detail={"database_bytes": _measure_database(servers[0])},
            )
        for name, endpoint in (("size-introspect", "introspect"), ("size-token", "token-es256")):
            if name in figures:
                yield _compare(figures[name], endpoint, servers, times, folder)


def measure_nodes(wanted: frozenset[str], *, times: Times, folder: Path) -> Iterable[Measured]:
    """Measures the wanted figures of a node on PostgreSQL beside one on SQLite."""
    figures = {figure.name: figure for figure in NODE if figure.name in wanted}
    if not figures:
        return
    with ExitStack() as stack:
        database = stack.enter_context(run_postgres())
        servers = [
            build_ours(folder, name="PostgreSQL", database=database),
            build_ours(folder, name="SQLite"),
        ]
        for server in servers:
            stack.enter_context(server.process)
        for name, endpoint in (("node-introspect", "introspect"), ("node-token", "token-es256")):
            if name in figures:
                found = _compare(figures[name], endpoint, servers, times, folder)
                found.detail["database"] = postgres_version()
                yield found


def _compare(
    figure: Figure,
    endpoint: str,
    servers: Sequence[AuthorizationServer],
    times: Times,
    folder: Path,
) -> Measured:
    return compare(
        figure,
        ENDPOINTS[endpoint],
        servers,
        rounds=times.rounds,
        seconds=times.seconds,
        warm_up_seconds=times.warm_up_seconds,
        folder=folder,
        per_core=True,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """So many tokens were issued, and the database grew by so many bytes."""

    tokens: int
    grown: int


def _issue(server: Ours, tokens: int, folder: Path) -> list[Run]:
    """Issues at least so many tokens, opaque and JWT in turn."""
    runs: list[Run] = []
    issued = 0
    for token_format in cycle(("opaque", "es256")):
        calls = [token_call(server, token_format, client) for client in server.clients]
        if len(runs) < 2:
            put_load(server.origin, calls, seconds=1, folder=folder)  # what first requests write
        before = _measure_database(server)
        load = put_load(server.origin, calls, seconds=ISSUING, folder=folder)
        runs.append(Run(load.requests, _measure_database(server) - before))
        issued += load.requests
        print(f"bench: {issued:,} of {tokens:,} tokens issued", file=sys.stderr, flush=True)
        if issued >= tokens and len(runs) > 1:
            break
    return runs


def _measure_database(server: Ours) -> int:
    return sum(file.stat().st_size for file in server.process.folder.glob("dojang.db*"))


def _build_filled(folder: Path, clients: int) -> Ours:
    """An installation with so many clients, some of which ask."""
    server = build_ours(folder, name=f"{clients} clients")
    database = server.process.folder / "dojang.db"
    asking = asyncio.run(_fill(f"sqlite:///{database}", server.clients[0][0], clients))
    return replace(server, clients=asking)


async def _fill(url: str, example: str, count: int) -> list[Credentials]:
    store = await open_store(url)
    try:
        pattern = await store.find_client(example)
        if pattern is None:
            raise BenchBroken(f"there is no client {example}")
        draw = random.Random(count)
        asking = set(draw.sample(range(count), min(ASKING, count)))
        found: list[Credentials] = []
        for begins in range(0, count, AT_ONCE):
            made: list[PutClient] = []
            for number in range(begins, min(begins + AT_ONCE, count)):
                secret = generate_secret()
                client = _copy(pattern, number, secret)
                made.append(PutClient(client))
                if number in asking:
                    found.append((client.client_id, secret))
            await store.commit(made)
        return found
    finally:
        await store.close()


def _copy(pattern: Client, number: int, secret: str) -> Client:
    grants = tuple(
        structs.replace(grant, grant_id=f"{grant.grant_id[:12]}{number}")
        for grant in pattern.grants
    )
    return structs.replace(
        pattern,
        client_id=f"many-{number}",
        secrets=(SecretHash(digest=hash_secret(secret)),),
        grants=grants,
    )
