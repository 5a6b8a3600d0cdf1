"""`dojang user`: the people who may sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import typer

from dojang.cli.administering import administer
from dojang.cli.errors import Failure
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table
from dojang.cli.secret_input import read_new_password
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken

app = make_group("The people who may sign in.")

UsernameArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="USERNAME", help="The name they sign in with.")
]
PasswordFileOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="The file that holds the password; - for standard input (default: asked for).",
    ),
]
ClaimOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="NAME=VALUE",
        help="What clients may know: name=홍길동, email=…, email_verified=true, "
        "updated_at=1700000000, address=… (a text, or a JSON object); repeatable.",
    ),
]


@app.command("add", epilog="Example: dojang user add hong --claim name=홍길동")
def add(
    username: UsernameArgument,
    claim: ClaimOption = None,
    password_file: PasswordFileOption = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="They cannot sign in until one is set.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a person sign in."""
    parameters: dict[str, Any] = {"username": username, "claims": _parse_claims(claim or ())}
    if not no_password:
        parameters["password"] = read_new_password(password_file)
    answer = administer(config, "user.add", parameters)
    _show(answer, f"Added {username}.", as_json=as_json)


@app.command("list", epilog="Example: dojang user list --json")
def list_users(
    after: Annotated[str, typer.Option(help="Those after this account_id.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the people, by account_id."""
    answer = administer(config, "user.list", {"after": after, "limit": limit})
    if as_json:
        show_json(answer)
        return
    show_table(
        ("ACCOUNT ID", "USERNAME", "ENABLED", "PASSWORD", "NAME", "EMAIL"),
        [
            (
                each["account_id"],
                each["username"],
                each["enabled"],
                each["password"],
                each["claims"].get("name", ""),
                each["claims"].get("email", ""),
            )
            for each in answer["users"]
        ],
    )


@app.command("set-password", epilog="Example: dojang user set-password hong")
def set_password(
    username: UsernameArgument,
    password_file: PasswordFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a person another password; every session and app of before ends."""
    parameters = {"username": username, "password": read_new_password(password_file)}
    answer = administer(config, "user.set_password", parameters)
    _show(answer, f"{username} has a new password and is signed out everywhere.", as_json=as_json)


@app.command("set-claims", epilog="Example: dojang user set-claims hong --claim email=h@a.example")
def set_claims(
    username: UsernameArgument,
    claim: ClaimOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what clients may know of a person: these claims, and no others."""
    parameters = {"username": username, "claims": _parse_claims(claim or ())}
    answer = administer(config, "user.set_claims", parameters)
    _show(answer, f"Changed {username}.", as_json=as_json)


@app.command("disable", epilog="Example: dojang user disable hong")
def disable(
    username: UsernameArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """No more sign-ins, and an end to every session and every app's access."""
    answer = administer(config, "user.disable", {"username": username})
    _show(answer, f"Disabled {username} and signed them out everywhere.", as_json=as_json)


@app.command("enable", epilog="Example: dojang user enable hong")
def enable(
    username: UsernameArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let a person sign in again; what ended stays so."""
    answer = administer(config, "user.enable", {"username": username})
    _show(answer, f"Enabled {username}.", as_json=as_json)


@app.command("sign-out", epilog="Example: dojang user sign-out hong")
def sign_out(
    username: UsernameArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """End every session of a person, and every app's access; they may sign in again."""
    answer = administer(config, "user.sign_out", {"username": username})
    _show(answer, f"Signed {username} out everywhere.", as_json=as_json)


@app.command("remove", epilog="Example: dojang user remove hong --yes")
def remove(
    username: UsernameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a person. There is no way back."""
    if not yes and (as_json or not typer.confirm(f"Forget {username}?")):
        raise Failure("nothing was removed; --yes says that you mean it")
    answer = administer(config, "user.remove", {"username": username})
    _show(answer, f"Removed {username}.", as_json=as_json)


def _parse_claims(texts: Sequence[str]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise Failure(f"--claim {text}: write NAME=VALUE, for example name=홍길동")
        claims[name] = _parse_claim(name, value)
    return claims


def _parse_claim(name: str, value: str) -> Any:
    """A value as the type that the claim has (OpenID Connect Core §5.1), or as it is."""
    if name.endswith("_verified") and value in ("true", "false"):
        return value == "true"
    if name == "updated_at" and value.isascii() and value.isdigit():
        return int(value)
    if name == "address":
        return _parse_address(value)
    return value


def _parse_address(value: str) -> Any:
    if not value.startswith("{"):
        return {"formatted": value}
    try:
        return json_object.parse(value.encode())
    except InvalidToken:
        raise Failure("--claim address=…: a JSON object, or the address in one text") from None


def _show(answer: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        show_json(answer)
    else:
        print(words)
