"""Clients of servers in other processes, over HTTP, that note what they are told. A question that
finds nobody is noted as an outage, and what is no answer as a finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

from dojang.cli.errors import Exit, Failure
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.clock import SYSTEM_CLOCK
from dojang.resource import (
    Expect,
    Follower,
    HybridVerifier,
    IntrospectionVerifier,
    LocalVerifier,
    Refusal,
    RefusalReason,
    RemoteKeys,
    Unavailable,
    WhenStale,
)
from tests.cli.installation import LONG, ORDERS
from tests.faults.history import History

BOUND = 1.0  # seconds: how old a view may be that `Service` relies on


class Caller:
    """The client `shop`, and the API `orders`, at one node. `fetch_from` is where that is."""

    def __init__(self, issuer: str, secrets: Path, *, fetch_from: str | None = None) -> None:
        self._connect = partial(IssuerClient, issuer, fetch_from=fetch_from)
        self.client = self._connect()
        self.shop, self.orders = (
            ClientSecretBasic(name, (secrets / f"{name}.secret").read_text().strip())
            for name in ("shop", "orders")
        )

    def hang_up(self) -> None:
        """Keep no connection: how many there are depends on how many asked at once."""
        self.client = self._connect()

    def issue(self, history: History) -> str:
        token = self.client.issue(self.shop, ORDERS, None).value
        history.issued(token)
        return token

    def revoke(self, history: History, token: str) -> None:
        history.revoking(token)
        self.client.revoke(self.shop, token)
        history.revoked(token)

    def ask(self, history: History, token: str) -> bool:
        asked_at = history.tick()
        active = bool(self.client.introspect(self.orders, token)["active"])
        history.answered(token, active=active, asked_at=asked_at)
        return active


class Service:
    """A service of the API `orders` that follows one node's feed, and refuses where what it knows
    is older than `BOUND`."""

    def __init__(
        self,
        caller: Caller,
        issuer: str,
        *,
        door: str | None = None,
        feed: str | None = None,
        name: str | None = None,
    ) -> None:
        expect = Expect(issuer=issuer, audience=ORDERS, algorithms=["ES256"], leeway=30)
        self.follower = Follower(
            issuer, credentials=caller.orders, fetch_from=feed or door, name=name
        )
        self.verifier = HybridVerifier(
            local=LocalVerifier(expect, keys=RemoteKeys(issuer, fetch_from=door)),
            introspection=IntrospectionVerifier(expect, credentials=caller.orders, fetch_from=door),
            follower=self.follower,
            staleness=BOUND,
            when_stale=WhenStale.REFUSE,
        )
        self.verifier.ready()

    def ask(self, history: History, token: str) -> bool | None:
        """Whether a request with `token` is served; None where that cannot be known."""
        asked_at = history.tick()
        try:
            self.verifier.verify(token)
        except Unavailable as error:
            history.failed(error)
            return None
        except Refusal as refusal:
            if refusal.reason is not RefusalReason.REVOKED:
                history.crashed(refusal.reason)
            active = False
        else:
            active = True
        history.answered(token, active=active, asked_at=asked_at, promised=BOUND)
        return active

    def catch_up(self) -> None:
        """Wait for a proof that is younger than this call."""
        at = SYSTEM_CLOCK.monotonic()
        wait_until(lambda: self.follower.proof.at >= at)

    def check_all(self, history: History) -> None:
        """Every token that there is, once what is known is as new as this call."""
        self.catch_up()
        for token in history.all:
            while self.ask(history, token) is None:
                self.catch_up()

    def close(self) -> None:
        self.follower.close()


def wait_until(is_so: Callable[[], bool], *, every: float = 0.005) -> float:
    """Look again and again, with a pause of `every`. How long it took (seconds)."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() < began + LONG
        time.sleep(every)
    return time.monotonic() - began


@contextmanager
def at_work(history: History, *jobs: Callable[[], None]) -> Iterator[None]:
    """Threads that do their jobs over and over, through every outage."""
    stopped = Event()

    def work(job: Callable[[], None]) -> None:
        while not stopped.is_set():
            try:
                job()
            except Failure as failure:
                if failure.code != Exit.UNREACHABLE or "500" in failure.message:
                    history.crashed(failure.message)
                history.failed(failure)
                stopped.wait(0.01)
            except Exception as error:  # noqa: BLE001  what is no answer is a finding
                history.crashed(error)
                return

    threads = [Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
