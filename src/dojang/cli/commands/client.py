"""`dojang client`: who may ask for tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dojang.cli.administering import administer
from dojang.cli.errors import Failure
from dojang.cli.exchanges import ExchangeOption, describe_exchanges, parse_exchanges
from dojang.cli.options import (
    ClientIdArgument,
    ConfigOption,
    JsonOption,
    SecretFileOption,
    make_group,
)
from dojang.cli.output import show_json, show_table, warn
from dojang.cli.secret_input import check_secret_file, write_secret
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.redirects import ResponseMode
from dojang.server.model import (
    ApplicationType,
    AuthenticationMethod,
    Profile,
    RefreshRule,
    SubjectType,
)

app = make_group("The software that may ask for tokens.")


@app.command(
    "add",
    epilog="Example: dojang client add shop --grant 'https://orders.example=orders:read' "
    "--secret-file shop.secret. For people: dojang client add web --authentication none "
    "--redirect-uri https://app.example/callback --ask 'https://orders.example=orders:read'",
)
def add(
    client_id: Annotated[
        str | None,
        typer.Argument(metavar="CLIENT_ID", help="Its name; one is made where none is given."),
    ] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI=SCOPES",
            help="A resource and the scopes it may have there, with commas between; repeatable.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="For people.", show_default=False)] = "",
    authentication: Annotated[
        AuthenticationMethod, typer.Option(help="How it proves who it is.")
    ] = AuthenticationMethod.BASIC,
    jwks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its public keys, for private_key_jwt (a JWK Set)."),
    ] = None,
    exchange: ExchangeOption = None,
    jwks_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Where its public keys lie, instead of --jwks."),
    ] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="People sign in to it, and their browsers come back here; repeatable.",
        ),
    ] = None,
    ask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI=SCOPES",
            help="A resource and the scopes it may ask people for there; repeatable.",
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What about people themselves it may ask for (default: openid profile email); "
            "repeatable."
        ),
    ] = None,
    post_logout_redirect_uri: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="Where browsers go after signing out; repeatable."),
    ] = None,
    backchannel_logout_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="Where it is told that a session ended.")
    ] = None,
    frontchannel_logout_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="What browsers open out of sight when they sign out."),
    ] = None,
    response_mode: Annotated[
        list[ResponseMode] | None,
        typer.Option(help="How it is answered (default: either way); repeatable."),
    ] = None,
    profile: Annotated[
        Profile, typer.Option(help="oauth21: PKCE always. oidc-basic: for clients that know none.")
    ] = Profile.OAUTH21,
    application: Annotated[
        ApplicationType, typer.Option(help="native: it runs on people's own devices.")
    ] = ApplicationType.WEB,
    refresh: Annotated[
        RefreshRule, typer.Option(help="What becomes of a refresh token that is used.")
    ] = RefreshRule.ROTATING,
    subject: Annotated[
        SubjectType, typer.Option(help="pairwise: it knows people by names of its own.")
    ] = SubjectType.PUBLIC,
    id_token_encryption: Annotated[
        str | None,
        typer.Option(metavar="ALG:ENC", help="Its id_tokens are encrypted to a key of its own."),
    ] = None,
    require_signed_request_object: Annotated[
        bool,
        typer.Option(
            "--require-signed-request-object", help="It signs what it asks for (RFC 9101)."
        ),
    ] = False,
    first_party: Annotated[
        bool, typer.Option("--first-party", help="It is your own: people are not asked.")
    ] = False,
    secret_file: SecretFileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a client. Its secret is shown once."""
    check_secret_file(secret_file)
    parameters: dict[str, Any] = {
        "name": name,
        "authentication": authentication.value,
        "grants": _parse_grants("--grant", grant or ()),
        "exchanges": parse_exchanges(exchange or ()),
    }
    if redirect_uri:
        wanted = _parse_grants("--ask", ask or ())
        parameters["sign_in"] = {
            "redirect_uris": redirect_uri,
            "resources": {each["resource"]: each["scopes"] for each in wanted},
            "scopes": scope or ["openid", "profile", "email"],
            "post_logout_redirect_uris": post_logout_redirect_uri or [],
            "backchannel_logout_uri": backchannel_logout_uri,
            "frontchannel_logout_uri": frontchannel_logout_uri,
            "response_modes": [mode.value for mode in response_mode or ResponseMode],
            "profile": profile.value,
            "application_type": application.value,
            "refresh": refresh.value,
            "subject_type": subject.value,
            "id_token_encryption": id_token_encryption and id_token_encryption.split(":"),
            "require_signed_request_object": require_signed_request_object,
            "first_party": first_party,
        }
    elif ask or scope or post_logout_redirect_uri or backchannel_logout_uri or first_party:
        raise Failure("people sign in to a client that has a --redirect-uri: give one")
    if client_id is not None:
        parameters["client_id"] = client_id
    if jwks is not None:
        parameters["jwks"] = _read_jwks(jwks)
    if jwks_uri is not None:
        parameters["jwks_uri"] = jwks_uri
    answer = administer(config, "client.add", parameters)
    _show_secret(answer, secret_file, "Added", as_json=as_json)


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
                [f"{grant['resource']}={','.join(grant['scopes'])}" for grant in each["grants"]],
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


def _parse_grants(option: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    by_resource: dict[str, list[str]] = {}
    for text in texts:
        resource, sign, scopes = text.rpartition("=")
        if not sign or not resource or not scopes.strip(", "):
            raise Failure(
                f"{option} {text}: write URI=SCOPE[,SCOPE], for example "
                "https://orders.example=orders:read"
            )
        by_resource.setdefault(resource, []).extend(scopes.replace(",", " ").split())
    return [{"resource": name, "scopes": scopes} for name, scopes in by_resource.items()]


def _read_jwks(path: Path) -> dict[str, Any]:
    try:
        return json_object.parse(path.read_bytes(), max_bytes=65_536)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except InvalidToken:
        raise Failure(f"{path} is not a JSON object") from None


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
    if as_json:
        show_json(answer)
        return
    print(f"{what} {client_id}.")
    if secret_file is not None and secret is not None:
        print(f"Its secret is in {secret_file}.")
    elif secret is not None:
        print(f"client_secret  {secret}")
