"""Every transport holds the same rules, over real sockets."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest

from dojang.fetch import (
    AsyncHttpTransport,
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    HttpTransport,
    ThreadedTransport,
)
from dojang.fetch.httpx_transport import Httpx2Transport, HttpxTransport
from dojang.fetch.tls import find_context
from dojang.testing.fault_proxy import Answer as FalseAnswer
from dojang.testing.fault_proxy import FaultProxy, Reset, Stall, Trickle, Truncate
from tests.fetch.scripted import PATIENCE, acting, answer, reset, take_request, wait_for_end
from tests.origin import Answer, Origin

Send = Callable[[FetchRequest], FetchResponse]


def send_blocking(request: FetchRequest) -> FetchResponse:
    transport = HttpTransport()
    try:
        return transport.send(request)
    finally:
        transport.close()


def send_threaded(request: FetchRequest) -> FetchResponse:
    return asyncio.run(ThreadedTransport(HttpTransport()).send(request))


async def _send_httpx(
    transport: HttpxTransport | Httpx2Transport, request: FetchRequest
) -> FetchResponse:
    try:
        return await transport.send(request)
    finally:
        await transport.aclose()


def send_httpx(request: FetchRequest) -> FetchResponse:
    return asyncio.run(_send_httpx(HttpxTransport(), request))


def send_httpx2(request: FetchRequest) -> FetchResponse:
    return asyncio.run(_send_httpx(Httpx2Transport(), request))


async def _send_asyncio(request: FetchRequest) -> FetchResponse:
    transport = AsyncHttpTransport()
    try:
        return await transport.send(request)
    finally:
        await transport.aclose()


def send_asyncio(request: FetchRequest) -> FetchResponse:
    return asyncio.run(_send_asyncio(request))


@pytest.fixture(params=[send_blocking, send_threaded, send_httpx, send_httpx2, send_asyncio])
def send(request: pytest.FixtureRequest) -> Send:
    chosen: Send = request.param
    return chosen


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.fixture
def proxy(origin: Origin) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", origin.port) as between:
        yield between


def refused(send: Send, request: FetchRequest) -> FetchProblem:
    with pytest.raises(FetchFailed) as failure:
        send(request)
    return failure.value.problem


def test_carries_a_request_and_its_answer_whole(send: Send, origin: Origin) -> None:
    origin.answers["/form"] = lambda got: Answer(201, got.body[::-1], (("X-Kind", "tea"),))
    request = FetchRequest("POST", origin.url + "/form?a=b", (("X-Asked", "yes"),), b"abc")
    response = send(request)
    assert (response.status, response.body, response.headers["x-kind"]) == (201, b"cba", "tea")
    (received,) = origin.requests
    assert (received.method, received.path, received.body) == ("POST", "/form?a=b", b"abc")
    assert received.headers["x-asked"] == "yes"
    assert received.headers["host"] == f"127.0.0.1:{origin.port}"


@pytest.mark.proves("C99", "C125")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_no_redirect(send: Send, origin: Origin, status: int) -> None:
    location = (("location", f"{origin.url}/elsewhere"),)
    origin.answers["/"] = lambda _: Answer(status, b"", location)
    origin.answers["/elsewhere"] = lambda _: Answer()
    request = FetchRequest("GET", origin.url + "/", (("Authorization", "Bearer x"),))
    assert refused(send, request) is FetchProblem.REDIRECT
    assert origin.count("/elsewhere") == 0


@pytest.mark.proves("C99", "F1")
@pytest.mark.parametrize("announced", [True, False])
def test_reads_no_more_than_its_limit(send: Send, origin: Origin, announced: bool) -> None:
    headers = () if announced else (("transfer-encoding", "chunked"),)
    body = b"x" * 10_000_000 if announced else b"989680\r\n" + b"x" * 10_000_000 + b"\r\n0\r\n\r\n"
    origin.answers["/"] = lambda _: Answer(200, body, headers)
    request = FetchRequest("GET", origin.url + "/", max_bytes=1000)
    assert refused(send, request) is FetchProblem.TOO_LARGE


@pytest.mark.proves("C99", "F1")
def test_one_byte_over_its_limit_is_too_many(send: Send, origin: Origin) -> None:
    chunked = b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
    origin.answers["/"] = lambda _: Answer(200, chunked, (("transfer-encoding", "chunked"),))
    request = FetchRequest("GET", origin.url + "/", max_bytes=1000)
    assert refused(send, request) is FetchProblem.TOO_LARGE


@pytest.mark.proves("C99", "F1")
@pytest.mark.parametrize("size", [b"-1", b"-5", b"-3e8", b"0x5", b"z"])
def test_a_chunk_of_less_than_nothing_is_no_way_around_the_limit(
    send: Send, origin: Origin, size: bytes
) -> None:
    body = size + b"\r\n" + b"x" * 10_000_000
    origin.answers["/"] = lambda _: Answer(200, body, (("transfer-encoding", "chunked"),))
    request = FetchRequest("GET", origin.url + "/", max_bytes=1000)
    assert refused(send, request) in {FetchProblem.TOO_LARGE, FetchProblem.MALFORMED}


def test_takes_exactly_its_limit(send: Send, origin: Origin) -> None:
    origin.answers["/"] = lambda _: Answer(200, b"x" * 1000)
    assert len(send(FetchRequest("GET", origin.url + "/", max_bytes=1000)).body) == 1000


def test_inflates_nothing(send: Send, origin: Origin) -> None:
    origin.answers["/"] = lambda _: Answer(200, b"\x1f\x8b", (("content-encoding", "gzip"),))
    assert refused(send, FetchRequest("GET", origin.url + "/")) is FetchProblem.ENCODED


@pytest.mark.proves("F5")
@pytest.mark.parametrize("fault", [Stall(), Trickle(0.05)])
def test_ends_by_its_deadline_whatever_trickles_in(
    send: Send, proxy: FaultProxy, fault: Stall | Trickle
) -> None:
    proxy.fault = fault
    before = time.monotonic()
    request = FetchRequest("GET", proxy.url + "/", timeout=0.3)
    assert refused(send, request) is FetchProblem.TIMEOUT
    # The answer alone would trickle for seconds.
    assert time.monotonic() - before < 3


@pytest.mark.parametrize(
    "fault, problem",
    [
        (Reset(), {FetchProblem.CONNECTION}),
        (Truncate(400), {FetchProblem.MALFORMED}),
    ],
)
def test_broken_connections_are_failures(
    send: Send,
    origin: Origin,
    proxy: FaultProxy,
    fault: Reset | Truncate,
    problem: set[FetchProblem],
) -> None:
    origin.answers["/"] = lambda _: Answer(200, b"x" * 500)
    proxy.fault = fault
    assert refused(send, FetchRequest("GET", proxy.url + "/", timeout=2)) in problem


def test_other_statuses_are_answers(send: Send, proxy: FaultProxy) -> None:
    proxy.fault = FalseAnswer(b"<html>", status=500, media_type="text/html")
    response = send(FetchRequest("GET", proxy.url + "/"))
    assert (response.status, response.body) == (500, b"<html>")


@pytest.mark.proves("C99", "C125", "V1")
@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://127.0.0.1.example/keys",
        "http://localhost@issuer.example/keys",
        "ftp://issuer.example/keys",
        "https://user:secret@issuer.example/keys",
        "file:///etc/passwd",
        "//issuer.example/keys",
        "https://issuer.example/keys\r\nX: y",
    ],
)
def test_asks_only_addresses_that_are_safe(send: Send, url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refusal:
        send(FetchRequest("GET", url))
    assert "secret" not in str(refusal.value)


def test_headers_cannot_break_the_request(send: Send, origin: Origin) -> None:
    with pytest.raises(ValueError, match="header"):
        send(FetchRequest("GET", origin.url, (("Accept", "a\r\nX-Evil: b"),)))
    assert not origin.requests


@pytest.mark.proves("C117", "C124")
def test_errors_name_the_host_and_nothing_else(send: Send) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/path?token=canary"
    request = FetchRequest("GET", url, (("Authorization", "Bearer canary"),), b"canary")
    with pytest.raises(FetchFailed) as failure:
        send(request)
    told = f"{failure.value} {failure.value!r} {request!r} {failure.value.__context__!r}"
    assert "canary" not in told
    assert failure.value.host == f"127.0.0.1:{port}"


def test_a_certificate_that_nobody_vouches_for_is_refused(send: Send, origin: Origin) -> None:
    # A plain server where TLS is expected: the handshake fails before a byte of the request.
    url = f"https://127.0.0.1:{origin.port}/"
    problem = refused(send, FetchRequest("GET", url, timeout=3))
    assert problem in (FetchProblem.TLS, FetchProblem.CONNECTION)
    assert not origin.requests


def test_keeps_connections_alive(origin: Origin) -> None:
    origin.answers["/"] = lambda _: Answer()
    with FaultProxy("127.0.0.1", origin.port) as proxy:
        transport = HttpTransport()
        for _ in range(5):
            transport.send(FetchRequest("GET", proxy.url + "/"))
        transport.close()
        assert proxy.connections == 1


def test_a_kept_connection_that_broke_is_replaced(origin: Origin) -> None:
    origin.answers["/"] = lambda _: Answer()
    transport = HttpTransport()
    with FaultProxy("127.0.0.1", origin.port) as proxy:
        transport.send(FetchRequest("GET", proxy.url + "/"))
        port = proxy.port
    # The proxy is gone, and with it the kept connection; another listens in its place.
    with socket.create_server(("127.0.0.1", port)) as server:
        answering = Thread(target=_answer_once, args=(server,))
        answering.start()
        url = f"http://127.0.0.1:{port}/"
        assert transport.send(FetchRequest("POST", url)).status == 200
        answering.join()
    transport.close()


@pytest.mark.proves("C99")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_last_answer_of_a_connection_is_read_to_its_end(send: Send, version: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=_answer_and_close, args=(server, version))
        thread.start()
        response = send(FetchRequest("GET", f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()
    assert response.body == b"late"


def _answer_and_close(server: socket.socket, version: str) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        head = f"HTTP/{version} 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            assert connection.recv(1) == b"nobody hangs up before the content"
        connection.sendall(b"late")


def _answer_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


# --- what our own two read alike -----------------------------------------------------------

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
HEAD_OF_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

SendAll = Callable[[list[FetchRequest]], list[FetchResponse | FetchProblem]]


def send_all_blocking(requests: list[FetchRequest]) -> list[FetchResponse | FetchProblem]:
    transport = HttpTransport()
    answers: list[FetchResponse | FetchProblem] = []
    for request in requests:
        try:
            answers.append(transport.send(request))
        except FetchFailed as failure:
            answers.append(failure.problem)
    transport.close()
    return answers


def send_all_asyncio(requests: list[FetchRequest]) -> list[FetchResponse | FetchProblem]:
    async def run() -> list[FetchResponse | FetchProblem]:
        transport = AsyncHttpTransport()
        answers: list[FetchResponse | FetchProblem] = []
        for request in requests:
            try:
                answers.append(await transport.send(request))
            except FetchFailed as failure:
                answers.append(failure.problem)
        await transport.aclose()
        return answers

    return asyncio.run(run())


@pytest.fixture(params=[send_all_blocking, send_all_asyncio])
def send_all(request: pytest.FixtureRequest) -> SendAll:
    """Sends one after the other over one transport."""
    chosen: SendAll = request.param
    return chosen


def get(port: int, **changes: Any) -> FetchRequest:
    return FetchRequest("GET", f"http://127.0.0.1:{port}/", timeout=PATIENCE)._replace(**changes)


def bodies(answers: list[FetchResponse | FetchProblem]) -> list[bytes | FetchProblem]:
    return [each.body if isinstance(each, FetchResponse) else each for each in answers]


@pytest.mark.proves("C99")
@pytest.mark.parametrize("surplus", [PLAIN.replace(b"mine", b"lies"), b"\r\n", b"H"])
def test_what_nobody_asked_for_answers_nothing(send_all: SendAll, surplus: bytes) -> None:
    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(PLAIN + surplus)
        wait_for_end(plug)

    with acting(act, answer(PLAIN)) as port:
        assert bodies(send_all([get(port), get(port)])) == [b"mine", b"mine"]


@pytest.mark.proves("C99")
def test_nor_does_what_comes_later(send_all: SendAll) -> None:
    came = Event()

    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(PLAIN)
        assert asked.wait(PATIENCE)
        plug.sendall(PLAIN.replace(b"mine", b"lies"))
        came.set()
        wait_for_end(plug)

    def wait(_: bytes) -> bool:
        asked.set()
        return came.wait(PATIENCE)

    asked = Event()
    other = answer(HEAD_OF_CHUNKS + b"1\r\n\n\r\n0\r\n\r\n")
    with acting(act, answer(PLAIN)) as first, acting(other) as second:
        answers = send_all([get(first), get(second, hear=wait), get(first)])
    assert bodies(answers) == [b"mine", b"", b"mine"]


@pytest.mark.parametrize("cut", range(1, len(PLAIN), 7))
def test_an_answer_may_come_in_pieces(send_all: SendAll, cut: int) -> None:
    def act(plug: socket.socket) -> None:
        for _ in range(2):
            take_request(plug)
            plug.sendall(PLAIN[:cut])
            time.sleep(0.002)
            plug.sendall(PLAIN[cut:])

    with acting(act) as port:
        assert bodies(send_all([get(port), get(port)])) == [b"mine", b"mine"]


@pytest.mark.proves("F5")
@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\n\r\n", HEAD_OF_CHUNKS, PLAIN[:-1]])
def test_an_answer_without_an_end_ends_with_the_deadline(send_all: SendAll, begun: bytes) -> None:
    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(begun)
        wait_for_end(plug)

    with acting(act, answer(PLAIN)) as port:
        answers = send_all([get(port, timeout=0.2), get(port)])
        assert bodies(answers) == [FetchProblem.TIMEOUT, b"mine"]


@pytest.mark.proves("F5")
def test_lines_without_an_end_do_too(send_all: SendAll) -> None:
    lines: list[bytes] = []

    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(HEAD_OF_CHUNKS)
        with contextlib.suppress(OSError):
            while True:
                plug.sendall(b"2\r\na\n\r\n")
                time.sleep(0.01)

    def hear(line: bytes) -> bool:
        lines.append(line)
        return True

    with acting(act) as port:
        assert send_all([get(port, timeout=0.3, hear=hear)]) == [FetchProblem.TIMEOUT]
    assert set(lines) == {b"a"}


@pytest.mark.parametrize("ending", [socket.socket.close, reset])
def test_an_answer_cut_off_is_none(
    send_all: SendAll, ending: Callable[[socket.socket], None]
) -> None:
    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(HEAD_OF_CHUNKS + b"4\r\nmine\r\n")
        ending(plug)

    with acting(act) as port:
        (answered,) = send_all([get(port)])
    assert answered in {FetchProblem.MALFORMED, FetchProblem.CONNECTION}


def test_an_answer_may_come_before_the_request_has_left(send_all: SendAll) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch"

    def act(plug: socket.socket) -> None:
        plug.recv(1)
        plug.sendall(refusal)
        plug.shutdown(socket.SHUT_WR)
        plug.recv(1)
        # What was not read makes a reset of the end.

    with acting(act, answer(PLAIN)) as port:
        large = get(port, method="POST", body=b"x" * 20_000_000)
        first, second = send_all([large, get(port)])
        assert isinstance(first, FetchResponse)
        assert (first.status, first.body) == (413, b"much")
        assert isinstance(second, FetchResponse)
        assert second.body == b"mine"


@pytest.mark.proves("F5")
def test_a_peer_that_takes_no_request_is_given_up(send_all: SendAll) -> None:
    def act(plug: socket.socket) -> None:
        plug.recv(1)
        assert over.wait(PATIENCE)

    over = Event()
    with acting(act) as port:
        large = get(port, method="POST", body=b"x" * 20_000_000, timeout=0.2)
        assert send_all([large]) == [FetchProblem.TIMEOUT]
        over.set()


@pytest.mark.proves("V3")
def test_lines_are_heard_while_the_answer_is_held(send_all: SendAll) -> None:
    heard, lines = Event(), list[bytes]()

    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(HEAD_OF_CHUNKS + b"4\r\none\n\r\n")
        assert heard.wait(PATIENCE)
        plug.sendall(b"7\r\ntwo\nend\r\n0\r\n\r\n")
        take_request(plug)
        plug.sendall(PLAIN)

    def hear(line: bytes) -> bool:
        lines.append(line)
        heard.set()
        return True

    with acting(act) as port:
        assert bodies(send_all([get(port, hear=hear), get(port)])) == [b"end", b"mine"]
    assert lines == [b"one", b"two"]


@pytest.mark.proves("V3")
def test_who_refuses_a_line_hangs_up(send_all: SendAll) -> None:
    def act(plug: socket.socket) -> None:
        take_request(plug)
        plug.sendall(HEAD_OF_CHUNKS + b"4\r\none\n\r\n")
        wait_for_end(plug)

    with acting(act, answer(PLAIN)) as port:
        answers = send_all([get(port, hear=lambda _: False), get(port)])
        assert bodies(answers) == [FetchProblem.MALFORMED, b"mine"]


@pytest.mark.proves("F5")
def test_a_full_bulkhead_fails_at_once(origin: Origin) -> None:
    with FaultProxy("127.0.0.1", origin.port) as proxy:
        proxy.fault = Stall()
        transport = ThreadedTransport(HttpTransport(), threads=2)
        request = FetchRequest("GET", proxy.url + "/", timeout=0.5)

        async def ask() -> list[FetchProblem]:
            outcomes = await asyncio.gather(
                *(transport.send(request) for _ in range(10)), return_exceptions=True
            )
            return [each.problem for each in outcomes if isinstance(each, FetchFailed)]

        problems = asyncio.run(ask())
    assert problems.count(FetchProblem.BUSY) == 8
    assert problems.count(FetchProblem.TIMEOUT) == 2


def test_tls_is_verified_and_recent() -> None:
    context = find_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
