"""F19: the release before this one and this one serve one PostgreSQL database side by side, while
it is migrated under load; and one step back works."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from dojang.cli.errors import Exit, Failure
from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from dojang.storage.migrate import current, downgrade
from tests.cli.conftest import fill
from tests.cli.installation import DOJANG, ORDERS, Installation, find_free_ports
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from dojang.cli import main; sys.exit(main())"
PREVIOUS = "40fa2b5"  # the last commit of the release before this one
BEFORE = "0001"  # its schema

pytestmark = pytest.mark.proves("F19", "C118")


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command line of the release before, from this repository's history."""
    home = tmp_path_factory.mktemp("previous")
    archive = subprocess.run(
        ["git", "archive", PREVIOUS, "src"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(f"the history has no {PREVIOUS}")
    subprocess.run(["tar", "-x", "-C", home], input=archive.stdout, check=True)
    program = home / "dojang"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{home}/src" exec "{sys.executable}" -c "{MAIN}" "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


class Site:
    """Old and new nodes of one installation, and its clients."""

    def __init__(self, home: Path, previous: str, url: str) -> None:
        address = home / "address"
        address.write_text(url)
        (home / "old").mkdir()
        self.old = Installation(home / "old", f"--storage-url-file={address}", program=previous)
        assert self.old.made.code == 0, self.old.made.err
        self.new = Installation.__new__(Installation)
        self.new.__dict__.update(self.old.__dict__)
        self.new.directory, self.new.program = home / "new", DOJANG
        self.new.public, self.new.management = find_free_ports(2)

    def copy_installation(self) -> None:
        """The new release is set up as the old one is, on other ports."""
        shutil.copytree(self.old.directory, self.new.directory)
        toml = self.new.directory / "dojang.toml"
        text = toml.read_text()
        for port in ("public", "management"):
            listening = f'{port} = "127.0.0.1:{getattr(self.old, port)}"'
            assert listening in text
            text = text.replace(listening, f'{port} = "127.0.0.1:{getattr(self.new, port)}"')
        toml.write_text(text)

    def reach(self, node: Installation) -> IssuerClient:
        return IssuerClient(self.old.issuer, fetch_from=f"http://127.0.0.1:{node.public}")

    def find_client(self, name: str) -> ClientSecretBasic:
        secret = (self.old.directory / f"{name}.secret").read_text().strip()
        return ClientSecretBasic(name, secret)

    def issue(self, node: Installation, name: str = "shop") -> str:
        return self.reach(node).issue(self.find_client(name), ORDERS, None).value

    def is_active(self, node: Installation, token: str) -> bool:
        answer = self.reach(node).introspect(self.find_client("orders"), token)
        active: bool = answer["active"]
        return active

    @property
    def nodes(self) -> list[Installation]:
        return [self.old, self.new]


@pytest.fixture
def site(tmp_path: Path, previous: str, postgres: PostgresCluster) -> Iterator[Site]:
    made = Site(tmp_path, previous, postgres.make_empty_database())
    made.old.start()
    fill(made.old)
    made.copy_installation()
    yield made
    for node in made.nodes:
        if node.is_running:
            node.stop()


@contextmanager
def load(site: Site, node: Installation) -> Iterator[list[Failure]]:
    """A client that gets tokens from a node and asks about them. What it failed in."""
    failures: list[Failure] = []
    stopped = Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                assert site.is_active(node, site.issue(node))
            except Failure as failure:
                failures.append(failure)

    thread = Thread(target=work)
    thread.start()
    try:
        yield failures
    finally:
        stopped.set()
        thread.join()


def test_two_releases_serve_one_database(site: Site) -> None:
    old, new = site.nodes
    before = site.issue(old)
    with load(site, old) as failures:
        migrated = new.must("migrate")
        assert migrated["found"] == BEFORE
        new.start()
    assert {failure.code for failure in failures} <= {Exit.UNREACHABLE}
    assert not any("500" in failure.message for failure in failures)

    # What one issues the other knows, and what one takes back the other refuses at once.
    assert [site.is_active(node, before) for node in site.nodes] == [True, True]
    for issuing in site.nodes:
        for revoking in site.nodes:
            token = site.issue(issuing)
            assert [site.is_active(node, token) for node in site.nodes] == [True, True]
            site.reach(revoking).revoke(site.find_client("shop"), token)
            assert [site.is_active(node, token) for node in site.nodes] == [False, False]

    # What one changes of clients and keys the other goes by at once.
    for changing, other in ((old, new), (new, old)):
        assert site.is_active(other, site.issue(other))
        changing.must("client", "disable", "shop")
        with pytest.raises(Failure, match=r"invalid_client|unauthorized_client"):
            site.issue(other)
        changing.must("client", "enable", "shop")
        token = site.issue(other)
        (active,) = {
            key["kid"]
            for key in changing.must("keys", "list")["keys"]
            if key["state"] == "active" and key["use"] == "access_token"
        }
        changing.must("keys", "revoke", active)
        assert [site.is_active(node, token) for node in site.nodes] == [False, False]
        assert site.is_active(changing, site.issue(other))

    assert new.must("audit", "verify")["intact"] is True
    assert old.must("audit", "verify")["intact"] is True
    kept = site.issue(old)
    assert old.stop() == 0
    assert site.is_active(new, kept)
    assert "Traceback" not in old.log + new.log


async def go_back(url: str) -> None:
    """To the schema of the release before this one."""
    while await current(url) != BEFORE:
        await downgrade(url)


def test_going_back_works(site: Site, tmp_path: Path) -> None:
    old, new = site.nodes
    kept, revoked = site.issue(old), site.issue(old)
    assert old.stop() == 0
    new.must("migrate")
    new.start()
    site.reach(new).revoke(site.find_client("shop"), revoked)
    made = site.issue(new)
    assert new.stop() == 0
    asyncio.run(go_back((tmp_path / "address").read_text()))
    old.start()
    assert [site.is_active(old, token) for token in (kept, made, revoked)] == [True, True, False]
    assert old.must("audit", "verify")["intact"] is True
    assert "Traceback" not in old.log + new.log


def test_the_release_before_is_another_one(previous: str) -> None:
    shown = subprocess.run(
        [previous, "migrate", "--help"], capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert "--to" not in shown.stdout
