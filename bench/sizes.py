"""The size figures: what a million clients and many tokens cost those that ask, and what another
database does. Both sides are ours.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Times:
    """How long a figure of two servers is measured."""

    rounds: int
    seconds: int
    warm_up_seconds: int


def measure_sizes(
    wanted: frozenset[str], *, clients: int, times: Times, folder: Path
) -> Iterable[Measured]:
    """Measures the wanted size figures: with `clients` clients on one side, 1,000 on the other."""
    figures = {figure.name: figure for figure in SIZE if figure.name in wanted}
    if not figures:
        return
    servers = [_build_filled(folder, count) for count in (clients, FEW)]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server.process)
        for name, endpoint in (("size-introspect", "introspect"), ("size-token", "token-es256")):
            if name in figures:
                yield _compare(figures[name], endpoint, servers, times, folder)
        if "size-bytes" in figures:
            yield _measure_growth(figures["size-bytes"], servers[0], times, folder)


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


def _measure_growth(figure: Figure, server: Ours, times: Times, folder: Path) -> Measured:
    """Bytes that the database grows by a token, opaque and JWT in turn."""
    grown, issued = [], 0
    for number in range(2 * times.rounds):
        token_format = ("opaque", "es256")[number % 2]
        calls = [token_call(server, token_format, client) for client in server.clients]
        put_load(server.origin, calls, seconds=1, folder=folder)  # what first requests write
        before = _measure_database(server)
        load = put_load(server.origin, calls, seconds=times.seconds, folder=folder)
        grown.append((_measure_database(server) - before) / load.requests)
        issued += load.requests
    detail = {"issued": issued, "database_bytes": _measure_database(server)}
    return Measured(figure, interval(grown), len(grown), ours=f"{issued:,} issued", detail=detail)


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
