"""How help is laid out: plain lines, in which no name of an option is cut off, an example can be
copied, and what a command does stands in full."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

_INDENT: Final = "  "


class Command(TyperCommand):
    """A command."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The example, broken at spaces alone."""
        del ctx
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(_wrap(self.epilog, formatter.width))


class Group(TyperGroup):
    """A noun with its commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with its whole sentence."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(1000)) for name, each in commands if each]
            )


class Commands(typer.Typer):
    """Where commands are added to."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, no_args_is_help=True, rich_markup_mode=None, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Add one."""
        return super().command(name, cls=Command, **settings)


def _wrap(text: str, width: int) -> str:
    return (
        textwrap.fill(
            text,
            width,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
            break_long_words=False,
        )
        + "\n"
    )
