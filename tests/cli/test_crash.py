"""F18: the server is killed in mid-load, again and again. What it acknowledged stays so."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock

import pytest

from dojang.cli.errors import Exit, Failure
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from tests.cli.conftest import fill
from tests.cli.installation import LONG, ORDERS, Installation

ROUNDS = 4
WORKERS = 3
ENOUGH = 25  # revocations acknowledged before the next kill


class History:
    """What clients were told. `alive` were issued and nobody asked to revoke them; `dead` were
    revoked with an acknowledgement; a token whose revocation got no answer is in neither."""

    def __init__(self) -> None:
        self.alive: list[str] = []
        self.dead: list[str] = []
        self.failures: list[Failure] = []
        self._lock = Lock()
        self._reached = Event()
        self._wanted = 0

    def note(self, tokens: list[str], token: str) -> None:
        with self._lock:
            tokens.append(token)
            if len(self.dead) >= self._wanted:
                self._reached.set()

    def wait_for_more(self) -> None:
        with self._lock:
            self._wanted = len(self.dead) + ENOUGH
            self._reached.clear()
        assert self._reached.wait(LONG)


@contextmanager
def load(issuer: str, shop: ClientSecretBasic, history: History) -> Iterator[None]:
    """Threads that get two tokens, give one back, and go on through every outage."""
    stopped = Event()

    def work() -> None:
        client = IssuerClient(issuer)
        while not stopped.is_set():
            try:
                history.note(history.alive, client.issue(shop, ORDERS, None).value)
                doomed = client.issue(shop, ORDERS, None).value
                client.revoke(shop, doomed)
                history.note(history.dead, doomed)
            except Failure as failure:
                history.failures.append(failure)
                stopped.wait(0.01)

    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work) for _ in range(WORKERS)]
        try:
            yield
        finally:
            stopped.set()
    for worker in workers:
        worker.result()


@pytest.mark.proves("F18")
def test_what_was_acknowledged_survives_sigkill_under_load(fresh: Installation) -> None:
    fresh.start()
    fill(fresh)
    shop, orders = (
        ClientSecretBasic(name, (fresh.directory / f"{name}.secret").read_text().strip())
        for name in ("shop", "orders")
    )
    history = History()
    with load(fresh.issuer, shop, history):
        for _ in range(ROUNDS):
            history.wait_for_more()
            assert fresh.stop(signal.SIGKILL) == -signal.SIGKILL
            fresh.start()
        history.wait_for_more()

    client = IssuerClient(fresh.issuer)
    assert len(history.dead) >= ROUNDS * ENOUGH
    for token in history.dead:
        assert client.introspect(orders, token) == {"active": False}
    for token in history.alive:
        assert client.introspect(orders, token)["active"] is True
    # Out of reach while it was dead; never an answer that was wrong.
    assert {failure.code for failure in history.failures} <= {Exit.UNREACHABLE}
    assert not any("500" in failure.message for failure in history.failures)
    trail = fresh.must("audit", "verify")
    assert trail["intact"] is True
    assert trail["records"] > len(history.dead)
    assert "Traceback" not in fresh.log
