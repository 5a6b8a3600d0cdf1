"""Two nodes on one PostgreSQL database, each a process on a host of its own, with clocks 5 s apart.
Cables to the database and to who follows them are cut. DOJANG_PARTITIONS sets how often (1 by
default)."""

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dojang.cli.errors import Failure
from dojang.fetch import FetchRequest, HttpTransport
from dojang.testing.fault_proxy import FaultProxy
from tests.cli.conftest import fill
from tests.cli.installation import DOJANG, LONG, Done, Installation, environment
from tests.faults.asking import Caller, Service, at_work, wait_until
from tests.faults.history import History, OpenFiles
from tests.server.front_door import basic_raw
from tests.services.faketime import WrongClock
from tests.services.network import Network, require_network, run_on
from tests.services.postgres import PostgresCluster, require_programs

PARTITIONS = int(os.environ.get("DOJANG_PARTITIONS", "1"))
ISSUER = "https://auth.example"
DATABASE = "dojang"
PORT = 8460
APART = 5.0  # seconds between the clocks of the nodes
ENOUGH = 5  # revocations
SELDOM = 0.2  # seconds between looks that cost a process
PAUSE = 0.05  # seconds: there is more to look at than load
LEADER = (
    "SELECT host(client_addr) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted"
)


class Node:
    """A server on a host of its own. By one cable it reaches the database, by another clients reach
    it, by a third who follows it."""

    def __init__(self, network: Network, name: str) -> None:
        self._host = network.add_host(name)
        self.to_database = network.link(self._host)
        self.to_clients = network.link(self._host)
        self.to_followers = network.link(self._host)
        self._stack = ExitStack()
        self._home = Path()
        self._environment: dict[str, str] = {}
        self.server: subprocess.Popen[bytes] | None = None

    def start(self, control: Installation, home: Path, cluster_port: int, ahead: float) -> None:
        """Serve what `control` made, with a clock that is `ahead` (seconds)."""
        shutil.copytree(control.directory, home)
        url = f"postgresql://dojang@{self.to_database.near}:{cluster_port}/{DATABASE}"
        self._home = home
        self._environment = environment(
            DOJANG_STORAGE__URL=f"{url}?sslmode=disable",
            DOJANG_LISTEN__PUBLIC=f"0.0.0.0:{PORT}",
            DOJANG_LISTEN__MANAGEMENT=f"unix:{home / 'socket'}",
        )
        clock = WrongClock(home / "clock", ahead=ahead).environment if ahead else {}
        with (home / "log").open("wb") as log:
            self.server = subprocess.Popen(
                [*run_on(self._host), DOJANG, "serve"],
                cwd=home,
                env=self._environment | clock,
                stderr=log,
            )
        self.door, self.feed = (
            self._stack.enter_context(FaultProxy(link.far, PORT)).url
            for link in (self.to_clients, self.to_followers)
        )
        self.caller = Caller(ISSUER, home, fetch_from=self.door)
        wait_until(self.serves)

    def serves(self) -> bool:
        try:
            self.caller.issue(History())
        except Failure:
            return False
        return True

    @property
    def log(self) -> str:
        return (self._home / "log").read_text()

    def operate(self, *words: str) -> dict[str, Any]:
        """What an operator does at this node."""
        done = Done(
            subprocess.run(
                [*run_on(self._host), DOJANG, *words, "--json"],
                cwd=self._home,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=LONG,
                check=False,
            )
        )
        assert done.code == 0, done.err
        return done.json()

    def post(self, path: str, form: str) -> tuple[int, dict[str, str]]:
        """Status and header of the answer to the client `shop`."""
        secret = (self._home / "shop.secret").read_text().strip()
        name, value = basic_raw(f"shop:{secret}".encode())
        headers = (
            (name.decode(), value.decode()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        )
        transport = HttpTransport()
        url = self.door + path
        try:
            answer = transport.send(FetchRequest("POST", url, headers, form.encode(), timeout=20))
        finally:
            transport.close()
        return answer.status, dict(answer.headers)

    @contextmanager
    def service(self, name: str | None = None) -> Iterator[Service]:
        """A service that follows this node."""
        service = Service(self.caller, ISSUER, door=self.door, feed=self.feed, name=name)
        try:
            service.catch_up()
            yield service
        finally:
            service.close()

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(LONG) == 0
        self._stack.close()


class Site:
    """Two nodes, of which `ahead` has the fast clock, and the database that they share."""

    def __init__(self, network: Network, home: Path) -> None:
        self._stack = ExitStack()
        self.right, self.ahead = Node(network, "one"), Node(network, "two")
        doors = [node.to_database.near for node in self.nodes]
        self._cluster = PostgresCluster(require_programs(), doors=doors)
        self._stack.callback(self._cluster.remove)
        self._cluster.start()
        self._cluster.run_sql(f"CREATE DATABASE {DATABASE}")
        (home / "address").write_text(self._cluster.make_url(DATABASE) + "?sslmode=disable")
        (home / "control").mkdir()
        self.control = Installation(
            home / "control", f"--storage-url-file={home / 'address'}", f"--issuer={ISSUER}"
        )
        assert self.control.made.code == 0, self.control.made.err
        fill(self.control)
        for node, ahead in ((self.right, 0.0), (self.ahead, APART)):
            self._stack.callback(node.stop)
            node.start(self.control, home / f"ahead{ahead:.0f}", self._cluster.port, ahead)

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.right, self.ahead

    def find_leader(self) -> Node | None:
        address = self._cluster.run_sql(LEADER, database=DATABASE)
        return {node.to_database.far: node for node in self.nodes}.get(address)

    def find_leader_and_other(self) -> tuple[Node, Node]:
        wait_until(lambda: self.find_leader() is not None, every=SELDOM)
        leader = self.find_leader()
        assert leader is not None
        (other,) = {*self.nodes} - {leader}
        return leader, other

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    network = require_network()
    home = Path(tempfile.mkdtemp(prefix="dojang-nodes-"))
    home.chmod(0o755)
    try:
        made = Site(network, home)
        try:
            yield made
        finally:
            made.close()
        for node in made.nodes:
            traces = [line for line in node.log.splitlines() if "Traceback" in line]
            assert not traces, traces
    finally:
        network.remove()
        shutil.rmtree(home)


def give_back(history: History, *nodes: Node) -> None:
    """Issue on one node, revoke on one, ask all; which is which is chance."""
    kept = random.choice(nodes).caller.issue(history)
    token = random.choice(nodes).caller.issue(history)
    random.choice(nodes).caller.revoke(history, token)
    for node in nodes:
        node.caller.ask(history, token)
        node.caller.ask(history, kept)
    time.sleep(PAUSE)


def judge(history: History, service: Service) -> None:
    if tokens := history.all:
        service.ask(history, random.choice(tokens[-50:]))
    time.sleep(0.02)


def is_sure(service: Service, history: History) -> bool:
    """What is known to be revoked is refused however old a view is: here is asked of what lives."""
    return service.ask(history, random.choice(history.alive)) is not None


def wait_for(history: History, revocations: int) -> None:
    wanted = len(history.dead) + revocations
    wait_until(lambda: len(history.dead) >= wanted or bool(history.problems))


@pytest.mark.proves("F12", "V3")
def test_order_decides_where_clocks_are_apart(site: Site) -> None:
    """Node two is ahead: what it issued before seems later than the fact, and a fact of its own
    later than what node one issues after it."""
    for issuing, revoking, again in (
        (site.ahead, site.right, site.right),
        (site.right, site.ahead, site.right),
    ):
        history = History()
        with issuing.service() as here, again.service() as there:
            before = issuing.caller.issue(history)
            history.revoking(before)
            revoking.operate("revoke", "client", "shop")
            history.revoked(before)
            after = again.caller.issue(history)
            for node in site.nodes:
                assert not node.caller.ask(history, before)
                assert node.caller.ask(history, after)
            for service in (here, there):
                service.check_all(history)
        assert history.problems == []


@pytest.mark.proves("F12", "V3", "A6")
def test_what_one_node_revoked_is_active_on_neither(site: Site) -> None:
    history = History()
    with site.right.service() as here, site.ahead.service() as there:
        jobs = [partial(give_back, history, *site.nodes)] * 2
        with at_work(history, *jobs, partial(judge, history, here), partial(judge, history, there)):
            wait_for(history, 3 * ENOUGH)
        for service in (here, there):
            service.check_all(history)
    assert history.problems == []


@pytest.mark.proves("F6", "F7", "F22", "O3")
def test_a_node_without_its_database_says_so_and_comes_back(site: Site) -> None:
    """It led, too: the other leads now."""
    for _ in range(PARTITIONS):
        hang_up(site)
        files, history = OpenFiles(), History()
        print(cut_from_database(site, history))
        assert history.problems == []
        hang_up(site)
        files.check()


def hang_up(site: Site) -> None:
    for node in site.nodes:
        node.caller.hang_up()


def cut_from_database(site: Site, history: History) -> str:
    """How long things took, in words."""
    cut, other = site.find_leader_and_other()
    with cut.service() as blind, other.service() as seeing:
        jobs = [
            partial(give_back, history, *site.nodes),
            partial(give_back, history, other),
            partial(judge, history, blind),
            partial(judge, history, seeing),
        ]
        with at_work(history, *jobs):
            wait_for(history, ENOUGH)
            cut.to_database.cut_here()
            cut_at = time.monotonic()
            refuse_all(cut)
            wait_for(history, ENOUGH)
            wait_until(lambda: not is_sure(blind, history))
            wait_until(lambda: site.find_leader() is other, every=SELDOM)
            led = time.monotonic() - cut_at
            cut.to_database.mend()
            back = wait_until(cut.serves)
            wait_for(history, ENOUGH)
        for service in (blind, seeing):
            service.check_all(history)
    for node in site.nodes:
        for token in history.all:
            node.caller.ask(history, token)
    return (
        f"{len(history.dead)} revoked, {history.answers} answers, {history.outages} without; "
        f"another leads after {led:.1f} s, back {back:.1f} s after the cable"
    )


def refuse_all(node: Node) -> None:
    """Nothing but "later", with a time (C89); what needs no database is answered."""
    paths = ("/token", "/introspect", "/revoke")
    with ThreadPoolExecutor() as pool:
        answers = pool.map(partial(node.post, form="grant_type=client_credentials&token=a"), paths)
        for status, headers in answers:
            assert status == 503
            assert int(headers["retry-after"]) > 0
    assert node.caller.client.fetch_keys()


@pytest.mark.proves("F6", "V3")
def test_a_service_cut_off_from_its_node_relies_on_nothing_old(site: Site) -> None:
    for number in range(PARTITIONS):
        history = History()
        print(cut_from_follower(site, site.nodes[number % 2], history))
        assert history.problems == []


def cut_from_follower(site: Site, node: Node, history: History) -> str:
    """How long it took, in words."""
    with node.service() as service:
        jobs = [partial(give_back, history, *site.nodes), partial(judge, history, service)]
        with at_work(history, *jobs):
            wait_for(history, ENOUGH)
            node.to_followers.cut_there()
            wait_until(lambda: not is_sure(service, history))
            wait_for(history, ENOUGH)
            node.to_followers.mend()
            back = wait_until(lambda: is_sure(service, history))
            wait_for(history, ENOUGH)
        service.check_all(history)
    return f"{len(history.dead)} revoked, {history.answers} answers, fresh after {back:.1f} s"


@pytest.mark.proves("F3", "C96")
def test_the_leader_waits_for_a_service_that_follows_the_other_node(site: Site) -> None:
    leader, other = site.find_leader_and_other()
    with other.service("waited-for"):
        other.to_clients.cut_there()  # no key set comes through any more
        site.control.must(
            "resource", "add", "urn:waiting", "--scope=x", "--algorithm=ES384", "--followers-only"
        )
        site.control.must("keys", "rotate", "--algorithm=ES384")

        def find_lacking() -> list[str]:
            rotations = leader.operate("status")["rotations"]
            return [each["name"] for rotation in rotations for each in rotation["lacking"]]

        wait_until(lambda: "waited-for" in find_lacking(), every=SELDOM)
    other.to_clients.mend()
