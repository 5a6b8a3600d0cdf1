"""`dojang session`: who is signed in where."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dojang.cli.administering import administer
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table, show_time

app = make_group("Who is signed in where.")


@app.command("list", epilog="Example: dojang session list --username hong")
def list_sessions(
    username: Annotated[
        str | None, typer.Option(help="Those of this person (default: of all).")
    ] = None,
    after: Annotated[str, typer.Option(help="Those after this session.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the sessions, oldest first."""
    parameters: dict[str, Any] = {"after": after, "limit": limit}
    if username is not None:
        parameters["username"] = username
    answer = administer(config, "session.list", parameters)
    if as_json:
        show_json(answer)
        return
    show_table(
        ("SESSION", "ACCOUNT ID", "ALIVE", "SIGNED IN", "NETWORK", "CLIENTS"),
        [
            (
                each["session_id"],
                each["account_id"],
                each["alive"],
                show_time(each["auth_time"]),
                each["network"],
                each["clients"],
            )
            for each in answer["sessions"]
        ],
    )


@app.command("end", epilog="Example: dojang session end 019ab3f04c21d7e90b5a6c7d8e9f0a1b")
def end(
    session_id: Annotated[
        str, typer.Argument(metavar="SESSION", help="Which, as `session list` shows it.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a person out of one browser: its apps' tokens end everywhere."""
    answer = administer(config, "session.end", {"session_id": session_id})
    if as_json:
        show_json(answer)
    else:
        print(f"Ended {session_id}.")
