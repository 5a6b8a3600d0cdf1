"""`dojang revoke`: take back a token, everything of whom or what it names, or all there is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dojang.cli.administering import administer
from dojang.cli.commands.keys import revoke_key
from dojang.cli.errors import Failure
from dojang.cli.options import ClientIdArgument, ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json
from dojang.cli.secret_input import read_token

app = make_group("Take back a token, or every token of a client, a grant and so on.")


@app.command("token", epilog="Example: dojang revoke token leaked.txt")
def token(
    source: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The file that holds it; - for standard input."),
    ] = None,
    jti: Annotated[
        str | None, typer.Option(help="Its jti, where the token itself is not at hand.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke one token, whoever holds it."""
    if (source is None) == (jti is None):
        raise Failure("give the token's FILE (or -), or --jti: one of the two")
    parameters: dict[str, Any] = {"jti": jti} if source is None else {"token": read_token(source)}
    _revoke(config, "revoke.token", parameters, as_json=as_json)


@app.command("client", epilog="Example: dojang revoke client shop")
def client(
    client_id: ClientIdArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Revoke every token a client has.

    It may ask for new ones; `dojang client disable` stops that too.
    """
    _revoke(config, "revoke.client", {"client_id": client_id}, as_json=as_json)


@app.command("grant", epilog="Example: dojang revoke grant 019ab3f04c21d7e90b5a6c7d8e9f0a1b")
def grant(
    grant_id: Annotated[
        str, typer.Argument(metavar="GRANT", help="Which grant, as `client list --json` names it.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke every token of a grant: what one client may do at one resource."""
    _revoke(config, "revoke.grant", {"grant": grant_id}, as_json=as_json)


@app.command("session", epilog="Example: dojang revoke session 019ab3f04c21d7e90b5a6c7d8e9f0a1b")
def session(
    sid: Annotated[
        str, typer.Argument(metavar="SID", help="Which session: the sid of its tokens.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke every token of a session."""
    _revoke(config, "revoke.session", {"session": sid}, as_json=as_json)


@app.command("account", epilog="Example: dojang revoke account shop")
def account(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Whose tokens: the sub that stands in them.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke every token about a subject, whichever client holds it."""
    _revoke(config, "revoke.account", {"subject": subject}, as_json=as_json)


@app.command("everything", epilog="Example: dojang revoke everything --yes")
def everything(
    yes: Annotated[bool, typer.Option("--yes", help="Yes, every token there is.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke every token that was issued so far, of every client.

    All of them have to get new ones, and may.
    """
    if not yes:
        raise Failure("this ends every token of every client; say --yes if that is meant")
    _revoke(config, "revoke.everything", {}, as_json=as_json)


@app.command("key", epilog="Example: dojang revoke key 5f3a9c0d1e2b4a67")
def key(
    kid: Annotated[str, typer.Argument(metavar="KID", help="Which key, as `keys list` names it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key that leaked, with every token it made. The standby signs at once."""
    revoke_key(config, kid, as_json=as_json)


def _revoke(config: Any, operation: str, parameters: dict[str, Any], *, as_json: bool) -> None:
    answer = administer(config, operation, parameters)
    if as_json:
        show_json(answer)
        return
    epoch, number = answer["rev"]
    kind, identifier = answer["kind"], answer["identifier"]
    what = {
        "token": f"the token {identifier}",
        "everything": "every token issued so far",
    }.get(kind, f"every token of the {kind} {identifier}")
    print(f"Revoked {what} (fact {number} of epoch {epoch}).")
    if kind == "grant":
        print("Whether there is such a grant was not looked up; `dojang client list` names them.")
    if not answer.get("known", True):
        print(f"No {kind} of this server is called so: if it is a slip, nothing was revoked.")
    if kind == "account" and not answer["known"]:
        print("A client may know a person by another name; see `dojang user sign-out`.")
    if kind == "client":
        print(f"It may ask for new ones; `dojang client disable {identifier}` stops that too.")
