"""Secrets and tokens come from files, standard input or the environment: arguments are seen by
everyone on the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dojang.cli.errors import Failure

STDIN: Final = "-"
_LARGEST: Final = 65_536  # bytes
_LOOKS_SECRET: Final = ("dojang_at_", "dojang_cs_", "eyJ")


def read_token(source: str) -> str:
    """The token in a file, or on standard input for `-`. Raises `Failure`."""
    return _read(source, "a token")


def read_client_secret(source: str | None, environ: Mapping[str, str]) -> str:
    """A client's secret: from `--client-secret-file`, DOJANG_CLIENT_SECRET or
    DOJANG_CLIENT_SECRET_FILE, or asked for on a terminal. Raises `Failure`."""
    if source is not None:
        return _read(source, "a client secret")
    if secret := environ.get("DOJANG_CLIENT_SECRET"):
        return secret.strip()
    if file := environ.get("DOJANG_CLIENT_SECRET_FILE"):
        return _read(file, "a client secret")
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Client secret: ").strip()
    raise Failure(
        "no client secret: give --client-secret-file FILE (- for standard input), "
        "DOJANG_CLIENT_SECRET or DOJANG_CLIENT_SECRET_FILE"
    )


def read_new_password(source: str | None) -> str:
    """A password to be set: from a file or standard input, or asked for twice on a terminal.
    Raises `Failure`."""
    if source is not None:
        return _read(source, "a password")
    if not sys.stdin.isatty():
        raise Failure("no password: give --password-file FILE (- for standard input)")
    from getpass import getpass

    password = getpass("New password: ")
    if getpass("Once more: ") != password:
        raise Failure("the two passwords differ; nothing was changed")
    return password


def check_secret_file(path: Path | None) -> None:
    """Before anything is changed: a secret that cannot be kept would be lost. Raises `Failure`."""
    if path is not None and path.exists():
        raise Failure(f"{path} exists already; name another file")
    if path is not None and not path.absolute().parent.is_dir():
        raise Failure(f"{path} cannot be written: there is no such directory")


def read_secret_file(file: Path, what: str) -> str:
    """What a file holds. Raises `Failure`."""
    return _read(str(file), what)


def write_secret(path: Path, secret: str) -> None:
    """A new file that only its owner can read. Raises `Failure` where it exists."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(f"{secret}\n")
    except FileExistsError:
        raise Failure(f"{path} exists already; name another file") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None


def _read(source: str, what: str) -> str:
    if source.startswith(_LOOKS_SECRET):
        raise Failure(
            f"{what} stood in the arguments, where everyone on this machine can read it; give a "
            "file, or - and pipe it in"
        )
    try:
        if source == STDIN:
            text = sys.stdin.read(_LARGEST)
        else:
            with Path(source).open(encoding="utf-8") as stream:
                text = stream.read(_LARGEST)
    except OSError as error:
        raise Failure(f"{source} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failure(f"{source} does not hold {what}: it is not text") from None
    if not text.strip():
        raise Failure(f"{'standard input' if source == STDIN else source} holds nothing")
    return text.strip()
