"""`dojang registration-token`: who may register clients (RFC 7591)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.administering import administer
from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.options import ConfigOption, JsonOption, SecretFileOption, make_group
from dojang.cli.output import show_json, show_table, show_time, warn
from dojang.cli.secret_input import check_secret_file, write_secret

app = make_group("Who may register clients, where registration.mode asks for an initial token.")


@app.command(
    "add",
    epilog="Example: dojang registration-token add --label 'team blue' --clients 5 "
    "--secret-file blue.token",
)
def add(
    label: Annotated[str, typer.Option(help="Whose it is.")] = "registration",
    clients: Annotated[int, typer.Option(help="How many clients it registers.")] = 1,
    lifetime: Annotated[
        int, typer.Option(metavar="SECONDS", help="For how long it is good.")
    ] = 86_400,
    secret_file: SecretFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let somebody register clients. The token is shown once."""
    check_secret_file(secret_file)
    parameters = {"label": label, "clients": clients, "lifetime": lifetime}
    answer = administer(config, "registration_token.add", parameters)
    _warn_of_mode(config)
    if secret_file is not None:
        write_secret(secret_file, answer.pop("token"))
        answer["token_file"] = str(secret_file)
    else:
        warn("This token is shown now and never again: store it, and keep it out of logs.")
    if as_json:
        show_json(answer)
        return
    print(f"Added {answer['registration_token']['token_id']}.")
    if secret_file is not None:
        print(f"The token is in {secret_file}.")
    else:
        print(f"token  {answer['token']}")


def _warn_of_mode(flag: Path | None) -> None:
    """A token that nobody asks for is most likely a setting that was forgotten."""
    path = find_config_file(flag, os.environ)
    mode = load_config(path, environ=os.environ, secrets=()).config.registration.mode
    if mode == "off":
        warn(
            "registration.mode is off, so nobody registers with it yet: set initial_access_token "
            "in dojang.toml and start the server anew."
        )
    elif mode == "open_to_everyone":
        warn("registration.mode is open_to_everyone, so nobody needs it to register.")


@app.command("list", epilog="Example: dojang registration-token list")
def list_tokens(
    after: Annotated[str, typer.Option(help="Those after this token's id.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who may register clients, oldest first."""
    answer = administer(config, "registration_token.list", {"after": after, "limit": limit})
    if as_json:
        show_json(answer)
        return
    show_table(
        ("TOKEN ID", "LABEL", "LEFT", "EXPIRES"),
        [
            (each["token_id"], each["label"], each["left"], show_time(each["expires_at"]))
            for each in answer["registration_tokens"]
        ],
    )


@app.command(
    "revoke", epilog="Example: dojang registration-token revoke 019ab3f04c21d7e90b5a6c7d8e9f0a1b"
)
def revoke(
    token_id: Annotated[
        str,
        typer.Argument(metavar="TOKEN_ID", help="Which, as `registration-token list` shows it."),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """No more clients by a token; those that it registered stay."""
    answer = administer(config, "registration_token.revoke", {"token_id": token_id})
    if as_json:
        show_json(answer)
    else:
        print(f"Revoked {token_id}.")
