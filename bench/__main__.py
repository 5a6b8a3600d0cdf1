"""`python -m bench`: measure, print the table, write the JSON."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.endpoints import measure_endpoints
from bench.figures import (
    FIGURES,
    HYBRID,
    PEOPLE,
    PLANE,
    PROCESS,
    SERVER,
    Measured,
    find_figures,
)
from bench.hybrid import measure_hybrid
from bench.install import install_node_peers, install_python_peers, node_versions
from bench.machine import BenchBroken, describe_machine, describe_versions
from bench.ours import build_ours
from bench.people import measure_people
from bench.plane import FULL_PLANE, QUICK_PLANE, PlanePlan, measure_plane
from bench.report import build_report, print_table
from bench.servers import AuthorizationServer, build_peer
from bench.start import measure_processes
from bench.verify import measure_verify


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    verify_rounds: int
    server_rounds: int
    server_seconds: int
    warm_up_seconds: int
    starts: int
    plane: PlanePlan


FULL = Plan(
    verify_rounds=61,
    server_rounds=9,
    server_seconds=2,
    warm_up_seconds=8,
    starts=15,
    plane=FULL_PLANE,
)
QUICK = Plan(
    verify_rounds=9,
    server_rounds=3,
    server_seconds=1,
    warm_up_seconds=3,
    starts=3,
    plane=QUICK_PLANE,
)


def measure(wanted: frozenset[str], plan: Plan, folder: Path) -> Iterator[Measured]:
    """The wanted figures, one after the other."""
    yield from measure_plane(wanted, plan.plane, folder=folder)
    yield from measure_verify(wanted, rounds=plan.verify_rounds, folder=folder)
    yield from measure_hybrid(wanted, rounds=plan.verify_rounds, folder=folder)
    if not wanted & {figure.name for figure in (*SERVER, *PEOPLE, *PROCESS)}:
        return
    servers: list[AuthorizationServer] = [build_ours(folder), build_peer(folder)]
    if wanted & {figure.name for figure in (*SERVER, *PEOPLE)}:
        with ExitStack() as stack:
            for server in servers:
                stack.enter_context(server.process)
            for measure_them in (measure_endpoints, measure_people):
                yield from measure_them(
                    wanted,
                    servers,
                    rounds=plan.server_rounds,
                    seconds=plan.server_seconds,
                    warm_up_seconds=plan.warm_up_seconds,
                    folder=folder,
                )
    if wanted & {figure.name for figure in PROCESS}:
        yield from measure_processes(wanted, servers, rounds=plan.starts)


def main(arguments: Sequence[str]) -> int:
    """Exit 0 however slow we are; 1 when the bench is broken; 2 for a wrong command line."""
    options = _parse(arguments)
    if options.list:
        for figure in FIGURES.values():
            print(f"{figure.name:28}{figure.title}")
        return 0
    try:
        wanted = find_figures(options.names)
    except LookupError as error:
        print(f"bench: {error.args[0]}", file=sys.stderr)
        return 2
    plan = QUICK if options.quick else FULL
    machine = describe_machine()
    began = datetime.now(UTC)
    measured: list[Measured] = []
    versions: dict[str, str] = {}
    broken = ""
    try:
        versions = _install(wanted)
        with tempfile.TemporaryDirectory(prefix="dojang-bench-") as folder:
            for one in measure(wanted, plan, Path(folder)):
                measured.append(one)
                _say(f"{one.figure.name}: {one.value.median:.3g}")
    except BenchBroken as error:
        broken = str(error)
        _say(broken)
    if measured:
        print_table(measured)
    if options.json:
        about = {
            "command": shlex.join(["./run", "bench", *arguments]),
            "began": began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
            "machine": machine,
            "versions": versions,
            "broken": broken,
        }
        report = json.dumps(build_report(measured, about), indent=2, ensure_ascii=False)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(report + "\n")
    return 1 if broken else 0


def _install(wanted: frozenset[str]) -> dict[str, str]:
    """Install the peers that the wanted figures need; versions of all that takes part."""
    if wanted <= {figure.name for figure in (*PLANE, *HYBRID)}:
        return describe_versions(Path(sys.executable))
    python = install_python_peers()
    install_node_peers()
    return {**describe_versions(python), **node_versions()}


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="Speed, beside others.")
    parser.add_argument("names", nargs="*", help="figures, or how their names begin (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too")
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a figure")
    parser.add_argument("--list", action="store_true", help="name the figures and end")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
