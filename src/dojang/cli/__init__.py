"""The command line: `dojang`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in `sys.argv` and exit with its code.

    `serve` starts before anything of the other commands is imported: a server should be there in
    a moment.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from dojang.cli.serving import find_flags, serve

        flags = find_flags(arguments[1:])
        if flags is not None:
            sys.exit(serve(flags))
    from dojang.cli.application import run

    sys.exit(run(arguments))
