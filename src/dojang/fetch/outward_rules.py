"""Which addresses a server may be sent to by somebody else (RFC 7591 §5, RFC 9101 §10.4.1, OWASP
SSRF): the public internet, over https, and what the operator permits besides.

Names are judged by what they resolve to, at the moment of connecting; what can be seen of a URL
itself is refused sooner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from dojang.oauth.urls import parse_url

Network: TypeAlias = IPv4Network | IPv6Network
IpAddress: TypeAlias = IPv4Address | IPv6Address

LONGEST_URL: Final = 2048

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INTERNAL_NAMES: Final = ("localhost", "local", "internal", "home.arpa", "localdomain")

# Everything that the IANA special-purpose registries do not call globally reachable, multicast,
# and the one address of a cloud's metadata that lies elsewhere.
_REFUSED_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
# Global unicast alone: mapped, NAT64, unique local, link-local and multicast lie outside of it.
_UNICAST_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks that are permitted besides. Raises `ValueError`."""
    return tuple(ip_network(text) for text in texts)


def is_permitted(address: IpAddress, permitted: Iterable[Network] = ()) -> bool:
    """Whether a connection to `address` may be made: it is public, or in a permitted network. An
    IPv4 address in the clothes of IPv6 is neither."""
    if any(address in network for network in permitted):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _UNICAST_V6 and not any(address in network for network in _REFUSED_V6)


def check_outward_url(url: str, permitted: Iterable[Network] = ()) -> None:
    """Raises `ValueError` for a URL that is not fetched, whatever its name resolves to.

    https, or http to a loopback address that is permitted; no user, no fragment; a host that is a
    public name, or an address in its one spelling (RFC 3986 §3.2.2) that may be connected to.
    """
    permitted = tuple(permitted)
    if len(url) > LONGEST_URL:
        raise ValueError(f"a URL has at most {LONGEST_URL} characters")
    parts = parse_url(url)
    if parts.netloc.endswith(":"):
        raise ValueError("the URL is malformed")
    host = parts.hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        _check_name(host, permitted)
        return
    if "%" in host or not is_permitted(address, permitted):
        raise ValueError("the URL leads to an address that is not public")


def _check_name(host: str, permitted: tuple[Network, ...]) -> None:
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the URL has no name of a host")
    if _NUMBER.fullmatch(labels[-1]):  # what resolvers take for an address, in another spelling
        raise ValueError("the URL has an address in another spelling")
    name = ".".join(labels)
    internal = any(name == each or name.endswith(f".{each}") for each in _INTERNAL_NAMES)
    if internal and not permitted:
        raise ValueError("the URL has a name that is not public")
