"""`dojang backup` and `dojang restore`: the database as a file, and what time travel costs."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.errors import Exit, Failure
from dojang.cli.options import ConfigOption, JsonOption
from dojang.cli.output import show_json


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("backup", epilog="Example: dojang backup /backup/dojang-monday.db")(backup)
    app.command("restore", epilog="Example: dojang restore /backup/dojang-monday.db")(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file to write.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy an SQLite database, as of one moment, while the server goes on.

    The key-encryption key is not in it: back that up too, elsewhere.
    """
    from dojang.storage.address import SqliteAddress, parse_address
    from dojang.storage.sqlite_backup import back_up, find_position

    path = find_config_file(config, os.environ)
    loaded = load_config(path, environ=os.environ, secrets={"storage.url"}).config
    address = parse_address(loaded.storage.url)
    if not isinstance(address, SqliteAddress):
        raise Failure(
            "only an SQLite database is backed up by this command. For PostgreSQL use pg_dump, or "
            "pg_basebackup with an archive of the log; back up the key-encryption key apart from it"
        )
    try:
        back_up(address.database, file)
    except FileExistsError:
        raise Failure(f"{file} exists already; name another file") from None
    except OSError as error:
        raise Failure(f"{error.filename or file}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise Failure(f"{address.database} cannot be copied: {error}", Exit.UNREACHABLE) from None
    position = find_position(file.absolute())
    size = file.stat().st_size
    if as_json:
        rev = list(position.rev) if position else None
        show_json({"file": str(file), "bytes": size, "rev": rev})
        return
    place = f", as of fact {position.head} of epoch {position.epoch}" if position else ""
    print(f"Wrote {file}: {size:,} bytes{place}.")


def restore(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="What `backup` wrote.", show_default=False),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="The database has been put back already: make it safe."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the database's place, with the server stopped, and make it safe.

    What was revoked after it was made is not in it. So every token is revoked and every key is
    replaced, in a new epoch. The database that was there is kept beside it.
    """
    from dojang.cli.opening import OPENING_ERRORS, explain
    from dojang.cli.restoring import restore_file, restore_in_place
    from dojang.storage.errors import NotABackup

    if (file is None) != in_place:
        raise Failure("name the backup's FILE, or give --in-place: one of the two")
    path = find_config_file(config, os.environ)
    needed = {"storage.url", "keys.encryption_key"}
    loaded = load_config(path, environ=os.environ, secrets=needed).config
    try:
        work = restore_in_place(loaded) if file is None else restore_file(loaded, file)
        position, kept = asyncio.run(work)
    except NotABackup as error:
        raise Failure(str(error)) from error
    except OPENING_ERRORS as error:
        raise explain(error, loaded) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
    if as_json:
        kept_file = str(kept) if kept else None
        show_json({"rev": list(position.rev), "kept": kept_file})
        return
    print(
        f"The database is in epoch {position.epoch}. Every token of before is revoked and every "
        "key is replaced; clients get new tokens as they ask."
    )
    if kept:
        print(f"The database that was there is kept as {kept}.")
    print(
        "Clients and resources are as they were in the backup: look for those that were disabled "
        "or changed since, and for secrets that were replaced."
    )
