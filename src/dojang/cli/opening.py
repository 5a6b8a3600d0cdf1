"""Opening the authorization server in this process, and what to say where that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from dojang import app
from dojang.cli.errors import Exit, Failure
from dojang.oauth.errors import Unavailable
from dojang.server.config import BadEncryptionKey, Config
from dojang.server.key_records import WrongEncryptionKey
from dojang.server.ports import Store
from dojang.server.provider import NotInitialised, Provider
from dojang.storage.errors import (
    AnotherDatabase,
    BadWitness,
    MovedAway,
    NotMovable,
    OlderThanWitness,
    SchemaOutdated,
    SchemaTooNew,
    StoreInUse,
    WentBack,
)
from dojang.storage.opening import open_store

OPENING_ERRORS: Final = (
    BadWitness,
    MovedAway,
    NotInitialised,
    NotMovable,
    OlderThanWitness,
    SchemaOutdated,
    SchemaTooNew,
    StoreInUse,
    Unavailable,
    ValueError,
)


def explain(error: Exception, config: Config) -> Failure:
    """One of `OPENING_ERRORS` as the operator should read it."""
    if isinstance(error, StoreInUse):
        return Failure(
            f"{error}. If that is a server, stop it first. Commands that can go through a running "
            f"server look for it at {config.listen.management} (listen.management)",
            Exit.UNREACHABLE,
        )
    if isinstance(error, WrongEncryptionKey):
        return Failure(
            f"{error} (keys.encryption_key_file or DOJANG_KEYS__ENCRYPTION_KEY). "
            "No new keys were made"
        )
    if isinstance(error, BadEncryptionKey):  # one that is given was looked at before
        return Failure(
            "keys.encryption_key is not set: name the file that `dojang init` wrote with "
            "keys.encryption_key_file in dojang.toml, DOJANG_KEYS__ENCRYPTION_KEY_FILE or "
            "DOJANG_KEYS__ENCRYPTION_KEY. No new keys were made"
        )
    if isinstance(error, WentBack | AnotherDatabase):
        return Failure(str(error), Exit.UNREACHABLE)
    if isinstance(error, Unavailable):
        return Failure(f"{error}: check storage.url", Exit.UNREACHABLE)
    return Failure(str(error))


@asynccontextmanager
async def open_provider(config: Config) -> AsyncIterator[Provider]:
    """The authorization server as an object, without listeners. Raises `Failure`."""
    async with AsyncExitStack() as stack:
        try:
            provider = await stack.enter_async_context(app.open_provider(config))
        except OPENING_ERRORS as error:
            raise explain(error, config) from error
        yield provider


@asynccontextmanager
async def open_bare_store(config: Config) -> AsyncIterator[Store]:
    """The store alone, whether it holds anything or not. Raises `Failure`."""
    try:
        store = await open_store(config.storage.url)
    except OPENING_ERRORS as error:
        raise explain(error, config) from error
    try:
        yield store
    finally:
        await store.close()
