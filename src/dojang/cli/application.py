"""Every command in one place, and the one place where a failure becomes an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import typer

from dojang.cli.commands import (
    audit,
    client,
    config,
    demo,
    init,
    keys,
    resource,
    revoke,
    server,
    token,
)
from dojang.cli.errors import Exit, Failure
from dojang.cli.output import show_failure


def _exit(code: object, **_: object) -> None:
    """What a command returns is its exit code."""
    raise typer.Exit(code if isinstance(code, int) else Exit.OK)


app: Final = typer.Typer(
    name="dojang",
    help=(
        "Issue tokens, check them, and take them back. Exit codes: 0 done, 1 done and the finding "
        "is bad, 2 something to change on your side, 3 something did not answer."
    ),
    no_args_is_help=True,
    result_callback=_exit,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
init.register(app)
server.register(app)
app.add_typer(resource.app, name="resource")
app.add_typer(client.app, name="client")
app.add_typer(token.app, name="token")
app.add_typer(revoke.app, name="revoke")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(audit.app, name="audit")
demo.register(app)


def run(arguments: Sequence[str]) -> int:
    """Do a command; the exit code. What typer itself has to say ends in `SystemExit`."""
    try:
        app(list(arguments))
    except Failure as failure:
        show_failure(failure, as_json="--json" in arguments)
        return failure.code
    return Exit.OK
