"""`dojang client`: who may ask for tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dojang.cli.administering import administer
from dojang.cli.client_options import take_client_options
from dojang.cli.client_options import unset as take_back
from dojang.cli.errors import Failure
from dojang.cli.exchanges import ExchangeOption, describe_exchanges, parse_exchanges
from dojang.cli.options import (
    ClientIdArgument,
    ConfigOption,
    JsonOption,
    SecretFileOption,
    make_group,
)
from dojang.cli.output import show_changes, show_facts, show_json, show_table, show_time, warn
from dojang.cli.secret_input import check_secret_file, write_secret

app = make_group("The software that may ask for tokens.")


@app.command(
    "add",
    epilog="Example: dojang client add shop --grant 'https://orders.example=orders:read' "
    "--secret-file shop.secret. For people: dojang client add web --authentication none "
    "--redirect-uri https://app.example/callback --ask 'https://orders.example=orders:read'",
)
@take_client_options
def add(
    asked: dict[str, Any],
    client_id: Annotated[
        str | None,
        typer.Argument(
            metavar="CLIENT_ID",
            help="Its name; that of the metadata, or one is made, where none is given.",
        ),
    ] = None,
    secret_file: SecretFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a client. Its secret is shown once."""
    check_secret_file(secret_file)
    if "redirect_uris" not in asked.get("sign_in", ("redirect_uris",)) and "metadata" not in asked:
        raise Failure("people sign in to a client that has a --redirect-uri: give one")
    if client_id is not None:
        asked["client_id"] = client_id
    answer = administer(config, "client.add", asked)
    _show_secret(answer, secret_file, "Added", as_json=as_json)


@app.command(
    "update",
    epilog="Example: dojang client update shop --grant 'https://orders.example=orders:read' "
    "--unset jwks-uri",
)
@take_client_options
def update(
    asked: dict[str, Any],
    client_id: ClientIdArgument,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            help="What it has by this option it has no more (sign-in: people sign in to it no "
            "more); repeatable.",
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(help="The one that you have seen; where it is another, nothing changes."),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="It registered itself, and shall change itself no more."),
    ] = False,
    secret_file: SecretFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a client; what is not named stays as it is.

    A list that is named takes the place of the whole list. Tokens that carry what it may have no
    more are revoked."""
    check_secret_file(secret_file)
    take_back(asked, unset or ())
    if not asked and not adopt:
        raise Failure("there is nothing to change: name something (--help lists what)")
    asked |= {"client_id": client_id, "adopt": adopt}
    if version is not None:
        asked["version"] = version
    answer = administer(config, "client.update", asked)
    _show_secret(answer, secret_file, "Updated", as_json=as_json)
    if not as_json:
        show_changes(answer)


@app.command("show", epilog="Example: dojang client show shop --json")
def show(
    client_id: ClientIdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show all of a client; of its secrets only how many there are."""
    answer = administer(config, "client.show", {"client_id": client_id})
    if as_json:
        show_json(answer)
        return
    client = answer["client"]
    sign_in = client.pop("sign_in") or {}
    jwks = client.pop("jwks") or {"keys": []}
    facts = {
        **client,
        "jwks": [key.get("kid", "(no kid)") for key in jwks["keys"]],
        "grants": _describe_rights((each["resource"], each["scopes"]) for each in client["grants"]),
        "exchanges": describe_exchanges(client["exchanges"]),
        "created_at": show_time(client["created_at"]),
        "registered_itself": answer["registered"],
        "people_sign_in": bool(sign_in),
        **sign_in,
    }
    if sign_in:
        facts["resources"] = _describe_rights(sign_in["resources"].items())
    show_facts(facts)


@app.command("list", epilog="Example: dojang client list --json")
def list_clients(
    after: Annotated[str, typer.Option(help="Those after this client_id.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the clients, by client_id."""
    answer = administer(config, "client.list", {"after": after, "limit": limit})
    if as_json:
        show_json(answer)
        return
    show_table(
        ("CLIENT ID", "ENABLED", "AUTHENTICATION", "SECRETS", "GRANTS", "EXCHANGES"),
        [
            (
                each["client_id"],
                each["enabled"],
                each["authentication"],
                each["secrets"],
                _describe_rights((grant["resource"], grant["scopes"]) for grant in each["grants"]),
                describe_exchanges(each["exchanges"]),
            )
            for each in answer["clients"]
        ],
    )


@app.command(
    "rotate-secret",
    epilog="Example: dojang client rotate-secret shop --overlap 3600 --secret-file shop.secret",
)
def rotate_secret(
    client_id: ClientIdArgument,
    overlap: Annotated[
        int, typer.Option(metavar="SECONDS", help="For how long the old secret still works.")
    ] = 0,
    secret_file: SecretFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a client a new secret. It is shown once."""
    check_secret_file(secret_file)
    answer = administer(
        config, "client.rotate_secret", {"client_id": client_id, "overlap": overlap}
    )
    _show_secret(answer, secret_file, "New secret for", as_json=as_json)


@app.command(
    "set-exchanges",
    epilog="Example: dojang client set-exchanges orders "
    "--exchange 'https://payments.example=payments:charge for orders:write'",
)
def set_exchanges(
    client_id: ClientIdArgument,
    exchange: ExchangeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say anew what a client may exchange tokens for; without --exchange, for nothing."""
    wanted = parse_exchanges(exchange or ())
    answer = administer(
        config, "client.set_exchanges", {"client_id": client_id, "exchanges": wanted}
    )
    if as_json:
        show_json(answer)
        return
    print(f"{client_id} may exchange tokens for:")
    for line in describe_exchanges(answer["client"]["exchanges"]) or ["nothing"]:
        print(f"  {line}")


@app.command("disable", epilog="Example: dojang client disable shop")
def disable(
    client_id: ClientIdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """No more tokens for a client, and an end to those it has."""
    answer = administer(config, "client.disable", {"client_id": client_id})
    if as_json:
        show_json(answer)
    else:
        print(f"Disabled {client_id} and revoked every token it had.")


@app.command("enable", epilog="Example: dojang client enable shop")
def enable(
    client_id: ClientIdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let a disabled client ask for tokens again; those from before stay dead."""
    answer = administer(config, "client.enable", {"client_id": client_id})
    if as_json:
        show_json(answer)
    else:
        print(f"Enabled {client_id}.")


@app.command("remove", epilog="Example: dojang client remove shop")
def remove(
    client_id: ClientIdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Forget a client, with an end to every token it has."""
    answer = administer(config, "client.remove", {"client_id": client_id})
    if as_json:
        show_json(answer)
    else:
        print(f"Removed {client_id} and revoked every token it had.")


def _describe_rights(rights: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    return [f"{resource}={','.join(scopes)}" for resource, scopes in rights]


def _show_secret(
    answer: dict[str, Any], secret_file: Path | None, what: str, *, as_json: bool
) -> None:
    client_id = answer["client"]["client_id"]
    secret = answer.get("client_secret")
    if secret is not None and secret_file is not None:
        write_secret(secret_file, secret)
        del answer["client_secret"]
        answer["client_secret_file"] = str(secret_file)
    elif secret is not None:
        warn("This secret is shown now and never again: store it, and keep it out of logs.")
    elif secret_file is not None:
        warn(f"It has no new secret, so {secret_file} was not written.")
    if as_json:
        show_json(answer)
        return
    print(f"{what} {client_id}.")
    if secret_file is not None and secret is not None:
        print(f"Its secret is in {secret_file}.")
    elif secret is not None:
        print(f"client_secret  {secret}")
