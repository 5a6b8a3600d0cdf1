"""The address of the client: the socket's other end, unless that is a proxy we were told to trust.

`X-Forwarded-For` grows to the right, so it is read from the right: the first address that is not
a trusted proxy's is the client. Everything further left was written by that client. RFC 7239's
`Forwarded` is not read: two headers would be two truths.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from dojang.oauth.http import Request

UNIX_SOCKET: Final = "unix"
FORWARDED_FOR: Final = b"x-forwarded-for"


class TrustedProxies:
    """Proxies that are believed, by address or network; `unix` stands for every unix socket.

    Empty trusts nobody. Raises ValueError for what is neither.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = tuple(names)
        self._unix: Final = UNIX_SOCKET in names
        self._networks: Final = tuple(ip_network(name) for name in names if name != UNIX_SOCKET)

    def trusts(self, peer: str) -> bool:
        """Whether the address `peer`, in the form of `parse_address`, is one of them."""
        if peer == UNIX_SOCKET:
            return self._unix
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(
            address in network for network in self._networks if network.version == address.version
        )

    def find_client(self, request: Request) -> str:
        """The client's address; where a trusted proxy wrote no address, the proxy's."""
        client = request.peer
        if not (self._networks or self._unix) or not self.trusts(client):
            return client
        lists = [value for name, value in request.headers if name == FORWARDED_FOR]
        for hop in reversed(b",".join(lists).split(b",")):
            address = parse_address(hop.strip().decode("latin-1"))
            if address is None:
                return client
            client = address
            if not self.trusts(client):
                return client
        return client


def parse_address(text: str) -> str | None:
    """An address in one form: without port, brackets or zone id, an IPv4-mapped one as IPv4.

    None where it is no address.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def describe_peer(name: object) -> str:
    """The other end of a socket, from what the transport calls its `peername`."""
    if isinstance(name, tuple) and name:
        return parse_address(str(name[0])) or str(name[0])
    return UNIX_SOCKET
