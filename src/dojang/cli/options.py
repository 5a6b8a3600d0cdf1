"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dojang.cli.help import Commands

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration (default: $DOJANG_CONFIG, then ./dojang.toml).",
        show_default=False,
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of words.")
]
SecretFileOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        metavar="FILE",
        help="Write the new secret to this new file (readable by you alone), and do not print it.",
        show_default=False,
    ),
]
TokenArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="The file that holds the token; - for standard input.")
]
ClientIdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="CLIENT_ID", help="Which client.")
]


def make_group(text: str) -> typer.Typer:
    """A noun: a group of commands."""
    return Commands(help=text)
