"""Who the client is, and who gets to say so (C111)."""

import logging

import pytest

from dojang.oauth.http import Request, Response
from dojang.web.peer import TrustedProxies, describe_peer, parse_address
from dojang.web.routing import Route
from tests.web.peers import peer_of, serving

pytestmark = pytest.mark.proves("C111")


def find(trusted: tuple[str, ...], peer: str, *forwarded: str) -> str:
    headers = tuple((b"x-forwarded-for", each.encode()) for each in forwarded)
    return TrustedProxies(trusted).find_client(Request("GET", "/", b"", headers, b"", peer))


@pytest.mark.parametrize(
    "trusted, peer, forwarded, client",
    [
        # Nobody is trusted unless named.
        ((), "10.0.0.1", ["1.1.1.1"], "10.0.0.1"),
        ((), "127.0.0.1", ["1.1.1.1"], "127.0.0.1"),
        ((), "::1", ["1.1.1.1"], "::1"),
        ((), "unix", ["1.1.1.1"], "unix"),
        (("10.0.0.2",), "10.0.0.1", ["1.1.1.1"], "10.0.0.1"),
        # From the right; what is further left is the client's own invention.
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.9"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # A proxy that wrote nothing usable is where it ends.
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1, unknown"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1, _hidden, 10.0.0.2"], "10.0.0.2"),
        # One form for one address.
        (("10.0.0.0/8",), "10.0.0.1", ["::ffff:1.1.1.1"], "1.1.1.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, ::ffff:10.0.0.9"], "6.6.6.6"),
        (("10.0.0.0/8",), "10.0.0.1", ["[2001:DB8::1]:443"], "2001:db8::1"),
        (("10.0.0.0/8",), "10.0.0.1", ["1.1.1.1:50123"], "1.1.1.1"),
        (("fe80::/10",), "fe80::1", ["1.1.1.1"], "1.1.1.1"),
        (("unix",), "unix", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
    ],
)
def test_the_client_is_found_from_the_right(
    trusted: tuple[str, ...], peer: str, forwarded: list[str], client: str
) -> None:
    assert find(trusted, peer, *forwarded) == client


@pytest.mark.parametrize(
    "text, address",
    [
        ("::FFFF:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[::1]", "::1"),
        ("2001:0db8:0:0::1", "2001:db8::1"),
        ("example.com", None),
        ("", None),
        ("1.2.3", None),
    ],
)
def test_an_address_has_one_form(text: str, address: str | None) -> None:
    assert parse_address(text) == address


def test_a_socket_names_its_other_end() -> None:
    assert describe_peer(("::ffff:10.0.0.1", 5, 0, 0)) == "10.0.0.1"
    assert describe_peer(("fe80::1%2", 5, 0, 2)) == "fe80::1"
    assert describe_peer("") == describe_peer(None) == "unix"


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"proxy\.example"):
        TrustedProxies(["proxy.example"])


@pytest.mark.parametrize(
    "trusted, client", [((), "127.0.0.1"), (("127.0.0.0/8",), "1.1.1.1"), (("::1",), "127.0.0.1")]
)
async def test_a_forged_header_names_nobody(
    trusted: tuple[str, ...], client: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def fail(request: Request) -> Response:
        seen.append(request.peer)
        raise RuntimeError

    routes = [Route("/fail", {"GET": fail})]
    async with serving(routes, trusted_proxies=trusted) as site, peer_of(site.address) as peer:
        await peer.ask("/fail", headers=[("X-Forwarded-For", "6.6.6.6, 1.1.1.1")])
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert vars(record)["client"] == client
    assert seen == ["127.0.0.1"]
