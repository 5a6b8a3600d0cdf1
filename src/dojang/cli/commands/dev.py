"""`dojang dev`: a provider to try things out."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from dojang.cli.errors import Failure
from dojang.cli.options import JsonOption
from dojang.cli.output import show_json


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("dev", epilog="Example: dojang dev --port 9000")(dev)


def dev(
    port: Annotated[
        int, typer.Option(metavar="PORT", help="Of the provider; the application has the next.")
    ] = 8470,  # neither of those of `dojang serve`, which may run beside it
    as_json: JsonOption = False,
) -> None:
    """Run a provider in memory, with a person and an application, until Ctrl-C.

    Nothing is kept, and everybody on this machine can read the password: for trying things out.
    """
    from dojang.web.serving import AddressInUse, run

    if not 0 < port < 65535:
        raise Failure("--port: give one from 1 to 65534")
    logging.getLogger("dojang").addHandler(logging.StreamHandler(sys.stderr))
    logging.getLogger("dojang").setLevel(logging.WARNING)
    try:
        run(_serve(port, as_json=as_json))
    except AddressInUse as error:
        raise Failure(f"{error}; give another --port") from error
    except OSError as error:
        raise Failure(
            f"cannot listen on ports {port} and {port + 1}: {error.strerror}; give another --port"
        ) from error


async def _serve(port: int, *, as_json: bool) -> None:
    from dojang.cli.dev.client_app import ClientApp
    from dojang.cli.dev.house import API, CLIENT_ID, PASSWORD, USERNAME, open_house
    from dojang.fetch import AsyncHttpTransport
    from dojang.server.config import TcpAddress
    from dojang.web.public import build_public_routes
    from dojang.web.service import Service
    from dojang.web.serving import Listener, serve

    # By two names: browsers keep cookies by name, whatever the port.
    issuer, app = f"http://127.0.0.1:{port}", f"http://localhost:{port + 1}"
    house = await open_house(issuer, app)
    transport = AsyncHttpTransport()
    listeners = [
        Listener(TcpAddress("127.0.0.1", port), build_public_routes(house.provider)),
        Listener(
            TcpAddress("127.0.0.1", port + 1),
            ClientApp(issuer, app, transport).build_routes(),
        ),
    ]
    about = {
        "app": f"{app}/",
        "issuer": issuer,
        "username": USERNAME,
        "password": PASSWORD,
        "client_id": CLIENT_ID,
        "resource": API,
        "account": f"{issuer}/account",
    }

    def tell(_: list[str]) -> None:
        if as_json:
            show_json(about)
        else:
            print("Everything is in memory, and gone when this ends (Ctrl-C).\n")
            for name, value in about.items():
                print(f"  {name:<10} {value}")
            print(f"\nOpen {app}/ and sign in.")
        sys.stdout.flush()

    try:
        await serve(listeners, Service(), started=tell, stopping=house.provider.feed.close)
    finally:
        await transport.aclose()
