"""The command line: `dojang`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in `sys.argv` and exit with its code."""
    try:
        code = _run(sys.argv[1:])
    except ModuleNotFoundError as missing:
        name = missing.name or ""
        if name.partition(".")[0] == "dojang":
            raise
        extras = "server,postgres" if name == "asyncpg" else "server"
        print(f"dojang: {name} is missing: pip install 'dojang[{extras}]'", file=sys.stderr)
        code = 2
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """`serve` starts before anything of the other commands is imported: a server should be there
    in a moment."""
    if arguments[:1] == ["serve"]:
        from dojang.cli.serving import find_flags, serve

        flags = find_flags(arguments[1:])
        if flags is not None:
            return serve(flags)
    from dojang.cli.application import run

    return run(arguments)
