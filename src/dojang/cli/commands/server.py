"""`dojang serve`, `migrate`, `healthcheck` and `status`: the server itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.administering import administer, is_served
from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.doors import fail_unreachable, find_door
from dojang.cli.errors import Exit, Failure
from dojang.cli.options import ConfigOption, JsonOption
from dojang.cli.output import show_json, show_table
from dojang.cli.status import show_status
from dojang.fetch import FetchFailed, FetchRequest
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.server.config import Config, parse_address

_AddressOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="host:port or unix:/path.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("serve", epilog="Example: dojang serve --config /etc/dojang/dojang.toml")(serve)
    app.command("migrate", epilog="Example: dojang migrate --check")(migrate)
    app.command("healthcheck", epilog="Example: dojang healthcheck && echo ready")(healthcheck)
    app.command("status", epilog="Example: dojang status --json")(status)


def serve(
    config: ConfigOption = None,
    public: _AddressOption = None,
    management: _AddressOption = None,
) -> int:
    """Run the authorization server until it is told to stop (SIGTERM or Ctrl-C)."""
    from dojang.cli import serving

    given = {
        "config": None if config is None else str(config),
        "listen.public": public,
        "listen.management": management,
    }
    return serving.serve({name: value for name, value in given.items() if value is not None})


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether there is work: exit code 1 if so.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Move the installation from SQLite to this empty PostgreSQL database, such as "
            "postgresql://db.example/dojang. The server must be stopped.",
            show_default=False,
        ),
    ] = None,
    to_url_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The same; the file holds the address, which has a password in it.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Bring the database's schema to what this version needs, or move it to PostgreSQL."""
    from dojang.cli.moving import find_target
    from dojang.cli.opening import OPENING_ERRORS, explain
    from dojang.storage import migrate as migrations
    from dojang.storage.revisions import NEEDED

    path = find_config_file(config, os.environ)
    loaded = load_config(path, environ=os.environ, secrets={"storage.url"}).config
    if target := find_target(to, to_url_file):
        if check:
            raise Failure("--check: looks at the schema alone; leave it out to move")
        return _move(loaded, target, as_json=as_json)
    try:
        step = migrations.current if check else migrations.upgrade
        found = asyncio.run(step(loaded.storage.url))
    except OPENING_ERRORS as error:
        raise explain(error, loaded) from error
    if as_json:
        show_json({"found": found, "needed": NEEDED, "current": not check or found == NEEDED})
    elif found == NEEDED:
        print(f"The database is at revision {NEEDED}: nothing to do.")
    elif check:
        print(f"The database is at revision {found or 'none'}, {NEEDED} is needed.")
    else:
        print(f"Brought the database from revision {found or 'none'} to {NEEDED}.")
    return Exit.FINDINGS if check and found != NEEDED else Exit.OK


def _move(config: Config, target: str, *, as_json: bool) -> int:
    from dojang.cli.moving import move_to
    from dojang.cli.opening import OPENING_ERRORS, explain
    from dojang.storage.moving import describe_target

    try:
        moved = asyncio.run(move_to(config, target))
    except OPENING_ERRORS as error:
        raise explain(error, config) from error
    where = describe_target(target)
    if as_json:
        show_json({"moved_to": where, "rows": moved.rows, "rev": list(moved.position.rev)})
        return Exit.OK
    show_table(("TABLE", "ROWS"), list(moved.rows.items()))
    print(
        f"Moved to {where} and read back: every row is there, as of fact {moved.position.head} of "
        f"epoch {moved.position.epoch}.\n"
        "Name it in dojang.toml in place of the SQLite file, then start the server:\n"
        "  [storage]\n"
        '  url_file = "FILE"  # holds the address'
    )
    return Exit.OK


def healthcheck(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Ask the running server whether it is ready.

    Exit code 0: ready, 1: not ready, 3: not there.
    """
    path = find_config_file(config, os.environ)
    loaded = load_config(path, environ=os.environ, secrets=()).config
    door = find_door(parse_address(loaded.listen.management))
    what = f"the management listener at {loaded.listen.management}"
    try:
        answer = door.transport.send(FetchRequest("GET", f"{door.url}/health/ready", timeout=5.0))
        document = json_object.parse(answer.body)
    except FetchFailed as error:
        raise fail_unreachable(what, error) from None
    except InvalidToken:
        raise Failure(f"{what} is no Dojang server", Exit.UNREACHABLE) from None
    missing = document.get("missing", [])
    if as_json:
        show_json({"ready": answer.status == 200, "missing": missing})
    elif answer.status == 200:
        print("ready")
    else:
        print(f"not ready: {', '.join(map(str, missing)) or answer.status}")
    return Exit.OK if answer.status == 200 else Exit.FINDINGS


def status(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Show where the server stands, who follows it, and what a rotation of keys waits for.

    Exit code 1 where something is missing.
    """
    served = is_served(config)
    answer = {"server": "running" if served else "none answers", **administer(config, "status", {})}
    if as_json:
        show_json(answer)
    else:
        show_status(answer)
    return Exit.FINDINGS if answer["missing"] else Exit.OK
