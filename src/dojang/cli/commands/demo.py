"""`dojang demo`: the main job, live."""

from __future__ import annotations

import typer

from dojang.cli.errors import Failure
from dojang.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo", epilog="Example: dojang demo --json > figures.json")(demo)


def demo(as_json: JsonOption = False) -> int:
    """Watch the main job: a server, two services, a person, and tokens taken back under load.

    Takes under a minute and leaves nothing behind.
    """
    try:
        import fastapi
        import uvicorn
    except ImportError as missing:
        raise Failure(f"the demo needs {missing.name}: pip install 'dojang[demo]'") from None
    del fastapi, uvicorn
    from dojang.cli.demo.story import tell

    return tell(as_json=as_json)
