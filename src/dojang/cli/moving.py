"""`dojang migrate --to`: from an SQLite file to PostgreSQL."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dojang.cli.administering import name_local_actor
from dojang.cli.errors import Failure
from dojang.cli.secret_input import read_secret_file
from dojang.server.config import Config
from dojang.server.model import AuditEvent, Position
from dojang.storage.address import PostgresAddress, SqliteAddress, parse_address
from dojang.storage.moving import Moved, Progress, describe_target, move
from dojang.storage.witness import HeadWitness


def find_target(to: str | None, file: Path | None) -> str | None:
    """The address to move to, from `--to` or `--to-url-file`; None where neither was given.

    Raises `Failure`.
    """
    if to is not None and file is not None:
        raise Failure("give --to or --to-url-file: one of the two")
    if to is not None and urlsplit(to).password is not None:
        raise Failure(
            "--to: a password stood in the arguments, where everyone on this machine can read it; "
            "put the address into a file and name that with --to-url-file"
        )
    return to if file is None else read_secret_file(file, "the address of a database")


async def move_to(config: Config, target: str) -> Moved:
    """Move the installation to `target`. Raises `Failure`, and what opening a store raises."""
    source, aim = parse_address(config.storage.url), parse_address(target)
    if not isinstance(source, SqliteAddress):
        raise Failure("only an SQLite database is moved by this command, and storage.url is none")
    if not isinstance(aim, PostgresAddress):
        raise Failure("--to: name a PostgreSQL database, such as postgresql://db.example/dojang")

    def check(position: Position) -> None:
        if config.keys.witness:
            HeadWitness(Path(config.keys.witness)).check(position)

    event = AuditEvent(
        at=int(time.time()),
        actor=name_local_actor(),
        action="server.move",
        target=describe_target(aim.dsn),
    )
    with _show_progress() as progress:
        return await move(source.database, aim.dsn, event=event, check=check, progress=progress)


@contextmanager
def _show_progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(
            bar, description=what, completed=done, total=total
        )
