"""`dojang keys`: what tokens are signed and sealed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from dojang.cli.administering import administer
from dojang.cli.options import ConfigOption, JsonOption, make_group
from dojang.cli.output import show_json, show_table, show_time
from dojang.server.model import KeyUse

app = make_group("The keys that tokens are signed and sealed with.")

_ALGORITHMS: Final[Mapping[KeyUse, str]] = {
    KeyUse.ACCESS_TOKEN: "ES256",
    KeyUse.ID_TOKEN: "RS256",
    KeyUse.SEAL: "A256GCM",
    KeyUse.FEED: "RS256",
}


@app.command("list", epilog="Example: dojang keys list")
def list_keys(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every key and its state."""
    answer = administer(config, "keys.list", {})
    if as_json:
        show_json(answer)
    else:
        _show_keys(answer)


@app.command("rotate", epilog="Example: dojang keys rotate --algorithm ES256")
def rotate(
    use: Annotated[
        KeyUse,
        typer.Option(
            help="access_token: signs JWTs. id_token: signs what clients are told of people. "
            "seal: seals opaque tokens. feed: signs the feed."
        ),
    ] = KeyUse.ACCESS_TOKEN,
    algorithm: Annotated[
        str | None,
        typer.Option(help="Which line of keys (default: ES256; A256GCM for seal, else RS256)."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the standby key take over, once every verifier has it.

    Services that follow the feed say so; the others poll the key set. No token is refused because
    of it.
    """
    chosen = algorithm or _ALGORITHMS[use]
    answer = administer(config, "keys.rotate", {"use": use.value, "algorithm": chosen})
    if as_json:
        show_json(answer)
        return
    print(f"The standby key takes over at {show_time(answer['takes_over_at'])}.")
    if answer["lacking"]:
        print("That is the latest; it is earlier when these followers hold the key:")
        show_table(("CLIENT", "NAME"), [tuple(each.values()) for each in answer["lacking"]])
    _show_keys(answer)


@app.command("revoke", epilog="Example: dojang keys revoke 5f3a9c0d1e2b4a67")
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="Which key, as `keys list` names it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key that leaked, with every token it made. The standby signs at once."""
    revoke_key(config, kid, as_json=as_json)


@app.command("remove", epilog="Example: dojang keys remove 5f3a9c0d1e2b4a67")
def remove(
    kid: Annotated[str, typer.Argument(metavar="KID", help="Which key, as `keys list` names it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a key that is not needed any more, as happens by itself in a while.

    Refused while a token of it may be alive.
    """
    answer = administer(config, "keys.remove", {"kid": kid})
    if as_json:
        show_json(answer)
        return
    print(f"Removed the key {kid}.")
    _show_keys(answer)


def revoke_key(config: Any, kid: str, *, as_json: bool) -> None:
    """`keys revoke` and `revoke key`."""
    answer = administer(config, "keys.revoke", {"kid": kid})
    if as_json:
        show_json(answer)
        return
    print(f"Revoked the key {kid} and every token it made.")
    _show_keys(answer)


def _show_keys(answer: dict[str, Any]) -> None:
    show_table(
        ("KID", "USE", "ALGORITHM", "STATE", "PUBLISHED", "ACTIVE FROM", "GONE AT"),
        [
            (
                each["kid"],
                each["use"],
                each["algorithm"],
                each["state"],
                show_time(each["published_at"]),
                show_time(each["active_from"]),
                show_time(each["revoked_at"] or each["gone_at"]),
            )
            for each in answer["keys"]
        ],
    )
