"""Addresses that others chose lead to the public internet or nowhere (server-side request forgery):
a corpus of hostile URLs, and names that change their mind."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, OutwardTransport, async_client
from dojang.fetch.names import Address
from tests.origin import Answer, Origin
from tests.services.certificates import make_certificate

LOOPBACK = "127.0.0.1"
PUBLIC = "93.184.216.34"

HOSTILE_ADDRESSES = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:93.184.216.34]",
    "[::ffff:0:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[100::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2002:c0a8:1::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[4000::1]",
    "[8000::1]",
]
HOSTILE_NAMES = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "app.localhost",
    "localhost.localdomain",
    "printer.local",
    "metadata.google.internal",
    "db.internal",
    "router.home.arpa",
    "2130706433",
    "0x7f000001",
    "0x7F000001",
    "017700000001",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "127.000.000.001",
    "127.0.0.1.",
    "127.0.0.0x1",
    "0",
    "0x",
    "00000000",
    "3232235521",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "1.1.1.1.1",
    "256.256.256.256",
    "4294967297",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "local%68ost",
    "a..b",
    "-a.example",
    "a_.example.-",
    "①②⑦.0.0.1",
    "ⓛocalhost",
    "127。0。0。1",
]
HOSTILE_URLS = [
    "http://example.com/",
    "http://93.184.216.34/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://localhost:8461/admin",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/",
    "jar:https://example.com!/",
    "data:application/json,{}",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "ws://example.com/",
    "//example.com/",
    "example.com",
    "",
    " https://example.com/",
    "https://example.com/\n",
    "https://example.com/\r\nHost: 127.0.0.1",
    "https://exa\tmple.com/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https://example.com/#fragment",
    "https://:443/",
    "https://",
    "https:///path",
    "https://example.com:0/",
    "https://example.com:/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:4_43/",
    "https://example.com:٤٤٣/",
    "https://[::1",
    "https://::1]/",
    "https://[127.0.0.1]/",
    "https://[v1.127.0.0.1]/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    f"https://example.com/{'a' * 2048}",
]
CORPUS = [
    *(f"https://{host}/keys" for host in (*HOSTILE_ADDRESSES, *HOSTILE_NAMES)),
    *(f"https://{host}:8443/keys" for host in HOSTILE_ADDRESSES[:8]),
    *HOSTILE_URLS,
]


def be_known(*addresses: str) -> Future[list[Address]]:
    known: Future[list[Address]] = Future()
    known.set_result(
        [
            (
                socket.AF_INET6 if ":" in each else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (each, 443),
            )
            for each in addresses
        ]
    )
    return known


class Names:
    """Names that resolve to what is said, in turn; `asked` counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Future[list[Address]]:
        self.asked += 1
        return be_known(*self.answers[min(self.asked, len(self.answers)) - 1])


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a connection was tried to; none is made."""
    tried: list[str] = []

    async def note(addresses: list[Address], deadline: float) -> Any:
        tried.extend(each[4][0] for each in addresses)
        raise ConnectionRefusedError

    monkeypatch.setattr(async_client, "_plug_in", note)
    return tried


def fetch(
    url: str, *, permitted: Sequence[str] = (), find: Any = None, times: int = 1
) -> FetchProblem:
    async def ask() -> FetchProblem:
        transport = OutwardTransport(permitted=permitted, **({"find": find} if find else {}))
        for _ in range(times - 1):
            with pytest.raises(FetchFailed):
                await transport.send(FetchRequest("GET", url))
        with pytest.raises(FetchFailed) as failed:
            await transport.send(FetchRequest("GET", url))
        await transport.aclose()
        return failed.value.problem

    return asyncio.run(ask())


def test_the_corpus_is_large() -> None:
    assert len(set(CORPUS)) == len(CORPUS) >= 150


@pytest.mark.proves("C100")
@pytest.mark.parametrize("url", CORPUS)
def test_a_hostile_url_leads_nowhere(url: str, connected: list[str]) -> None:
    names = Names([LOOPBACK])
    assert fetch(url, find=names) is FetchProblem.ADDRESS
    assert (connected, names.asked) == ([], 0)


@pytest.mark.proves("C100")
@pytest.mark.parametrize("address", [each for each in HOSTILE_ADDRESSES if "%" not in each])
def test_a_name_of_a_hostile_address_leads_nowhere(address: str, connected: list[str]) -> None:
    bare = address.strip("[]")
    assert fetch("https://keys.example/", find=Names([bare])) is FetchProblem.ADDRESS
    assert connected == []


@pytest.mark.proves("C100")
@pytest.mark.parametrize("addresses", [[PUBLIC, LOOPBACK], [LOOPBACK, PUBLIC], [PUBLIC, "fe80::1"]])
def test_one_bad_address_among_good_ones_is_enough(
    addresses: list[str], connected: list[str]
) -> None:
    assert fetch("https://keys.example/", find=Names(addresses)) is FetchProblem.ADDRESS
    assert connected == []


@pytest.mark.proves("C100")
def test_a_name_is_asked_for_once_and_what_was_judged_is_connected_to(connected: list[str]) -> None:
    names = Names([PUBLIC], [LOOPBACK])
    assert fetch("https://rebind.example/", find=names) is FetchProblem.CONNECTION
    assert (connected, names.asked) == ([PUBLIC], 1)
    names = Names([PUBLIC], [LOOPBACK])
    assert fetch("https://rebind.example/", find=names, times=2) is FetchProblem.ADDRESS
    assert connected == [PUBLIC, PUBLIC]


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "url", ["https://example.com/", f"https://{PUBLIC}/", "https://[2606:2800:220:1::1]:8443/k?x=1"]
)
def test_a_public_address_is_connected_to(url: str, connected: list[str]) -> None:
    assert fetch(url, find=Names([PUBLIC])) is FetchProblem.CONNECTION
    assert len(connected) == 1


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "url, permitted, problem",
    [
        ("https://10.1.2.3/", "10.1.0.0/16", FetchProblem.CONNECTION),
        ("https://10.2.0.1/", "10.1.0.0/16", FetchProblem.ADDRESS),
        ("https://[fd00::1]/", "fd00::/64", FetchProblem.CONNECTION),
        ("https://[::ffff:10.1.2.3]/", "10.1.0.0/16", FetchProblem.ADDRESS),
        ("https://127.0.0.1/", "10.1.0.0/16", FetchProblem.ADDRESS),
        ("http://127.0.0.1/", "10.1.0.0/16", FetchProblem.ADDRESS),
        ("http://10.1.2.3/", "10.1.0.0/16", FetchProblem.ADDRESS),
        ("http://127.0.0.1:1/", "127.0.0.0/8", FetchProblem.CONNECTION),
    ],
)
def test_the_operator_permits_networks_and_no_more(
    url: str, permitted: str, problem: FetchProblem, connected: list[str]
) -> None:
    assert fetch(url, permitted=[permitted]) is problem


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as served:
        yield served


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "answer, problem",
    [
        (Answer(302, b"", (("location", "http://127.0.0.1/"),)), FetchProblem.REDIRECT),
        (Answer(200, b"x" * 70_000), FetchProblem.TOO_LARGE),
        (Answer(200, b"x", (("content-encoding", "gzip"),)), FetchProblem.ENCODED),
    ],
)
def test_what_comes_back_is_bounded_and_leads_nowhere_else(
    origin: Origin, answer: Answer, problem: FetchProblem
) -> None:
    origin.answers["/"] = lambda _: answer
    assert fetch(f"{origin.url}/", permitted=["127.0.0.0/8"]) is problem
    assert origin.count("/") == 1


@pytest.mark.proves("C100")
@pytest.mark.proves("C100")
def test_who_is_slow_to_say_where_a_name_leads_is_asked_once(connected: list[str]) -> None:
    """A look-up outlasts the request that it is for: each has a thread of a few."""
    asked = []
    never: Future[list[Address]] = Future()

    def find(host: str, port: int) -> Future[list[Address]]:
        asked.append(host)
        return never if host == "slow.example" else be_known(PUBLIC)

    async def ask() -> list[FetchProblem]:
        transport = OutwardTransport(find=find)
        problems = []
        for host in ("slow.example", "slow.example", "keys.example", "keys.example"):
            with pytest.raises(FetchFailed) as failed:
                await transport.send(FetchRequest("GET", f"https://{host}/", timeout=0.02))
            problems.append(failed.value.problem)
        await transport.aclose()
        return problems

    slow, again, *others = asyncio.run(ask())
    assert slow is again is FetchProblem.TIMEOUT
    assert FetchProblem.TIMEOUT not in others
    assert asked == ["slow.example", "keys.example", "keys.example"]


def test_too_many_at_once_are_refused(connected: list[str]) -> None:
    async def ask() -> set[FetchProblem]:
        never: Future[list[Address]] = Future()
        transport = OutwardTransport(find=lambda *_: never)
        requests = [FetchRequest("GET", "https://slow.example/", timeout=0.05) for _ in range(80)]
        failures = await asyncio.gather(*map(transport.send, requests), return_exceptions=True)
        never.set_result([])  # too late: nobody waits
        return {each.problem for each in failures if isinstance(each, FetchFailed)}

    assert asyncio.run(ask()) == {FetchProblem.TIMEOUT, FetchProblem.BUSY}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem", "keys.example")


@pytest.mark.proves("C100")
def test_the_certificate_is_of_the_name_and_not_of_the_address(
    origin: Origin, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = origin._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    origin.answers["/"] = lambda _: Answer(200, b"keys")

    def find(host: str, port: int) -> Future[list[Address]]:
        known: Future[list[Address]] = Future()
        known.set_result([(socket.AF_INET, socket.SOCK_STREAM, 6, "", (LOOPBACK, origin.port))])
        return known

    async def ask() -> bytes:
        transport = OutwardTransport(
            permitted=["127.0.0.0/8"],
            tls=ssl.create_default_context(cafile=str(certificate)),
            find=find,
        )
        response = await transport.send(FetchRequest("GET", "https://keys.example/"))
        with pytest.raises(FetchFailed) as failed:
            await transport.send(FetchRequest("GET", "https://other.example/"))
        assert failed.value.problem is FetchProblem.TLS
        await transport.aclose()
        return response.body

    assert asyncio.run(ask()) == b"keys"


def test_networks_are_networks() -> None:
    with pytest.raises(ValueError):
        OutwardTransport(permitted=["example.com"])
    assert repr(OutwardTransport()) == "OutwardTransport()"
    assert ipaddress.ip_address(PUBLIC).is_global
