"""Hosts of our own on this machine: network namespaces, each with links to this one that a test
cuts and mends. Only root can make them."""

import os
import subprocess
from collections.abc import Sequence
from itertools import count

import pytest

INSTALL = "there is no `ip`; type: apt-get install -y iproute2"


def ip(*words: str) -> None:
    """Raises RuntimeError with what `ip` says, where it fails."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError(INSTALL) from None
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Link:
    """A cable between this host, at the address `near`, and another, at `far`. Each end can be
    pulled out: at the other nothing is heard from then on, and what is sent there is lost."""

    def __init__(self, host: str, names: tuple[str, str], addresses: tuple[str, str]) -> None:
        self._host = host
        self._near_name, self._far_name = names
        self.near, self.far = addresses
        ip("link", "add", self._near_name, "type", "veth", "peer", self._far_name, "netns", host)
        ip("addr", "add", f"{self.near}/30", "dev", self._near_name)
        ip("-n", host, "addr", "add", f"{self.far}/30", "dev", self._far_name)
        self.mend()

    def cut_here(self) -> None:
        ip("link", "set", self._near_name, "down")

    def cut_there(self) -> None:
        ip("-n", self._host, "link", "set", self._far_name, "down")

    def mend(self) -> None:
        ip("link", "set", self._near_name, "up")
        ip("-n", self._host, "link", "set", self._far_name, "up")

    def remove(self) -> None:
        ip("link", "del", self._near_name)


class Network:
    """Hosts beside this one. Their addresses are those that RFC 2544 keeps for tests."""

    def __init__(self) -> None:
        self._mark = f"dj{os.getpid()}"
        self._net = f"198.{18 + (os.getpid() >> 8) % 2}.{os.getpid() % 256}."
        self._numbers = count()
        self._hosts: list[str] = []
        self._links: list[Link] = []

    def add_host(self, name: str) -> str:
        """Its name among all of the machine."""
        host = f"{self._mark}-{name}"
        ip("netns", "add", host)
        self._hosts.append(host)
        ip("-n", host, "link", "set", "lo", "up")
        return host

    def link(self, host: str) -> Link:
        """A new cable to `host`."""
        number = next(self._numbers)
        names = (f"{self._mark}n{number}", f"{self._mark}f{number}")
        addresses = (f"{self._net}{4 * number + 1}", f"{self._net}{4 * number + 2}")  # of a /30
        link = Link(host, names, addresses)
        self._links.append(link)
        return link

    def remove(self) -> None:
        """Take the cables and the hosts away."""
        for link in self._links:
            link.remove()
        for host in self._hosts:
            ip("netns", "del", host)
        self._links, self._hosts = [], []


def run_on(host: str) -> Sequence[str]:
    """What stands before a command that is to run on `host`."""
    return ("ip", "netns", "exec", host)


def require_network() -> Network:
    """Hosts, where they can be made. The test is skipped elsewhere, or fails in CI."""
    network = Network()
    try:
        network.link(network.add_host("try"))
    except RuntimeError as error:
        network.remove()
        why = (
            f"two hosts cannot be made here ({'root' if not os.geteuid() else 'not root'}): {error}"
        )
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    network.remove()
    return network
