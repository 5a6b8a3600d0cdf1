"""A TCP proxy that misbehaves on command: put it between a service and what the service calls."""

from __future__ import annotations

import asyncio
import socket
import struct
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Self


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Connections are reset, new ones and those that speak."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Connections are accepted, requests swallowed, nothing is answered."""


@dataclass(frozen=True, slots=True)
class Lose:
    """Requests arrive and are done; instead of the answer the connection is reset."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Requests arrive and are done; their answers get lost, and connections stay open."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing gets through either way, and neither side is told when the other hangs up."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Every request is answered with what was answered last while nothing was wrong."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Every answer comes `seconds` later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Trickle:
    """Answers come one byte in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Truncate:
    """Answers end after `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the other side never gave: the body, said to be `media_type`."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"


Fault = Pass | Reset | Stall | Lose | Mute | Cut | Replay | Delay | Trickle | Truncate | Answer

_PASS = Pass()
_LOOK_EVERY = 0.01  # seconds, at a connection that is cut
_LINGER = struct.pack("ii", 1, 0)  # closing sends a reset


class FaultProxy:
    """Forwards `host`:`port` under another port of loopback, in a thread of its own.

        with FaultProxy("127.0.0.1", 8460) as proxy:
            proxy.fault = Stall()

    `fault` takes effect with the next bytes, also on open connections. `connections` counts those
    that were accepted.
    """

    def __init__(self, host: str, port: int) -> None:
        self.fault: Fault = _PASS
        self.connections = 0
        self.port = 0
        self._upstream = (host, port)
        self._last = b""  # what was answered
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        self._loop = started.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set_result(asyncio.get_running_loop())
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self.fault, Reset):
            _reset(writer)
            return
        upstream: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        try:
            answers, upstream = await asyncio.open_connection(*self._upstream)
            back = asyncio.create_task(self._relay_answers(answers, writer))
            await self._relay_requests(reader, writer, upstream)
            await back
        except OSError:
            _reset(writer)
        finally:
            if back is not None:
                back.cancel()
            for each in (writer, upstream):
                if each is not None:
                    each.close()

    async def _relay_requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65_536):
            match self.fault:
                case Reset():
                    _reset(writer)
                    return
                case Stall() | Cut():
                    continue
                case Replay():
                    writer.write(self._last)
                    await writer.drain()
                case Answer() as answer:
                    writer.write(_build_answer(answer))
                    await writer.drain()
                    writer.close()
                    return
                case _:
                    self._last = b""
                    upstream.write(data)
                    await upstream.drain()
        await self._wait_until_mended()
        upstream.write_eof()

    async def _relay_answers(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await answers.read(65_536):
                match self.fault:
                    case Delay(seconds):
                        await asyncio.sleep(seconds)
                        writer.write(data)
                    case Trickle(seconds):
                        for octet in data:
                            writer.write(bytes((octet,)))
                            await writer.drain()
                            await asyncio.sleep(seconds)
                    case Truncate(size):
                        writer.write(data[:size])
                        break
                    case Lose():
                        _reset(writer)
                        return
                    case Mute() | Cut():
                        continue
                    case _:
                        self._last += data
                        writer.write(data)
                await writer.drain()
            await self._wait_until_mended()
            writer.close()

    async def _wait_until_mended(self) -> None:
        while isinstance(self.fault, Cut):  # noqa: ASYNC110  another thread mends it
            await asyncio.sleep(_LOOK_EVERY)


def _build_answer(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} Fault\r\nContent-Type: {answer.media_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + answer.body


def _reset(writer: asyncio.StreamWriter) -> None:
    plug: socket.socket | None = writer.get_extra_info("socket")
    if plug is not None:
        with suppress(OSError):  # it is closed already
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    writer.transport.abort()
