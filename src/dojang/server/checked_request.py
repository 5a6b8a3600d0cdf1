"""A token request that passed every check."""

from __future__ import annotations

from typing import NamedTuple

from dojang.server.checks.target import Target
from dojang.server.model import Client


class CheckedRequest(NamedTuple):
    """What is to be issued: to whom, for where, for what."""

    client: Client
    target: Target
    scope: str
