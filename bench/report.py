"""What came out, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.figures import Measured

VERDICTS = {True: "met", False: "NOT MET", None: ""}
HEADINGS = ("figure", "what", "value", "95 % interval", "target", "", "ours", "peer")


def build_report(measured: Sequence[Measured], about: dict[str, Any]) -> dict[str, Any]:
    """`about` is the machine, the versions and how the run was asked for."""
    return {**about, "figures": [_entry(one) for one in measured]}


def print_table(measured: Sequence[Measured]) -> None:
    rows = [_row(one) for one in measured]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(rows)
        return
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for one, row in zip(measured, rows, strict=True):
        style = {True: "green", False: "yellow", None: None}[one.met]
        table.add_row(*row, style=style)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def _entry(one: Measured) -> dict[str, Any]:
    figure = one.figure
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": "ratio" if figure.is_ratio else figure.unit,
        "value": round(one.value.median, 4),
        "interval": [round(one.value.low, 4), round(one.value.high, 4)],
        "rounds": one.rounds,
        "target": figure.target,
        "met": one.met,
        "ours": one.ours,
        "peer": one.theirs,
        "detail": one.detail,
    }


def _row(one: Measured) -> tuple[str, ...]:
    figure, value = one.figure, one.value
    unit = "×" if figure.is_ratio else f" {figure.unit}"
    target = ""
    if figure.target is not None:
        target = f"{'≥' if figure.is_ratio else '≤'} {figure.target:g}{unit}"
    return (
        figure.name,
        figure.title,
        f"{value.median:.3g}{unit}",
        f"{value.low:.3g} – {value.high:.3g}",
        target,
        VERDICTS[one.met],
        one.ours,
        one.theirs,
    )


def _print_plain(rows: Sequence[tuple[str, ...]]) -> None:
    table = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
