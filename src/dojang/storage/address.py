"""The address of a store: `memory:`, `sqlite:///absolute/path` or `postgresql://…`; and
`sqlite:PATH`, for those who say where a relative path begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from dojang.storage.errors import BadStoreUrl


@dataclass(frozen=True, slots=True)
class MemoryAddress:
    """Nowhere: the store dies with the process."""


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file of this machine."""

    database: Path


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database; `dsn` may hold a password."""

    dsn: str = field(repr=False)


Address: TypeAlias = MemoryAddress | SqliteAddress | PostgresAddress


def parse_address(url: str) -> Address:
    """Where `url` points. Raises `BadStoreUrl`, which never repeats it."""
    if url == "memory:":
        return MemoryAddress()
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadStoreUrl("the store's address is no URL") from None
    if parts.scheme == "sqlite":
        return _parse_sqlite(parts.netloc, parts.path, parts.query or parts.fragment)
    if parts.scheme in ("postgresql", "postgres"):
        if parts.path.strip("/") == "" and "dbname=" not in parts.query:
            raise BadStoreUrl("the store's address names no PostgreSQL database")
        return PostgresAddress(url)
    raise BadStoreUrl(
        "the store's address begins neither with sqlite: nor with postgresql:// (nor is it memory:)"
    )


def anchor_url(url: str, directory: Path) -> str:
    """`sqlite:PATH` in full, a relative path beginning in `directory`; anything else as it is."""
    scheme, _, place = url.partition(":")
    if scheme != "sqlite" or not place or place.startswith("//"):
        return url
    return (directory / place).resolve().as_uri().replace("file://", "sqlite://", 1)


def _parse_sqlite(host: str, path: str, rest: str) -> SqliteAddress:
    if host or rest or not path.startswith("/") or path.endswith("/"):
        raise BadStoreUrl("an SQLite address has the form sqlite:///absolute/path")
    return SqliteAddress(Path(unquote(path)))
