"""`dojang demo`: the main job, live."""

from __future__ import annotations

import typer

from dojang.cli.errors import Failure
from dojang.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo", epilog="Example: dojang demo --json > figures.json")(demo)


def demo(as_json: JsonOption = False) -> int:
    """Watch the main job: a server, two services, and tokens taken back under load.

    Takes under a minute and leaves nothing behind.
    """
    try:
        import fastapi
    except ImportError:
        raise Failure("the demo needs FastAPI: pip install 'dojang[server,fastapi]'") from None
    del fastapi
    from dojang.cli.demo.story import tell

    return tell(as_json=as_json)
