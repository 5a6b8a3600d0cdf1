"""`dojang init`: a new installation, from nothing to a server that can be started."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from dojang.cli.config_loading import FILE_NAME, Problem, load_config
from dojang.cli.errors import Failure
from dojang.cli.options import JsonOption
from dojang.cli.output import show_json
from dojang.cli.secret_input import write_secret
from dojang.jose import base64url
from dojang.server.config import (
    ENCRYPTION_KEY_BYTES,
    Config,
    TcpAddress,
    check_issuer_setting,
    parse_address,
)

KEY_FILE: Final = "key-encryption.key"
WITNESS_FILE: Final = f"{KEY_FILE}.head"
OPERATOR_FILE: Final = "operator.secret"
DATABASE: Final = "dojang.db"

_TOML: Final = """\
# The configuration of a Dojang authorization server. `dojang config show` tells where each value
# comes from; the environment (DOJANG_SECTION__KEY) goes before this file.

# The address that clients and services know this server by. It stands in every token.
issuer = {issuer}

[listen]
# For clients and services; put a TLS proxy in front of it where it leaves this machine.
public = {public}
# Admin API, health and metrics: for operators alone.
management = {management}

[storage]
{storage}

[keys]
# Every private key is sealed under this one. Back it up apart from the database: without it the
# database is worthless, and with it whoever has the database can make tokens.
encryption_key_file = {key}

[operator]
# What the command line proves itself with, while the server runs.
client_id = "operator"
client_secret_file = {operator}
"""


class _Plan(NamedTuple):
    directory: Path
    issuer: str
    public: str
    management: str
    storage: str

    @property
    def files(self) -> list[Path]:
        names = [FILE_NAME, KEY_FILE, OPERATOR_FILE, WITNESS_FILE]
        if "url_file" not in self.storage:
            names.append(DATABASE)
        return [self.directory / name for name in names]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("init", epilog="Example: dojang init ./auth --issuer https://auth.example")(init)


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where everything is put.")
    ] = Path(),
    issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address clients and services will know the server by. https, unless it is "
            "for this machine alone (default: http:// and the public listener).",
            show_default=False,
        ),
    ] = None,
    public: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen: host:port or unix:/path.")
    ] = "127.0.0.1:8460",
    management: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where operators are listened to.")
    ] = "127.0.0.1:8461",
    storage_url_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file that holds the address of a PostgreSQL database, which has a password in "
            "it as a rule (default: an SQLite file in the directory).",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new installation: configuration, keys, database, operator.

    The operator is the client that this command line is while the server runs. Nothing is
    overwritten.
    """
    storage = f'url = "sqlite:{DATABASE}"'
    if storage_url_file is not None:
        storage = f"url_file = {_quote(str(storage_url_file.absolute()))}"
    plan = _Plan(directory, issuer or _default_issuer(public), public, management, storage)
    _check(plan)
    try:
        plan.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(_make(plan))
    except OSError as error:
        _undo(plan)
        raise Failure(f"{error.filename or plan.directory}: {error.strerror}") from error
    except BaseException:
        _undo(plan)
        raise
    _show(plan, as_json=as_json)


def _default_issuer(public: str) -> str:
    try:
        address = parse_address(public)
    except ValueError as error:
        raise Failure(f"--public: {error}") from None
    if not isinstance(address, TcpAddress):
        raise Failure("--issuer: say what clients will call the server, as it listens on a socket")
    return f"http://{address}"


def _check(plan: _Plan) -> None:
    """Everything that can be known before anything is made. Raises `Failure`."""
    for flag, check, value in (
        ("--issuer", check_issuer_setting, plan.issuer),
        ("--public", parse_address, plan.public),
        ("--management", parse_address, plan.management),
    ):
        try:
            check(value)
        except ValueError as error:
            raise Failure(str(Problem(flag, str(error)))) from None
    if plan.public == plan.management:
        raise Failure("--management: must differ from --public")
    there = [path for path in plan.files if path.exists()]
    if there:
        raise Failure(
            f"{there[0]} is there already: nothing was changed. Name another directory; to start "
            "what is there, type: dojang serve"
        )


async def _make(plan: _Plan) -> None:
    """Files first, the configuration last: it is there when all is."""
    from dojang.cli.administering import perform_here
    from dojang.cli.opening import open_bare_store
    from dojang.clock import SYSTEM_CLOCK
    from dojang.server.ports import Conflict
    from dojang.server.provider import initialise

    config_file, key_file, operator_file, *_ = plan.files
    key = os.urandom(ENCRYPTION_KEY_BYTES)
    write_secret(key_file, base64url.encode(key))
    draft = config_file.with_suffix(".toml.new")
    draft.write_text(_build_toml(plan))
    try:
        needed = {"storage.url", "keys.encryption_key"}
        config = load_config(draft, environ={}, secrets=needed).config
        await _make_schema(config)
        async with open_bare_store(config) as store:
            try:
                await initialise(
                    issuer=plan.issuer, store=store, clock=SYSTEM_CLOCK, key_encryption_key=key
                )
            except Conflict:
                raise Failure(
                    "the database holds an installation already: nothing in it was changed"
                ) from None
        operator = {
            "client_id": config.operator.client_id,
            "name": "The command line",
            "grants": [
                {"resource": f"{plan.issuer}/admin", "scopes": ["admin:read", "admin:write"]}
            ],
        }
        answer = await perform_here(config, "client.add", operator)
        write_secret(operator_file, answer["client_secret"])
        draft.rename(config_file)
    finally:
        draft.unlink(missing_ok=True)


async def _make_schema(config: Config) -> None:
    from dojang.cli.opening import OPENING_ERRORS, explain
    from dojang.storage.migrate import upgrade

    try:
        await upgrade(config.storage.url)
    except OPENING_ERRORS as error:
        raise explain(error, config) from error


def _build_toml(plan: _Plan) -> str:
    return _TOML.format(
        issuer=_quote(plan.issuer),
        public=_quote(plan.public),
        management=_quote(plan.management),
        storage=plan.storage,
        key=_quote(KEY_FILE),
        operator=_quote(OPERATOR_FILE),
    )


def _quote(text: str) -> str:
    """A basic string of TOML: what JSON escapes, TOML does."""
    return json.dumps(text, ensure_ascii=False)


def _undo(plan: _Plan) -> None:
    """Take away what this run made; `_check` saw that none of it was there before."""
    database = plan.directory / DATABASE
    beside = [database.with_name(f"{DATABASE}{end}") for end in (".lock", "-wal", "-shm")]
    for path in [*plan.files, *(beside if database in plan.files else ())]:
        with suppress(OSError):
            path.unlink()


def _show(plan: _Plan, *, as_json: bool) -> None:
    config_file, key_file, operator_file, *_ = plan.files
    if as_json:
        show_json(
            {
                "config": str(config_file),
                "encryption_key_file": str(key_file),
                "operator_secret_file": str(operator_file),
                "issuer": plan.issuer,
            }
        )
        return
    here = "" if config_file == Path(FILE_NAME) else f" --config {config_file}"
    print(
        f"Made an authorization server for {plan.issuer}.\n"
        f"  {config_file}  its configuration\n"
        f"  {key_file}  seals its keys: back it up, apart from the database\n"
        f"  {operator_file}  lets this command line administer it: keep it to yourself\n"
        "\nNext:\n"
        f"  dojang serve{here}\n"
        "and in another terminal:\n"
        f"  dojang resource add https://orders.example --scope orders:read{here}\n"
        "  dojang client add shop --grant https://orders.example=orders:read "
        f"--secret-file shop.secret{here}\n"
        "  dojang token issue --client-id shop --client-secret-file shop.secret "
        f"--resource https://orders.example{here}"
    )
