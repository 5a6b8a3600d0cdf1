"""`dojang resource`: the protected APIs."""

from __future__ import annotations

from typing import Annotated

import typer

from dojang.cli.administering import administer
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table
from dojang.server.model import TokenFormat

app = make_group("The protected APIs: what their tokens are like and who may ask about them.")


@app.command(
    "add",
    epilog="Example: dojang resource add https://orders.example --scope orders:read "
    "--scope orders:write",
)
def add(
    identifier: Annotated[
        str,
        typer.Argument(metavar="URI", help="Its identifier, which is the audience of its tokens."),
    ],
    scope: Annotated[list[str], typer.Option(help="What may be done there; repeat for more.")],
    token_format: Annotated[
        TokenFormat,
        typer.Option("--format", help="jwt: services can check it alone. opaque: they must ask."),
    ] = TokenFormat.JWT,
    algorithm: Annotated[str, typer.Option(help="What its JWTs are signed with.")] = "ES256",
    lifetime: Annotated[int, typer.Option(metavar="SECONDS", help="How long a token lives.")] = 600,
    introspector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLIENT_ID", help="A client that may ask about its tokens; repeat for more."
        ),
    ] = None,
    followers_only: Annotated[
        bool,
        typer.Option(
            "--followers-only",
            help="Whoever checks its JWTs follows the feed, and nobody only polls the key set: "
            "keys are rotated without waiting for those who poll.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a protected API."""
    answer = administer(
        config,
        "resource.add",
        {
            "identifier": identifier,
            "scopes": scope,
            "token_format": token_format.value,
            "algorithm": algorithm,
            "access_token_lifetime": lifetime,
            "introspectors": introspector or [],
            "followers_only": followers_only,
        },
    )
    if as_json:
        show_json(answer)
    else:
        print(f"Added {identifier} with the scopes {', '.join(scope)}.")


@app.command("list", epilog="Example: dojang resource list --json")
def list_resources(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every protected API."""
    answer = administer(config, "resource.list", {})
    if as_json:
        show_json(answer)
        return
    show_table(
        ("IDENTIFIER", "SCOPES", "FORMAT", "ALGORITHM", "LIFETIME", "INTROSPECTORS"),
        [
            (
                each["identifier"],
                each["scopes"],
                each["token_format"],
                each["algorithm"],
                f"{each['access_token_lifetime']} s",
                each["introspectors"],
            )
            for each in answer["resources"]
        ],
    )
