"""`dojang serve`. Imported before everything else of the command line, and alone: each import
here is paid for at every start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dojang import app
from dojang.cli.config_loading import find_config_file, load_config
from dojang.cli.errors import Exit, Failure
from dojang.cli.opening import OPENING_ERRORS, explain
from dojang.cli.output import show_failure
from dojang.server.config import Config
from dojang.web.logs import configure_logging
from dojang.web.serving import AddressInUse, run

_FLAGS: Final[Mapping[str, str]] = {
    "--config": "config",
    "--public": "listen.public",
    "--management": "listen.management",
}
_NEEDED: Final = frozenset({"storage.url", "redis.url", "keys.encryption_key"})


def find_flags(arguments: Sequence[str]) -> dict[str, str] | None:
    """The settings that flags give, by name; None where there is anything else to explain."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        flag, sign, value = rest.pop(0).partition("=")
        if not sign and rest:
            value = rest.pop(0)
        name = _FLAGS.get(flag)
        if name is None or name in found or not value or value.startswith("--"):
            return None
        found[name] = value
    return found


def serve(flags: Mapping[str, str]) -> int:
    """Serve until a signal; the exit code. `flags` as from `find_flags`."""
    settings = dict(flags)
    named = settings.pop("config", None)
    try:
        path = find_config_file(Path(named) if named else None, os.environ)
        config = load_config(path, environ=os.environ, flags=settings, secrets=_NEEDED).config
        as_json = None if config.log.format == "auto" else config.log.format == "json"
        configure_logging(level=config.log.level.upper(), as_json=as_json)
        run(_serve(config))
    except Failure as failure:
        show_failure(failure, as_json=False)
        return failure.code
    return Exit.OK


async def _serve(config: Config) -> None:
    try:
        await app.serve(config)
    except AddressInUse as error:
        raise Failure(_describe_listeners(config, str(error))) from error
    except OSError as error:
        raise Failure(_describe_listeners(config, error.strerror or str(error))) from error
    except OPENING_ERRORS as error:
        raise explain(error, config) from error


def _describe_listeners(config: Config, problem: str) -> str:
    return (
        f"cannot listen: {problem}. The listeners are listen.public = {config.listen.public} and "
        f"listen.management = {config.listen.management}; stop what is there, or give others"
    )
