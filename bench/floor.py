"""What the machine itself takes to wake so many: the floor that the push figures stand on.

A publisher on the server's core sends 256 bytes to every follower over a connection of its own;
each notes when it has them and answers with 256 bytes, as a follower asks again. Nothing is
parsed, checked or signed. Followers are as many processes, with as many connections, as in the
figure that this is the floor of.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import selectors
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, cast

from bench.machine import BenchBroken, server_core
from bench.rounds import Interval, percentile

MESSAGE = bytes(256)
LIMIT = 60.0  # seconds


def measure_floor(*, processes: int, each: int, messages: int, gap: float) -> Interval:
    """The 99th percentile of the milliseconds from the first byte sent to each follower's note.
    `gap` is the mean pause between two messages (seconds)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.floor"])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        port = listener.getsockname()[1]
        followers = [_start(context, _follow, port, each) for _ in range(processes)]
        connections = [listener.accept()[0] for _ in range(processes * each)]
    try:
        affinity = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {server_core()})
        sent = _publish(connections, messages=messages, gap=gap)
        os.sched_setaffinity(0, affinity)
    finally:
        for connection in connections:
            connection.close()
    noted = [_receive(pipe) for _, pipe in followers]
    for process, _ in followers:
        process.join(10)
    delays = [
        [(times[place] - moment) / 1e6 for one in noted for times in one]
        for place, moment in enumerate(sent)
    ]
    return percentile(delays, 0.99)


def _start(context: Any, target: Any, *arguments: Any) -> tuple[Any, Connection]:
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _receive(pipe: Connection) -> Any:
    if not pipe.poll(LIMIT):
        raise BenchBroken("a process of the floor says nothing")
    return pipe.recv()


def _publish(connections: Sequence[socket.socket], *, messages: int, gap: float) -> list[int]:
    draw = random.Random(messages)
    sent = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
        for _ in range(messages):
            time.sleep(gap * draw.uniform(0.5, 1.5))
            sent.append(time.monotonic_ns())
            for connection in connections:
                connection.sendall(MESSAGE)
            waiting = len(connections)
            while waiting:
                ready = selector.select(LIMIT)
                if not ready:
                    raise BenchBroken("a follower of the floor does not answer")
                for key, _ in ready:
                    connection = cast("socket.socket", key.fileobj)
                    waiting -= len(connection.recv(len(MESSAGE))) == len(MESSAGE)
    return sent


def _follow(pipe: Connection, port: int, each: int) -> None:
    """Answer every message until the publisher goes, and report when each came."""
    noted: dict[int, list[int]] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(each):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            noted[connection.fileno()] = []
        alive = each
        while alive:
            for key, _ in selector.select():
                connection = cast("socket.socket", key.fileobj)
                if connection.recv(len(MESSAGE)):
                    noted[key.fd].append(time.monotonic_ns())
                    connection.sendall(MESSAGE)
                else:
                    selector.unregister(connection)
                    alive -= 1
    pipe.send(list(noted.values()))
