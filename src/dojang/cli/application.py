"""Every command in one place, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any, Final

import typer

from dojang.cli.commands import (
    audit,
    backup,
    client,
    config,
    demo,
    dev,
    follow,
    init,
    keys,
    registration_token,
    resource,
    revoke,
    server,
    session,
    token,
    user,
)
from dojang.cli.errors import Exit, Failure
from dojang.cli.help import Commands
from dojang.cli.output import show_failure


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"dojang {metadata.version('dojang')}")
        raise typer.Exit


def _exit(code: object, **_: object) -> None:
    """What a command returns is its exit code."""
    raise typer.Exit(code if isinstance(code, int) else Exit.OK)


# What a command has to say it says itself; `serve` and the demo's services set up their own logs.
logging.getLogger("dojang").addHandler(logging.NullHandler())

_USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]

app: Final = Commands(
    name="dojang",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Issue tokens, check them, and take them back. Exit codes: 0 done, 1 done and the finding "
        "is bad, 2 something to change on your side, 3 something did not answer."
    ),
    result_callback=_exit,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    del version


init.register(app)
server.register(app)
backup.register(app)
app.add_typer(resource.app, name="resource")
app.add_typer(client.app, name="client")
app.add_typer(registration_token.app, name="registration-token")
app.add_typer(user.app, name="user")
app.add_typer(session.app, name="session")
app.add_typer(token.app, name="token")
app.add_typer(revoke.app, name="revoke")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(audit.app, name="audit")
follow.register(app)
demo.register(app)
dev.register(app)


def run(arguments: Sequence[str]) -> int:
    """Do a command. The exit code of a failure; every other end is a `SystemExit`."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), standalone_mode=not as_json)
    except Failure as failure:
        show_failure(failure, as_json=as_json)
        return failure.code
    except _USAGE_ERROR as error:
        show_failure(Failure(error.format_message()), as_json=as_json)
        return Exit.USAGE
    sys.exit(code)  # None is 0
