"""What the audience sees: lines as things happen, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from dojang.cli.demo.report import Person, Report, Revocation, Sight, Strategy, Takeback

NAMES: dict[Strategy, str] = {
    "local": "local",
    "introspection": "introspection",
    "introspection_cached": "introspection, cached",
    "hybrid": "hybrid, asks every time",
    "hybrid_pushed": "hybrid, pushed",
}


class Screen:
    """Lines, with one that changes at the bottom where there is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        live = stream.isatty()
        width = None if live else 110
        self._console = Console(file=stream, highlight=False, width=width)
        self._status: Status | None = self._console.status("") if live else None

    def open(self) -> None:
        if self._status is not None:
            self._status.start()

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()

    def act(self, number: int, title: str) -> None:
        """A new act."""
        self._console.print(f"\n[bold]{number}  {title}[/bold]")

    def say(self, text: str) -> None:
        """A line of the story."""
        self._console.print(f"   {text}", markup=False, soft_wrap=True)

    def doing(self, text: str) -> None:
        """What goes on right now; it is gone when something else does."""
        if self._status is not None:
            self._status.update(text)

    def promise(self, says: str, *, kept: bool) -> None:
        """Something shown, or not."""
        sign = ("✓", "green") if kept else ("✗", "bold red")
        self._console.print(Text.assemble("   ", sign, " ", says), soft_wrap=True)

    def show(self, report: Report) -> None:
        """The tables at the end."""
        if report.person is not None:
            self._show_person(report.person)
        if report.rotation is not None:
            rotated = [
                (NAMES[each.strategy], f"{each.accepted:,}", each.refused)
                for each in report.rotation.strategies
            ]
            title = f"The signing key rotated {report.rotation.rotations} times under load"
            self._table(title, ("strategy", "accepted", "refused"), rotated)
        for revocation in report.revocations:
            self._show_revocation(revocation, report)
        if report.restart is not None:
            rows = [
                (NAMES[each.strategy], each.accepted, each.refused_401, each.unavailable_503)
                for each in report.restart.strategies
            ]
            title = f"The server dead for {report.restart.down_s:.1f} s: answers to a good token"
            self._table(title, ("strategy", "accepted", "refused 401", "unavailable 503"), rows)
        speeds = [
            (
                NAMES[each.strategy],
                f"{each.requests_per_s:,.0f}",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
            )
            for each in report.speed
        ]
        title = "Speed, each strategy alone (all of it on this machine, the callers too)"
        self._table(title, ("strategy", "requests/s", "p50 ms", "p99 ms"), speeds)
        kept = sum(each.kept for each in report.promises)
        self._console.print(
            f"\n{kept} of {len(report.promises)} promises kept, in {report.seconds:.0f} s."
        )

    def _show_person(self, person: Person) -> None:
        if person.orders_saw is not None and person.payments_saw is not None:
            columns = ("", "at orders (the app's)", "at payments (exchanged)")
            before, after = _list_sight(person.orders_saw), _list_sight(person.payments_saw)
            rows = [(name, was, after[name]) for name, was in before.items()]
            title = "The token that acts for the person, before and after the exchange"
            self._table(title, columns, rows)
        services = (
            "strategy",
            "orders: refused after",
            "slipped through",
            "payments: refused after",
            "slipped through",
        )
        found = [
            (
                NAMES[orders.strategy],
                _describe_refusal(orders),
                f"{orders.slipped_through:,}",
                _describe_refusal(payments),
                f"{payments.slipped_through:,}",
            )
            for orders, payments in zip(person.orders, person.payments, strict=True)
        ]
        if found:
            self._table("The app withdrawn by the person", services, found)

    def _show_revocation(self, revocation: Revocation, report: Report) -> None:
        rows = [
            (
                NAMES[each.strategy],
                f"{each.accepted_before:,}",
                _describe_refusal(each),
                f"{each.slipped_through:,}",
            )
            for each in revocation.strategies
        ]
        columns = ("strategy", "accepted before", "first refusal after", "slipped through")
        self._table(f"A {revocation.kind} taken back under load", columns, rows)

    def _table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        table = Table(
            title=title, title_justify="left", box=None, pad_edge=False, header_style="dim"
        )
        table.title_style = "bold"
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", min_width=16)
        for row in rows:
            table.add_row(*map(str, row))
        self._console.print()
        self._console.print(table)


def _describe_refusal(found: Takeback) -> str:
    if found.first_refusal_s is not None:
        return f"{found.first_refusal_s * 1000:,.0f} ms"
    if found.refused_at_expiry_s is not None:
        return f"{found.refused_at_expiry_s:.1f} s (expiry + leeway)"
    return "not seen"


def _list_sight(seen: Sight) -> dict[str, str]:
    return {
        "about (sub)": seen.subject,
        "for (aud)": seen.audience,
        "called by (client_id)": seen.client,
        "acting (act)": " for ".join(seen.actors) or "nobody else",
        "may (scope)": seen.scope,
    }
