"""One point in time by which all that a request takes has ended: a trickle extends nothing."""

from __future__ import annotations

import select
import socket
import time

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
