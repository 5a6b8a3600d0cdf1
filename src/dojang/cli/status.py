"""What `dojang status` shows people."""

from __future__ import annotations

from typing import Any

from dojang.cli.output import show_facts, show_table, show_time

_TABLES = ("followers", "rotations")


def show_status(answer: dict[str, Any]) -> None:
    """The answer of the operation `status`: facts, then a table of followers, then what each
    rotation waits for."""
    facts = {name: value for name, value in answer.items() if name not in _TABLES}
    facts["followers"] = len(answer["followers"])
    show_facts({name.replace("_", " "): value for name, value in facts.items()})
    if answer["followers"]:
        print()
        show_table(
            ("FOLLOWER", "CLIENT", "POSITION", "BEHIND", "KEYS", "LAST SEEN"),
            [
                (
                    each["name"],
                    each["client_id"],
                    f"{each['epoch']}.{each['head']}",
                    _show_lag(each["lag"]),
                    each["keys"],
                    show_time(each["seen_at"]),
                )
                for each in answer["followers"]
            ],
        )
    for each in answer["rotations"]:
        print()
        _show_rotation(each)


def _show_lag(lag: int | None) -> str:
    return "another epoch" if lag is None else f"{lag} facts"


def _show_rotation(rotation: dict[str, Any]) -> None:
    at, latest = show_time(rotation["takes_over_at"]), show_time(rotation["latest"])
    print(
        f"The {rotation['use']} key {rotation['kid']} ({rotation['algorithm']}) takes over at {at}."
    )
    if rotation["lacking"]:
        print(f"It waits until {latest} at the latest, for followers that do not hold it:")
        show_table(
            ("FOLLOWER", "CLIENT"),
            [(each["name"], each["client_id"]) for each in rotation["lacking"]],
        )
