"""Identifiers: time-ordered, so that rows added together lie together, and unguessable."""

from __future__ import annotations

from os import urandom


def new_id(now_ms: int) -> str:
    """32 hexadecimal digits: 48 bits of time (milliseconds since 1970), 80 random bits."""
    return f"{now_ms:012x}{urandom(10).hex()}"


def new_kid() -> str:
    """A key id. It identifies nobody and says nothing of its key's age."""
    return urandom(8).hex()
