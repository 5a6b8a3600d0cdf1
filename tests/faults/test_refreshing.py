"""F9, F10: one refresh token used many times at once, at four nodes on one database, of which one
is killed in the middle now and then. DOJANG_ROUNDS sets how often (12 by default)."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from json import loads
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dojang.cli.config_loading import load_config
from dojang.oauth.pkce import build_challenge
from dojang.server.handles import REFRESH_TOKEN, parse_handle
from dojang.server.people import RefreshToken
from dojang.server.refresh_tokens import RETRY_WINDOW
from dojang.storage.opening import open_store
from dojang.trust.credentials import ClientSecretBasic
from tests.cli.installation import DOJANG, ORDERS, Installation, environment, find_free_ports
from tests.faults.history import History
from tests.interop.house import CALLBACK, PASSWORD, Person, read_query
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.proves("F9", "F10", "C60", "T1")

ROUNDS = int(os.environ.get("DOJANG_ROUNDS", "12"))
NODES, AT_ONCE = 4, 64
KILLED = 0.25  # of the rounds
FORM = "application/x-www-form-urlencoded"
VERIFIER = "v" * 50


class Node:
    """One server process. Requests reach it until it is killed, and again when it is back."""

    def __init__(self, directory: Path) -> None:
        self.port, self.management = find_free_ports(2)
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self.log = ""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                DOJANG, "serve",
                f"--public=127.0.0.1:{self.port}", f"--management=127.0.0.1:{self.management}",
            ],
            cwd=self._directory,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log += line
            if "serving on" in line:
                return
        raise AssertionError(self.log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        _, rest = self._process.communicate(timeout=60)
        self.log += rest


class Fleet:
    """Four nodes, a person who signed in, and the client that acts for them."""

    def __init__(self, directory: Path, storage: str) -> None:
        (directory / "address").write_text(storage)
        home = directory / "auth"
        home.mkdir()
        self.installation = Installation(home, f"--storage-url-file={directory / 'address'}")
        assert self.installation.made.code == 0, self.installation.made.err
        must = self.installation.must
        must("resource", "add", ORDERS, "--scope=orders:read", "--introspector=orders")
        self.orders = ClientSecretBasic("orders", must("client", "add", "orders")["client_secret"])
        added = must(
            "client", "add", "web", f"--redirect-uri={CALLBACK}", f"--ask={ORDERS}=orders:read",
            "--scope=openid", "--scope=offline_access",
        )  # fmt: skip
        self.web = ClientSecretBasic("web", added["client_secret"])
        must("user", "add", "hong", "--password-file=-", stdin=PASSWORD)
        self.nodes = [Node(home) for _ in range(NODES)]
        for node in self.nodes:
            node.start()

    def close(self) -> None:
        for node in self.nodes:
            node.stop()

    def post(self, path: str, form: dict[str, str], caller: ClientSecretBasic, at: Node) -> Any:
        """What one node answers. Raises `OSError` and `HTTPException` where it does not."""
        headers, fields = {"Content-Type": FORM}, dict(form)
        caller.authenticate(fields, headers, issuer=self.installation.issuer, now=0)
        connection = HTTPConnection("127.0.0.1", at.port, timeout=30)
        try:
            connection.request("POST", path, urlencode(fields), headers)
            response = connection.getresponse()
            return response.status, loads(response.read())
        finally:
            connection.close()

    def sign_in(self) -> str:
        """The first refresh token."""
        front = f"http://127.0.0.1:{self.nodes[0].port}"
        wanted = {
            "client_id": "web",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid offline_access orders:read",
            "resource": ORDERS,
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
        }
        person = Person("hong")
        with person.browser:
            back = person.visit(f"{front}/authorize?{urlencode(wanted)}")
        form = {
            "grant_type": "authorization_code",
            "code": read_query(back)["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        status, tokens = self.post("/token", form, self.web, self.nodes[0])
        assert status == 200, tokens
        token: str = tokens["refresh_token"]
        return token

    def load_tokens(self, grant_of: str) -> list[RefreshToken]:
        """Every refresh token of a grant."""
        config = load_config(
            self.installation.directory / "dojang.toml",
            environ=environment(),
            secrets={"storage.url"},
        ).config
        handle = parse_handle(REFRESH_TOKEN, grant_of)
        assert handle is not None

        async def load() -> list[RefreshToken]:
            store = await open_store(config.storage.url)
            try:
                token = await store.find(RefreshToken, handle.identifier)
                assert token is not None
                found: list[RefreshToken] = []
                while page := await store.list_by(
                    RefreshToken,
                    "grant_id",
                    token.grant_id,
                    after=found[-1].token_id if found else "",
                ):
                    found += page
                return found
            finally:
                await store.close()

        return asyncio.run(load())


@pytest.fixture
def fleet(tmp_path: Path, postgres: PostgresCluster) -> Iterator[Fleet]:
    made = Fleet(tmp_path, postgres.make_empty_database())
    yield made
    made.close()


def refresh(fleet: Fleet, history: History, token: str) -> str:
    """As an honest client does: it tries again, at whatever node, until it is answered."""
    began = time.monotonic()
    while True:
        node = random.choice(fleet.nodes)
        try:
            status, answer = fleet.post(
                "/token", {"grant_type": "refresh_token", "refresh_token": token}, fleet.web, node
            )
        except (OSError, HTTPException) as error:
            history.failed(error)
            time.sleep(0.01)
            continue
        if status == 503:
            history.failed(RuntimeError(answer["error"]))
            time.sleep(0.01)
            continue
        if status != 200:
            late = time.monotonic() - began > RETRY_WINDOW - 1
            history.problems.append(f"I3: {status} {answer} {'late' if late else ''}")
            raise AssertionError(answer)
        history.rotated(token, answer["refresh_token"])
        history.issued(answer["access_token"])
        successor: str = answer["refresh_token"]
        return successor


def test_a_token_used_many_times_at_once_has_one_successor(fleet: Fleet) -> None:
    history, first = History(), fleet.sign_in()
    token, killed = first, 0
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            answers = [pool.submit(refresh, fleet, history, token) for _ in range(AT_ONCE)]
            if random.random() < KILLED:
                killed += 1
                time.sleep(random.uniform(0, 0.15))
                victim = random.choice(fleet.nodes)
                victim.stop(signal.SIGKILL)
                victim.start()
            successors = {answer.result() for answer in answers}
            assert history.problems == []
            assert len(successors) == 1
            (token,) = successors
    spent = time.monotonic() - began

    records = fleet.load_tokens(first)
    assert len(records) == ROUNDS + 1
    assert sum(record.used_at is None for record in records) == 1
    for access_token in random.sample(history.all, min(50, len(history.all))):
        asked_at, node = history.tick(), random.choice(fleet.nodes)
        status, answer = fleet.post("/introspect", {"token": access_token}, fleet.orders, node)
        assert status == 200
        history.answered(access_token, active=answer["active"], asked_at=asked_at)
    assert history.problems == []
    assert "Traceback" not in "".join(node.log for node in fleet.nodes)
    print(
        f"{ROUNDS} rounds of {AT_ONCE} in {spent:.0f} s, {killed} nodes killed in them: "
        f"{len(history.all)} access tokens, {history.outages} requests without an answer"
    )
