"""What commands print: one JSON object, or words and tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dojang.cli.errors import Failure


def show_json(document: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: lines and colours on a terminal, aligned columns elsewhere, nothing cut off."""
    cells = [[_show_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in cells:
            table.add_row(*row)
        Console(highlight=False, markup=False).print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in ([*columns], *cells):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def show_facts(pairs: Mapping[str, object]) -> None:
    """Names and values, a line each."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {_show_cell(value)}".rstrip())


def show_changes(answer: Mapping[str, Any]) -> None:
    """What an update changed, and what it revoked."""
    print(f"Changed: {', '.join(answer['changed']) or 'nothing'}.")
    if answer["revoked"]:
        print("Tokens that carry what is gone are revoked; new ones are for what is left.")


def show_time(seconds: float | None) -> str:
    """Seconds since 1970 as people read them; a dash where there is none."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def warn(message: str) -> None:
    """A line on standard error."""
    print(message, file=sys.stderr)


def show_failure(failure: Failure, *, as_json: bool) -> None:
    """Why the command failed, on standard error."""
    if as_json:
        document = {"error": failure.message, "exit_code": int(failure.code)}
        print(json.dumps(document, ensure_ascii=False), file=sys.stderr)
        return
    first, *rest = failure.message.split("\n")
    warn(f"dojang: {first}")
    for line in rest:
        warn(f"        {line}")


def _show_cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "-"
    return str(value)
