"""What is true of the transport over asyncio alone; the rules of all are in test_transports."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from threading import Event, Thread

import pytest

from dojang.fetch import AsyncHttpTransport, FetchFailed, FetchProblem, FetchRequest, FetchResponse
from dojang.testing.fault_proxy import FaultProxy, Pass, Stall
from tests.origin import Answer, Origin

Ask = Callable[[AsyncHttpTransport], Awaitable[None]]


def run(ask: Ask) -> None:
    async def use() -> None:
        transport = AsyncHttpTransport()
        try:
            await ask(transport)
        finally:
            await transport.aclose()

    asyncio.run(use())


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        served.answers["/"] = lambda got: Answer(200, got.body)
        yield served


@pytest.fixture
def proxy(origin: Origin) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", origin.port) as between:
        yield between


def test_keeps_a_connection_and_answers_each_question_with_its_own(proxy: FaultProxy) -> None:
    async def ask(transport: AsyncHttpTransport) -> None:
        for number in range(5):
            body = str(number).encode()
            response = await transport.send(FetchRequest("POST", proxy.url + "/", body=body))
            assert response.body == body
        assert proxy.connections == 1

    run(ask)


def test_questions_at_once_have_connections_of_their_own(proxy: FaultProxy) -> None:
    async def ask(transport: AsyncHttpTransport) -> None:
        requests = [FetchRequest("POST", proxy.url + "/", body=bytes([n])) for n in range(4)]
        responses = await asyncio.gather(*map(transport.send, requests))
        assert [each.body for each in responses] == [each.body for each in requests]
        assert proxy.connections == 4

    run(ask)


@pytest.mark.proves("F21")
def test_what_comes_after_the_deadline_answers_nothing_else(proxy: FaultProxy) -> None:
    async def ask(transport: AsyncHttpTransport) -> None:
        url = proxy.url + "/"
        await transport.send(FetchRequest("GET", url))
        proxy.fault = Stall()
        with pytest.raises(FetchFailed) as failure:
            await transport.send(FetchRequest("GET", url, timeout=0.1))
        assert failure.value.problem is FetchProblem.TIMEOUT
        proxy.fault = Pass()
        response = await transport.send(FetchRequest("POST", url, body=b"second"))
        assert response.body == b"second"
        assert proxy.connections == 2

    run(ask)


def test_a_longer_deadline_follows_a_shorter_one(origin: Origin) -> None:
    late = Event()
    origin.answers["/late"] = lambda _: Answer() if late.wait(5) else Answer(500)

    async def ask(transport: AsyncHttpTransport) -> None:
        await transport.send(FetchRequest("GET", origin.url + "/", timeout=0.1))
        question = transport.send(FetchRequest("GET", origin.url + "/late", timeout=5))
        asking = asyncio.create_task(question)
        await asyncio.sleep(0.2)
        late.set()
        assert (await asking).status == 200

    run(ask)


def test_who_stops_waiting_leaves_no_connection_behind(proxy: FaultProxy) -> None:
    async def ask(transport: AsyncHttpTransport) -> None:
        proxy.fault = Stall()
        asking = asyncio.create_task(transport.send(FetchRequest("GET", proxy.url + "/")))
        while not proxy.connections:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0)
        assert not transport._open

    run(ask)


def _hang_up(server: socket.socket, answers: int) -> None:
    """Answers so many requests, one a connection, and drops the next unanswered."""
    for _ in range(answers):
        connection, _ = server.accept()
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.recv(65_536)  # the next question, on the kept connection
        connection.close()


@pytest.mark.parametrize("repeatable", [True, False])
def test_only_what_is_repeatable_is_asked_again(repeatable: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread = Thread(target=_hang_up, args=(server, 2), daemon=True)
        thread.start()

        async def ask(transport: AsyncHttpTransport) -> None:
            request = FetchRequest("POST", url, timeout=5, repeatable=repeatable)
            await transport.send(request)
            if repeatable:
                assert (await transport.send(request)).status == 200
            else:
                with pytest.raises(FetchFailed) as failure:
                    await transport.send(request)
                assert failure.value.problem is FetchProblem.CONNECTION

        run(ask)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_leaves_the_connections_of_its_parent_alone(proxy: FaultProxy) -> None:
    async def ask(transport: AsyncHttpTransport) -> None:
        request = FetchRequest("POST", proxy.url + "/", body=b"parent")
        await transport.send(request)
        child = os.fork()
        if not child:
            os._exit(_ask_in_child(transport, request._replace(body=b"child")))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (await transport.send(request)).body == b"parent"
        assert proxy.connections == 2

    run(ask)


def _ask_in_child(transport: AsyncHttpTransport, request: FetchRequest) -> int:
    answered: list[FetchResponse] = []

    def ask() -> None:  # on a thread: this one has the parent's loop
        answered.append(asyncio.run(transport.send(request)))

    thread = Thread(target=ask)
    thread.start()
    thread.join(10)
    return 0 if answered and answered[0].body == request.body else 1
