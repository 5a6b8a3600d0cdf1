"""What is true of the blocking transport alone; the rules of all are in test_transports."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread, get_ident
from typing import Any

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, FetchResponse, HttpTransport
from tests.fetch.scripted import PATIENCE, acting, answer, reset, take_request, wait_for_end
from tests.services.certificates import make_certificate

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nbegun"


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport()
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem", "127.0.0.1")


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.num_tickets = 0  # nothing but answers is ever to be read
    return context


@pytest.fixture
def trusting(certificate: Path) -> Iterator[HttpTransport]:
    made = HttpTransport(tls=ssl.create_default_context(cafile=str(certificate)))
    yield made
    made.close()


def ask(port: int, *, scheme: str = "http", **changes: Any) -> FetchRequest:
    request = FetchRequest("GET", f"{scheme}://127.0.0.1:{port}/", timeout=PATIENCE)
    return request._replace(**changes)


def refused(transport: HttpTransport, request: FetchRequest) -> FetchProblem:
    with pytest.raises(FetchFailed) as failure:
        transport.send(request)
    return failure.value.problem


class Asking:
    """A question that is asked on a thread of its own."""

    def __init__(self, transport: HttpTransport, request: FetchRequest) -> None:
        self.response: FetchResponse | None = None
        self.problem: FetchProblem | None = None
        self._thread = Thread(target=self._run, args=(transport, request), daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int:
        return self._thread.ident or 0

    def _run(self, transport: HttpTransport, request: FetchRequest) -> None:
        try:
            self.response = transport.send(request)
        except FetchFailed as failure:
            self.problem = failure.problem

    def end(self) -> FetchProblem | None:
        self._thread.join(PATIENCE / 2)
        assert not self._thread.is_alive()
        return self.problem


# --- abort ---------------------------------------------------------------------------------


@pytest.mark.proves("V3")
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", ENDLESS])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_waits_for_an_answer_is_woken(
    trusting: HttpTransport, server_tls: ssl.SSLContext, scheme: str, begun: bytes, kept: bool
) -> None:
    asked = Event()

    def act(plug: socket.socket) -> None:
        if kept:
            take_request(plug)
            plug.sendall(EMPTY)
        take_request(plug)
        plug.sendall(begun)
        asked.set()
        wait_for_end(plug)

    with acting(act, tls=server_tls if scheme == "https" else None) as port:
        request = ask(port, scheme=scheme, repeatable=True)
        if kept:
            trusting.send(request)
        asking = Asking(trusting, request)
        assert asked.wait(PATIENCE)
        trusting.abort(asking.ident)
        assert asking.end() is FetchProblem.CONNECTION
        assert asking.response is None


def test_who_sends_still_is_woken_too(transport: HttpTransport) -> None:
    begun = Event()

    def act(plug: socket.socket) -> None:
        plug.recv(1)
        begun.set()
        assert over.wait(PATIENCE)

    over = Event()
    with acting(act) as port:
        asking = Asking(transport, ask(port, method="POST", body=b"x" * 20_000_000))
        assert begun.wait(PATIENCE)
        transport.abort(asking.ident)
        assert asking.end() is FetchProblem.CONNECTION
        over.set()


def test_before_and_after_it_questions_are_asked(transport: HttpTransport) -> None:
    def act(plug: socket.socket) -> None:
        for _ in range(2):
            take_request(plug)
            plug.sendall(EMPTY)

    transport.abort(get_ident())
    with acting(act) as port:
        for _ in range(2):
            assert transport.send(ask(port)).status == 200
            transport.abort(get_ident())


# --- TLS -----------------------------------------------------------------------------------


@pytest.mark.proves("C113", "V1")
def test_nothing_is_read_that_came_outside_of_tls(
    trusting: HttpTransport, server_tls: ssl.SSLContext
) -> None:
    def act(plug: socket.socket) -> None:
        # Somebody on the way, who can write into the stream and end it but has no key.
        socket.socket.sendall(plug, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlies")
        socket.socket.recv(plug, 1)  # the request is on its way, and too long to be sent at once
        reset(plug)

    with acting(act, tls=server_tls) as port:
        request = ask(port, scheme="https", method="POST", body=b"x" * 20_000_000)
        assert refused(trusting, request) in {FetchProblem.TLS, FetchProblem.CONNECTION}


def test_an_answer_in_many_records_is_read_whole(
    trusting: HttpTransport, server_tls: ssl.SSLContext
) -> None:
    body = os.urandom(60_000)

    def act(plug: socket.socket) -> None:
        for _ in range(3):
            take_request(plug)
            plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + body)
        assert take_request(plug) == b""

    with acting(act, tls=server_tls) as port:
        for _ in range(3):
            assert trusting.send(ask(port, scheme="https")).body == body
        trusting.close()


@pytest.mark.proves("F5")
def test_a_handshake_ends_by_the_deadline(trusting: HttpTransport) -> None:
    with acting(wait_for_end) as port:
        request = ask(port, scheme="https", timeout=0.2)
        assert refused(trusting, request) is FetchProblem.TIMEOUT


# --- connections ---------------------------------------------------------------------------


@pytest.mark.proves("F21")
@pytest.mark.parametrize("ending", [socket.socket.close, reset])
@pytest.mark.parametrize("method, repeatable", [("POST", True), ("GET", False), ("POST", False)])
def test_where_a_kept_connection_breaks_only_what_is_repeatable_is_asked_again(
    transport: HttpTransport,
    method: str,
    repeatable: bool,
    ending: Callable[[socket.socket], None],
) -> None:
    again = repeatable or method == "GET"

    def hang_up(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(EMPTY)
        take_request(plug)  # the next question, on the kept connection
        ending(plug)

    with acting(hang_up, *([answer(EMPTY)] if again else [])) as port:
        request = ask(port, method=method, repeatable=repeatable)
        transport.send(request)
        if again:
            assert transport.send(request).status == 200
        else:
            assert refused(transport, request) is FetchProblem.CONNECTION


@pytest.mark.proves("F21")
def test_an_answer_that_began_is_not_asked_for_again(transport: HttpTransport) -> None:
    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(EMPTY)
        take_request(plug)
        plug.sendall(b"H")
        reset(plug)

    with acting(act) as port:
        transport.send(ask(port))
        assert refused(transport, ask(port)) is FetchProblem.CONNECTION


@pytest.mark.proves("V3")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_leaves_the_questions_of_its_parent_alone(transport: HttpTransport) -> None:
    asked, forked = Event(), Event()

    def held(plug: socket.socket) -> None:
        take_request(plug)
        asked.set()
        assert forked.wait(PATIENCE)
        plug.sendall(EMPTY)

    with acting(held, answer(EMPTY.replace(b"200", b"201"))) as port:
        asking = Asking(transport, ask(port))
        assert asked.wait(PATIENCE)
        child = os.fork()
        if not child:
            transport.abort(asking.ident)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        forked.set()
        assert asking.end() is None
        assert asking.response is not None
        transport.close()
        assert transport.send(ask(port)).status == 201
