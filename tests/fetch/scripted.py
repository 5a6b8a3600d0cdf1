"""A peer that does what a test says, byte by byte."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

PATIENCE = 10  # seconds until a test gives up on somebody who does nothing

Act = Callable[[socket.socket], None]


@contextmanager
def acting(*acts: Act, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A listener on loopback that does one act with each connection, in order; its port."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for act in acts:
                plug, _ = server.accept()
                plug.settimeout(PATIENCE)
                plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with plug if tls is None else tls.wrap_socket(plug, server_side=True) as spoken:
                    act(spoken)
        except BaseException as failure:  # noqa: BLE001  the test is told
            failures.append(failure)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        thread = Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failures, failures


def take_request(plug: socket.socket) -> bytes:
    """A whole request; empty where the peer has hung up instead."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := plug.recv(65_536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    _, found, length = head.lower().partition(b"content-length: ")
    missing = int(length.partition(b"\r")[0]) - len(body) if found else 0
    while missing > 0 and (more := plug.recv(65_536)):
        data += more
        missing -= len(more)
    return data


def answer(*pieces: bytes) -> Act:
    """Answer one request with these pieces, and hang up."""

    def act(plug: socket.socket) -> None:
        take_request(plug)
        for piece in pieces:
            plug.sendall(piece)

    return act


def wait_for_end(plug: socket.socket) -> None:
    """Until the peer has hung up."""
    with suppress(ConnectionError):
        while plug.recv(65_536):
            pass


def reset(plug: socket.socket) -> None:
    """End the connection as a failure, not as an end."""
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(plug)
