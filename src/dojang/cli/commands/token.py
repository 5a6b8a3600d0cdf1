"""`dojang token`: get, understand, ask about and give back a token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.errors import Exit, Failure
from dojang.cli.issuer_client import IssuerClient
from dojang.cli.options import ConfigOption, JsonOption, TokenArgument, make_group
from dojang.cli.output import show_facts, show_json, show_time
from dojang.cli.secret_input import read_client_secret, read_token
from dojang.client import ClientSecretBasic, ClientSecretPost, Credentials, PrivateKeyJwt
from dojang.client.token_request import Granted
from dojang.jose import json_object
from dojang.jose.errors import InvalidKey, InvalidToken, JoseMisuse
from dojang.jose.keys import KeySet, SigningKey

app = make_group("Get a token, understand one, ask its issuer about it, give it back.")

_SIGNS = {True: "✓", False: "✗", None: "·"}
_OUTCOMES = {True: "passed", False: "failed", None: "not_checked"}

IssuerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Whose token (default: the configuration's).", show_default=False
    ),
]
FetchFromOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Another address of the issuer to fetch from.", show_default=False
    ),
]
ClientOption: TypeAlias = Annotated[
    str, typer.Option("--client-id", metavar="CLIENT_ID", help="The client to act as.")
]
ClientSecretOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--client-secret-file",
        metavar="FILE",
        help="Its secret; - for standard input (default: $DOJANG_CLIENT_SECRET, then "
        "$DOJANG_CLIENT_SECRET_FILE, then asked for).",
        show_default=False,
    ),
]
PostOption: TypeAlias = Annotated[
    bool, typer.Option("--post", help="It is registered for client_secret_post.")
]
PrivateKeyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Its private key (a JWK), for private_key_jwt instead of a secret.",
        show_default=False,
    ),
]


@app.command(
    "issue",
    epilog="Example: dojang token issue --client-id shop --client-secret-file shop.secret "
    "--resource https://orders.example --scope orders:read",
)
def issue(
    client_id: ClientOption,
    resource: Annotated[
        str | None, typer.Option(metavar="URI", help="The API it is for (its audience).")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help="What it may do; repeat for more (default: all of the grant)."
        ),
    ] = None,
    client_secret: ClientSecretOption = None,
    post: PostOption = False,
    private_key: PrivateKeyOption = None,
    issuer: IssuerOption = None,
    fetch_from: FetchFromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a token as a client, and print it and nothing else."""
    credentials = _build_credentials(client_id, client_secret, private_key, post=post)
    asked = " ".join(scope) if scope else None
    granted = _find_issuer(issuer, fetch_from, config).issue(credentials, resource, asked)
    _show_granted(granted, as_json=as_json)


@app.command(
    "exchange",
    epilog="Example: dojang token exchange token.txt --client-id orders "
    "--client-secret-file orders.secret --audience https://payments.example",
)
def exchange(
    source: TokenArgument,
    client_id: ClientOption,
    audience: Annotated[str, typer.Option(metavar="URI", help="The API that the new one is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it may do; repeat for more (default: all that the rules give).",
        ),
    ] = None,
    client_secret: ClientSecretOption = None,
    post: PostOption = False,
    private_key: PrivateKeyOption = None,
    issuer: IssuerOption = None,
    fetch_from: FetchFromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """As the service that was called with a token, get one to call another service with."""
    _check_one_stdin(source, client_secret)
    token = read_token(source)
    credentials = _build_credentials(client_id, client_secret, private_key, post=post)
    asked = " ".join(scope) if scope else None
    granted = _find_issuer(issuer, fetch_from, config).exchange(credentials, token, audience, asked)
    _show_granted(granted, as_json=as_json)


def _show_granted(granted: Granted, *, as_json: bool) -> None:
    if as_json:
        show_json({"access_token": granted.value, "expires_in": int(granted.lifetime)})
    else:
        print(granted.value)


@app.command(
    "inspect",
    epilog="Example: dojang token inspect token.txt --audience https://orders.example "
    "--algorithm ES256 --scope orders:read",
)
def inspect(
    source: TokenArgument,
    audience: Annotated[str, typer.Option(metavar="URI", help="The service that would check it.")],
    algorithm: Annotated[
        list[str], typer.Option(metavar="ALG", help="A signature it allows; repeat for more.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="What the request needs; repeat for more."),
    ] = None,
    jwks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The issuer's keys; without it they are fetched from the issuer."
        ),
    ] = None,
    leeway: Annotated[
        float, typer.Option(metavar="SECONDS", help="How far clocks may differ.")
    ] = 5,
    issuer: IssuerOption = None,
    fetch_from: FetchFromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say, check by check, why a service would accept or refuse a token.

    Exit code 1 where it would refuse. Whether the token was revoked, only the issuer knows.
    """
    from dojang.cli.inspection import inspect_token
    from dojang.resource import Expect

    name = _find_issuer_name(issuer, config)
    token = read_token(source)
    try:
        expect = Expect(issuer=name, audience=audience, algorithms=algorithm, leeway=leeway)
    except ValueError as error:
        raise Failure(f"--issuer, --audience, --algorithm, --leeway: {error}") from None
    keys = _read_keys(jwks) if jwks else IssuerClient(name, fetch_from=fetch_from).fetch_keys()
    try:
        inspection = inspect_token(token, keys, expect, scopes=scope or ())
    except JoseMisuse as error:
        raise Failure(f"--algorithm: {error}") from None
    checks = list(enumerate(inspection.checks, 1))
    if as_json:
        show_json(
            {
                "accepted": inspection.accepted,
                "reason": inspection.reason or None,
                "checks": [
                    {
                        "number": number,
                        "name": check.name,
                        "outcome": _OUTCOMES[check.passed],
                        "detail": check.says,
                    }
                    for number, check in checks
                ],
                "sensitive_claims": [claim._asdict() for claim in inspection.sensitive],
            }
        )
    else:
        for number, check in checks:
            print(f"{number:2} {_SIGNS[check.passed]} {check.name:<10}  {check.says}")
        for claim in inspection.sensitive:
            print(
                f"\nWarning: the claim {claim.path!r} seems to hold {claim.kind}. A token is "
                "encoded, not encrypted: whoever holds it can read that."
            )
        verdict = f"refused: {inspection.reason}" if inspection.reason else "accepted"
        print(f"\nA service that checks locally would say: {verdict}.")
    return Exit.OK if inspection.accepted else Exit.FINDINGS


@app.command(
    "introspect",
    epilog="Example: dojang token introspect token.txt --client-id orders "
    "--client-secret-file orders.secret",
)
def introspect(
    source: TokenArgument,
    client_id: ClientOption,
    client_secret: ClientSecretOption = None,
    post: PostOption = False,
    private_key: PrivateKeyOption = None,
    issuer: IssuerOption = None,
    fetch_from: FetchFromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask the issuer whether a token is active.

    As a client that the resource names as an introspector. Exit code 1 where it is not active.
    """
    _check_one_stdin(source, client_secret)
    token = read_token(source)
    credentials = _build_credentials(client_id, client_secret, private_key, post=post)
    answer = _find_issuer(issuer, fetch_from, config).introspect(credentials, token)
    active = answer.get("active") is True
    if as_json:
        show_json(answer)
    elif active:
        times = {name: show_time(answer[name]) for name in ("iat", "exp") if name in answer}
        show_facts(answer | times)
    else:
        print(
            "Not active: expired, revoked, from elsewhere, or meant for a service that "
            f"{client_id} may not ask for."
        )
    return Exit.OK if active else Exit.FINDINGS


@app.command(
    "revoke",
    epilog="Example: dojang token revoke token.txt --client-id shop "
    "--client-secret-file shop.secret",
)
def revoke(
    source: TokenArgument,
    client_id: ClientOption,
    client_secret: ClientSecretOption = None,
    post: PostOption = False,
    private_key: PrivateKeyOption = None,
    issuer: IssuerOption = None,
    fetch_from: FetchFromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give back a token, as the client that holds it.

    An operator uses `dojang revoke token`.
    """
    _check_one_stdin(source, client_secret)
    token = read_token(source)
    credentials = _build_credentials(client_id, client_secret, private_key, post=post)
    _find_issuer(issuer, fetch_from, config).revoke(credentials, token)
    if as_json:
        show_json({"revoked": True})
    else:
        print("Done: if the issuer knew this token, it works no more.")


def _find_issuer(issuer: str | None, fetch_from: str | None, config: Path | None) -> IssuerClient:
    return IssuerClient(_find_issuer_name(issuer, config), fetch_from=fetch_from)


def _find_issuer_name(issuer: str | None, config: Path | None) -> str:
    if issuer is not None:
        return issuer
    path = find_config_file(config, os.environ)
    if path is None and "DOJANG_ISSUER" not in os.environ:
        raise Failure("whose token? give --issuer URL, or --config FILE")
    return load_config(path, environ=os.environ, secrets=()).config.issuer


def _build_credentials(
    client_id: str, secret_file: str | None, private_key: Path | None, *, post: bool
) -> Credentials:
    if private_key is not None:
        return PrivateKeyJwt(client_id, _read_private_key(private_key))
    secret = read_client_secret(secret_file, os.environ)
    return ClientSecretPost(client_id, secret) if post else ClientSecretBasic(client_id, secret)


def _read_private_key(path: Path) -> SigningKey:
    try:
        return SigningKey.from_jwk(json_object.parse(path.read_bytes()))
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except (InvalidToken, InvalidKey) as error:
        raise Failure(f"{path} is not a private key (JWK): {error.detail}") from None


def _read_keys(path: Path) -> KeySet:
    try:
        return KeySet.parse(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except InvalidKey as error:
        raise Failure(f"{path} is not a JWK Set: {error.detail}") from None


def _check_one_stdin(source: str, client_secret: str | None) -> None:
    if source == "-" == client_secret:
        raise Failure("the token and the secret cannot both come from standard input")
