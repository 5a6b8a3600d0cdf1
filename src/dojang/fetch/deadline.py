"""A socket whose every operation ends by one point in time, and that takes in so many bytes and no
more: a trickle extends nothing, and no way of framing an answer makes it longer."""

from __future__ import annotations

import io
import select
import socket
import time
from typing import Any

from dojang.fetch.names import Address


class Deadline:
    """A point on the monotonic clock, `seconds` from now."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than none. Raises `TimeoutError`."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class TooMuch(Exception):
    """More came than was allowed."""


class DeadlineSocket:
    """What `http.client` needs of a socket. `deadline` and `allowance`, the bytes that may come,
    are set anew for each request."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self.deadline = deadline
        self.allowance = 0

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self.deadline.remaining())
        self._socket.sendall(data)

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def receive_into(self, buffer: Any) -> int:
        """How many bytes came. Raises `TooMuch`."""
        self._socket.settimeout(self.deadline.remaining())
        count = self._socket.recv_into(buffer)
        self.allowance -= count
        if self.allowance < 0:
            raise TooMuch
        return count

    def is_quiet(self) -> bool:
        """Whether there is nothing to read."""
        return is_quiet(self._socket)

    def close(self) -> None:
        """Nothing: `http.client` says this as soon as the head of an answer says that it will be
        the last, with its content still to be read."""

    def hang_up(self) -> None:
        """Close the socket."""
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: DeadlineSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive_into(buffer)


def is_quiet(plug: socket.socket) -> bool:
    """Whether there is nothing to read from a socket, the end of it included."""
    if not hasattr(select, "poll"):
        return not select.select([plug], (), (), 0)[0]
    poll = select.poll()
    poll.register(plug, select.POLLIN)
    return not poll.poll(0)


def connect(addresses: list[Address], deadline: Deadline) -> socket.socket:
    """A connection to the first address that answers. Raises `OSError`."""
    failure: OSError = ConnectionError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        plug = socket.socket(family, kind, protocol)
        try:
            # An address that does not answer leaves time for the others.
            plug.settimeout(deadline.remaining() / (len(addresses) - index))
            plug.connect(address)
            if family != socket.AF_UNIX:
                plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as raised:
            plug.close()
            failure = raised
        else:
            return plug
    raise failure
