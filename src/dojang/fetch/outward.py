"""The door to addresses that others chose: what a client registers is fetched, or told something,
by this transport and by no other."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from ipaddress import ip_address
from typing import Final, Protocol

from dojang.fetch.async_client import AsyncHttpTransport
from dojang.fetch.errors import FetchFailed, FetchProblem
from dojang.fetch.forking import renew_in_children
from dojang.fetch.message import FetchRequest, FetchResponse
from dojang.fetch.names import Address, FindAddresses, find_addresses
from dojang.fetch.outward_rules import check_outward_url, is_permitted, parse_networks
from dojang.fetch.workers import Workers

MOST_AT_ONCE: Final = 64
# Of its own: whoever answers slowly for a name holds a thread for much longer than a request lasts.
_NAMES: Final = Workers(32, name="dojang-outward-names")
_find_addresses: Final = partial(find_addresses, workers=_NAMES)


class Outward(Protocol):
    """An `AsyncTransport` for addresses that others chose."""

    def check(self, url: str) -> None:
        """Raises `ValueError` for a URL that `send` would refuse unseen; the message says why."""

    async def send(self, request: FetchRequest) -> FetchResponse:
        """As `AsyncTransport.send`. Duty: nothing is sent to an address that is not public, unless
        the operator permits it; `FetchFailed` with the problem ADDRESS instead."""


class OutwardTransport:
    """`Outward`, for one event loop. `permitted` are networks besides the public internet.

    A name is resolved once for a connection, which goes to one of the addresses that were judged:
    what it resolves to later is of no matter. One bad address among them refuses it. A name is
    looked up once for all who wait for it. `tls` and `find` are as for `AsyncHttpTransport`.
    """

    def __init__(
        self,
        *,
        permitted: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        find: FindAddresses = _find_addresses,
    ) -> None:
        """Raises `ValueError` for what is no network."""
        self._permitted = parse_networks(permitted)
        self._find = find
        self._under_way = 0
        self._transport = AsyncHttpTransport(tls=tls, kept_per_host=1, find=self._find_permitted)
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        return "OutwardTransport()"

    def renew(self) -> None:
        self._looking: dict[tuple[str, int], Future[list[Address]]] = {}

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        await self._transport.aclose()

    def check(self, url: str) -> None:
        check_outward_url(url, self._permitted)

    async def send(self, request: FetchRequest) -> FetchResponse:
        try:
            self.check(request.url)
        except ValueError:
            raise FetchFailed("an address that is not public", FetchProblem.ADDRESS) from None
        if self._under_way >= MOST_AT_ONCE:
            raise FetchFailed(request.host, FetchProblem.BUSY)
        self._under_way += 1
        try:
            return await self._transport.send(request)
        finally:
            self._under_way -= 1

    def _find_permitted(self, host: str, port: int) -> Future[list[Address]]:
        """The addresses of a host, all of them permitted; the future raises `FetchFailed`."""
        judged: Future[list[Address]] = Future()

        def judge(found: Future[list[Address]]) -> None:
            if not judged.set_running_or_notify_cancel():
                return  # nobody waits for it any more
            failure = found.exception()
            if failure is not None:
                judged.set_exception(failure)
            elif self._may_connect(found.result()):
                judged.set_result(found.result())
            else:
                judged.set_exception(FetchFailed(f"{host}:{port}", FetchProblem.ADDRESS))

        self._look_up(host, port).add_done_callback(judge)
        return judged

    def _look_up(self, host: str, port: int) -> Future[list[Address]]:
        """The look-up that is under way, or one that begins."""
        looking = {name: each for name, each in self._looking.items() if not each.done()}
        found = looking.get((host, port)) or self._find(host, port)
        self._looking = {**looking, (host, port): found}
        return found

    def _may_connect(self, addresses: Iterable[Address]) -> bool:
        return all(is_permitted(ip_address(each[4][0]), self._permitted) for each in addresses)
