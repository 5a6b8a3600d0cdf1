"""Doing an operation: on the running server, or in this process where none runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dojang.cli.admin_client import AdminClient
from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.errors import Exit, Failure
from dojang.oauth.errors import Unavailable
from dojang.server.administration import OPERATIONS, OperationRefused, perform
from dojang.server.config import Config
from dojang.storage.opening import is_free

_FOR_A_SERVER = frozenset({"operator.client_secret", "storage.url"})
_FOR_THE_STORE = frozenset({"storage.url", "redis.url", "keys.encryption_key"})


def is_served(flag: Path | None) -> bool:
    """Whether a server answers for this installation. Raises `Failure`."""
    path = find_config_file(flag, os.environ)
    return AdminClient(load_config(path, environ=os.environ, secrets=()).config).is_there()


def administer(flag: Path | None, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of one operation of `server.administration`; `flag` is `--config`.

    Raises `Failure`.
    """
    path = find_config_file(flag, os.environ)
    basic = load_config(path, environ=os.environ, secrets=()).config
    client = AdminClient(basic)
    if not client.is_there():
        stored = load_config(path, environ=os.environ, secrets=_FOR_THE_STORE).config
        return asyncio.run(perform_here(stored, name, parameters))
    config = load_config(path, environ=os.environ, secrets=_FOR_A_SERVER).config
    if is_free(config.storage.url):
        raise Failure(
            f"something answers at {config.listen.management}, but no server has the database of "
            "this installation open: it is another's. Nothing was sent to it. Stop it, or give "
            "this installation an address of its own in dojang.toml",
            Exit.UNREACHABLE,
        )
    if not config.operator.client_secret:
        raise Failure(
            f"a server runs at {config.listen.management}, so this goes through its admin API, as "
            f"the client {config.operator.client_id!r}; give its secret with "
            "operator.client_secret_file in dojang.toml, DOJANG_OPERATOR__CLIENT_SECRET_FILE or "
            "DOJANG_OPERATOR__CLIENT_SECRET, or stop the server"
        )
    return AdminClient(config).perform(name, parameters)


async def perform_here(config: Config, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One operation on the store itself. Raises `Failure`."""
    from dojang.cli.opening import open_provider

    operation = OPERATIONS[name]
    try:
        converted = msgspec.convert(dict(parameters), operation.parameters)
    except msgspec.ValidationError as error:
        raise Failure(str(error)) from None
    async with open_provider(config) as provider:
        try:
            return await perform(provider, operation, converted, actor=name_local_actor())
        except OperationRefused as refusal:
            raise Failure(refusal.detail) from None
        except Unavailable as error:
            raise Failure(str(error), Exit.UNREACHABLE) from error


def name_local_actor() -> str:
    """Who is named in the audit trail where no client acts: the user of this machine."""
    import pwd

    uid = os.getuid()
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:{uid}"
