"""Making a database safe to use that has gone back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dojang.cli.administering import name_local_actor
from dojang.cli.errors import Failure
from dojang.clock import SYSTEM_CLOCK
from dojang.jose.seal import SealKey
from dojang.server.config import Config, parse_encryption_key
from dojang.server.epochs import plan_restore
from dojang.server.model import KeyRecord, Position
from dojang.server.ports import Change, EpochPlan
from dojang.server.provider import ENCRYPTION_KEY_ID, NotInitialised
from dojang.storage import sqlite_backup
from dojang.storage.address import SqliteAddress, parse_address
from dojang.storage.migrate import upgrade
from dojang.storage.opening import open_store
from dojang.storage.sqlite_file import FileLock
from dojang.storage.witness import HeadWitness


class Restored(NamedTuple):
    """Where the database is now; `kept` is the one that was there before."""

    position: Position
    kept: Path | None


async def restore_file(config: Config, backup: Path) -> Restored:
    """Put `backup` in the place of the database, in a new epoch. Raises `Failure`, and what
    opening a store raises."""
    address = parse_address(config.storage.url)
    if not isinstance(address, SqliteAddress):
        raise Failure(
            "only an SQLite database is put back by this command. Load the dump with psql or "
            "pg_restore, or recover the base backup, with the servers stopped; then make it safe "
            "with dojang restore --in-place"
        )
    database = address.database
    lock = FileLock.take(database)
    try:
        staged = sqlite_backup.stage(backup, database)
        try:
            url = f"sqlite://{staged}"
            await upgrade(url)
            present = sqlite_backup.find_position(database)
            position = await _begin_epoch(
                config, url, source=backup.name, beyond=present.epoch if present else 0
            )
            kept = sqlite_backup.put_in_place(staged, database)
        finally:
            sqlite_backup.remove(staged)
    finally:
        lock.release()
    _tell_witness(config, position)
    return Restored(position, kept)


async def restore_in_place(config: Config) -> Restored:
    """Begin a new epoch in the database as it is. Raises what opening a store raises."""
    position = await _begin_epoch(config, config.storage.url, source="in place", beyond=0)
    _tell_witness(config, position)
    return Restored(position, None)


async def _begin_epoch(config: Config, url: str, *, source: str, beyond: int) -> Position:
    witness = _find_witness(config)
    seen = await asyncio.to_thread(witness.load) if witness else None
    beyond = max(beyond, seen.epoch if seen else 0)
    plan = _Plan(config, source)
    store = await open_store(url, plan=plan)
    try:
        if not await store.load_keys():
            raise NotInitialised
        position = await store.position()
        # On PostgreSQL a dump that was loaded elsewhere has begun an epoch already.
        if not plan.was_asked or position.epoch <= beyond:
            position = await store.begin_epoch(plan, beyond=beyond)
        return position
    finally:
        await store.close()


class _Plan:
    """An `EpochPlan` that remembers whether it was used."""

    def __init__(self, config: Config, source: str) -> None:
        key = parse_encryption_key(config.keys.encryption_key)
        self.was_asked = False
        self._plan: EpochPlan = partial(
            plan_restore,
            issuer=config.issuer,
            encryption_key=SealKey.from_bytes(ENCRYPTION_KEY_ID, key),
            clock=SYSTEM_CLOCK,
            actor=name_local_actor(),
            source=source,
        )

    def __call__(self, keys: Sequence[KeyRecord], *, lost: bool) -> Sequence[Change]:
        self.was_asked = True
        return self._plan(keys, lost=lost)


def _find_witness(config: Config) -> HeadWitness | None:
    return HeadWitness(Path(config.keys.witness)) if config.keys.witness else None


def _tell_witness(config: Config, position: Position) -> None:
    if witness := _find_witness(config):
        try:
            witness.save(position)
        except OSError as error:
            raise Failure(f"{witness.path} cannot be written: {error.strerror}") from error
