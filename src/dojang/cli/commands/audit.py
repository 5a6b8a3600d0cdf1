"""`dojang audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from dojang.cli.administering import administer
from dojang.cli.errors import Exit
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table, show_time

app = make_group("The record of every change, each entry chained to the one before.")


@app.command("list", epilog="Example: dojang audit list --after 120 --limit 20")
def list_audit(
    after: Annotated[int, typer.Option(help="Entries after this number.")] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the record, oldest first."""
    answer = administer(config, "audit.list", {"after": after, "limit": limit})
    if as_json:
        show_json(answer)
        return
    show_table(
        ("NUMBER", "AT", "ACTOR", "ACTION", "TARGET", "OUTCOME"),
        [
            (
                each["number"],
                show_time(each["at"]),
                each["actor"],
                each["action"],
                each["target"],
                each["outcome"],
            )
            for each in answer["records"]
        ],
    )


@app.command("verify", epilog="Example: dojang audit verify --json")
def verify(config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Recompute the chain.

    Exit code 1 where an entry was changed, added or taken out.
    """
    answer = administer(config, "audit.verify", {})
    if as_json:
        show_json(answer)
    elif answer["intact"]:
        print(f"Intact: {answer['records']} entries, the last with digest {answer['digest']}.")
    else:
        print(f"Broken at entry {answer['broken_at']}: it does not follow from the one before.")
    return Exit.OK if answer["intact"] else Exit.FINDINGS
