"""`dojang follow`: one view of revocations for all processes of a host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dojang.cli.errors import Exit, Failure
from dojang.cli.options import JsonOption
from dojang.cli.output import show_json
from dojang.cli.secret_input import read_client_secret

if TYPE_CHECKING:
    from dojang.follow import RelaySettings


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(
        "follow",
        epilog="Example: dojang follow --issuer https://auth.example --client-id orders "
        "--client-secret-file /etc/orders/secret --socket /run/dojang/follow.sock",
    )(follow)


def follow(
    issuer: Annotated[str, typer.Option(metavar="URL", help="Whose revocations to follow.")],
    client_id: Annotated[
        str, typer.Option(metavar="CLIENT_ID", help="The client that the services here are.")
    ],
    socket: Annotated[
        Path, typer.Option(metavar="PATH", help="The socket for the processes of this host.")
    ],
    client_secret_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The file that holds its secret; - for standard input.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the files are that all processes map (default: the socket's name with .d "
            "after it).",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the issuer's operators see (default: host and process id).",
            show_default=False,
        ),
    ] = None,
    staleness: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="The smallest bound that services here are configured with."
        ),
    ] = 2.0,
    as_json: JsonOption = False,
) -> int:
    """Follow an issuer's revocations once for all processes of this host, until it is told to stop.

    Services name the socket instead of the issuer's feed. Who may open it may ask: it belongs to
    the user and group that this runs as.
    """
    from dojang.follow import DirectoryInUse, RelaySettings
    from dojang.follow import follow as run_relay
    from dojang.trust.credentials import ClientSecretBasic
    from dojang.web.logs import configure_logging
    from dojang.web.serving import AddressInUse, run

    if not staleness > 0:
        raise Failure("--staleness: a number of seconds greater than 0")
    settings = RelaySettings(
        issuer=issuer,
        credentials=ClientSecretBasic(
            client_id, read_client_secret(client_secret_file, os.environ)
        ),
        socket=socket,
        directory=directory or socket.with_name(f"{socket.name}.d"),
        name=name,
        staleness=staleness,
    )
    configure_logging()
    try:
        run(run_relay(settings, started=lambda: _show_start(settings, as_json=as_json)))
    except (AddressInUse, DirectoryInUse) as error:
        raise Failure(
            f"{error}. One relay serves a socket: stop the other, or give another --socket"
        ) from None
    except ValueError as error:
        raise Failure(f"--issuer or --name: {error}") from None
    except OSError as error:
        raise Failure(f"{error.filename or socket}: {error.strerror or error}") from error
    return Exit.OK


def _show_start(settings: RelaySettings, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "issuer": settings.issuer,
                "socket": str(settings.socket),
                "directory": str(settings.directory),
            }
        )
    else:
        print(f"Following {settings.issuer} for this host at unix:{settings.socket}")
    sys.stdout.flush()
