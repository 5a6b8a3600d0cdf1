"""`dojang resource`: the protected APIs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer

from dojang.cli.administering import administer
from dojang.cli.errors import Failure
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_changes, show_facts, show_json, show_table
from dojang.server.model import TokenFormat

IdentifierArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="URI", help="Which protected API.")
]
_AddOption: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="One more; repeatable.", show_default=False)
]
_RemoveOption: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="One less; repeatable.", show_default=False)
]

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
    scope: Annotated[
        list[str], typer.Option(metavar="SCOPE", help="What may be done there; repeat for more.")
    ],
    token_format: Annotated[
        TokenFormat,
        typer.Option("--format", help="jwt: services can check it alone. opaque: they must ask."),
    ] = TokenFormat.JWT,
    algorithm: Annotated[
        str, typer.Option(metavar="ALG", help="What its JWTs are signed with.")
    ] = "ES256",
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


@app.command(
    "update",
    epilog="Example: dojang resource update https://orders.example --add-scope orders:refund "
    "--remove-introspector old-gateway",
)
def update(
    identifier: IdentifierArgument,
    add_scope: _AddOption = None,
    remove_scope: _RemoveOption = None,
    add_introspector: _AddOption = None,
    remove_introspector: _RemoveOption = None,
    token_format: Annotated[
        TokenFormat | None,
        typer.Option("--format", help="Of tokens from now on; let its services know both first."),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(help="What its JWTs are signed with from now on.", show_default=False),
    ] = None,
    lifetime: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="How long a token lives from now on.")
    ] = None,
    followers_only: Annotated[
        bool | None,
        typer.Option(
            "--followers-only/--no-followers-only",
            help="Whether nobody only polls the key set.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a protected API; what is not named stays as it is.

    Clients lose a scope that is removed, and tokens that carry it are revoked; other tokens of
    before stay as they are."""
    held = administer(config, "resource.show", {"identifier": identifier})["resource"]
    asked = {
        "scopes": _change("scope", held["scopes"], add_scope, remove_scope),
        "introspectors": _change(
            "introspector", held["introspectors"], add_introspector, remove_introspector
        ),
        "token_format": token_format and token_format.value,
        "algorithm": algorithm,
        "access_token_lifetime": lifetime,
        "followers_only": followers_only,
    }
    named = {name: value for name, value in asked.items() if value is not None}
    if not named:
        raise Failure("there is nothing to change: name something (--help lists what)")
    answer = administer(
        config,
        "resource.update",
        {"identifier": identifier, "version": held["version"], **named},
    )
    if as_json:
        show_json(answer)
        return
    print(f"Updated {identifier}.")
    show_changes(answer)


@app.command("show", epilog="Example: dojang resource show https://orders.example")
def show(
    identifier: IdentifierArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show all of a protected API."""
    answer = administer(config, "resource.show", {"identifier": identifier})
    if as_json:
        show_json(answer)
    else:
        show_facts(answer["resource"])


def _change(
    what: str, held: Sequence[str], added: Sequence[str] | None, removed: Sequence[str] | None
) -> list[str] | None:
    """The whole list as it is to be; None where nothing of it is named."""
    if not added and not removed:
        return None
    for name in removed or ():
        if name not in held:
            raise Failure(f"--remove-{what} {name}: it has {', '.join(held) or 'none'}")
    left = [name for name in held if name not in (removed or ())]
    return list(dict.fromkeys((*left, *(added or ()))))


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
