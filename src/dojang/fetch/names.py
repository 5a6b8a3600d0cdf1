"""Names to addresses, on a few threads of their own: a look-up cannot be cut short."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from dojang.fetch.workers import Full, Workers

Address = tuple[Any, ...]  # as `socket.getaddrinfo` has it

FindAddresses = Callable[[str, int], Future[list[Address]]]

_NAMES: Final = Workers(4, name="dojang-names")


def find_addresses(host: str, port: int, *, workers: Workers = _NAMES) -> Future[list[Address]]:
    """The addresses of a host, at once for a literal one; the future raises `OSError`.

    Raises `TimeoutError` where every thread of `workers` is taken by look-ups that get no answer.
    """

    def look_up() -> list[Address]:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            return workers.run(look_up)
        except Full:
            raise TimeoutError from None
    return _be_known(look_up())


def lead_to_socket(path: str) -> FindAddresses:
    """As `find_addresses`, where every host is behind the unix socket at `path`."""
    address: Address = (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", path)
    known = _be_known([address])
    return lambda *_: known


def _be_known(addresses: list[Address]) -> Future[list[Address]]:
    known: Future[list[Address]] = Future()
    known.set_result(addresses)
    return known
