"""Names to addresses, on a few threads of their own: a look-up cannot be cut short."""

from __future__ import annotations

import ipaddress
import socket
from concurrent.futures import Future
from typing import Any, Final

from dojang.fetch.workers import Full, Workers

Address = tuple[Any, ...]  # as `socket.getaddrinfo` has it

_NAMES: Final = Workers(4, name="dojang-names")


def find_addresses(host: str, port: int) -> Future[list[Address]]:
    """The addresses of a host, at once for a literal one; the future raises `OSError`.

    Raises `TimeoutError` where every thread is taken by look-ups that get no answer.
    """

    def look_up() -> list[Address]:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            return _NAMES.run(look_up)
        except Full:
            raise TimeoutError from None
    known: Future[list[Address]] = Future()
    known.set_result(look_up())
    return known
