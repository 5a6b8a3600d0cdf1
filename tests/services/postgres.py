"""A PostgreSQL cluster of our own: real processes, fsync on, gone at the end of the tests.

`postgres` gives one that all tests share; `broken_postgres` one that a test may kill and freeze.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from dojang.storage import postgres_connections
from dojang.storage.migrate import upgrade
from dojang.storage.schema import metadata

PATIENCE = 60.0  # seconds
TEMPLATE = "dojang_template"
TABLES = (*(table.name for table in metadata.sorted_tables if table.name != "head"), "followers")
CLEAN = (
    "SET dojang.counts = 'on'; "
    + "".join(f"DELETE FROM {table}; " for table in TABLES)
    + "UPDATE head SET epoch = 1, number = 0, generation = 0, audit_number = 0, "
    "audit_digest = NULL, fact_digest = NULL, directory = 0, lineage = NULL"
)
INSTALL = "PostgreSQL is not installed; type: apt-get install -y postgresql"


def find_programs() -> Path | None:
    """The newest installed initdb's directory."""

    def version(program: Path) -> float:
        return float(program.parts[-3])

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=version)
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def find_owner() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root. None stands for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("no user postgres or nobody to run PostgreSQL as")


class PostgresCluster:
    """A server with its own data directory, on loopback and on a unix socket in `home`; and for
    whoever comes by `doors`, which are addresses of this machine, each a network of its own."""

    def __init__(
        self,
        programs: Path,
        *,
        standby_of: "PostgresCluster | None" = None,
        home: Path | None = None,
        initdb: Sequence[str] = (),
        doors: Sequence[str] = (),
    ) -> None:
        self._programs = programs
        self._doors = doors
        self._owner = find_owner()
        self._server: subprocess.Popen[bytes] | None = None
        self._names = iter(range(1, 1_000_000))
        self.last_database = ""
        self.home = home or Path(tempfile.mkdtemp(prefix="dojang-pg-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        if self._owner:
            os.chown(self.home, self._owner.pw_uid, self._owner.pw_gid)
        if standby_of is None:
            options = ["-U", "dojang", "-A", "trust", "-E", "UTF8", *initdb]
            self._run("initdb", "-D", str(self._data), *options)
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.writelines("host all all samenet trust\n" for _ in doors[:1])
        else:
            source = ["-h", "127.0.0.1", "-p", str(standby_of.port), "-U", "dojang"]
            self._run("pg_basebackup", "-D", str(self._data), "-R", "-c", "fast", *source)

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _rights(self) -> dict[str, Any]:
        if self._owner is None:
            return {"cwd": "/"}
        user, group = self._owner.pw_uid, self._owner.pw_gid
        return {"cwd": "/", "user": user, "group": group, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> str:
        run: subprocess.CompletedProcess[str] = subprocess.run(
            [self._programs / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            **self._rights,
        )
        if run.returncode != 0:
            raise RuntimeError(f"{program}: {run.stderr}")
        return run.stdout

    def start(self) -> None:
        """Return when it accepts connections; after a crash, when it has recovered."""
        deadline = time.monotonic() + PATIENCE
        settings = {
            "listen_addresses": ",".join(["127.0.0.1", *self._doors]),
            "unix_socket_directories": str(self.home),
            "max_connections": "100",
            "fsync": "on",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        while time.monotonic() < deadline:
            with (self.home / "log").open("ab") as log:
                self._server = subprocess.Popen(
                    [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._rights,
                )
            # A start right after a kill fails until the last child of the killed one is gone.
            while self._server.poll() is None:
                with suppress(RuntimeError):
                    self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
                    return
                time.sleep(0.02)
        raise RuntimeError((self.home / "log").read_text())

    def _signal(self, number: int) -> None:
        assert self._server is not None
        os.kill(self._server.pid, number)

    def stop(self) -> None:
        """Shut down, ending every connection."""
        if self._server is not None:
            self.thaw()
            self._signal(signal.SIGINT)
            self._server.wait(PATIENCE)
            self._server = None

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children follow it."""
        assert self._server is not None
        self._signal(signal.SIGKILL)
        self._server.wait(PATIENCE)
        self._server = None

    @property
    def is_running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def freeze(self) -> None:
        """SIGSTOP to every process: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)  # first, so that it starts no other
        for child in self._find_children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        for child in self._find_children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        self._signal(signal.SIGCONT)

    def _find_children(self) -> list[int]:
        assert self._server is not None
        path = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def run_sql(self, statement: str, *, database: str = "postgres") -> str:
        """What psql prints for `statement`."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "dojang", "-d", database]
        return self._run("psql", "-X", "-q", "-A", "-t", *where, "-c", statement).strip()

    def make_standby(self) -> "PostgresCluster":
        """Another server that follows this one; it runs and has come as far."""
        standby = PostgresCluster(self._programs, standby_of=self)
        standby.start()
        deadline = time.monotonic() + PATIENCE
        behind = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        while self.run_sql(behind) == "0":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return standby

    def replicate_synchronously(self) -> None:
        """Acknowledge no commit before a standby has it on its disk."""
        self.run_sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.run_sql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + PATIENCE
        while (
            self.run_sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
            == "0"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def promote(self) -> None:
        """Make a standby a primary; return when it is one."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def make_url(self, database: str) -> str:
        """The address of a database of this cluster."""
        return f"postgresql://dojang@127.0.0.1:{self.port}/{database}"

    def make_socket_url(self, database: str) -> str:
        """The same by unix socket."""
        return f"postgresql://dojang@/{database}?host={self.home}&port={self.port}"

    def make_empty_database(self) -> str:
        """The address of a new database without a schema."""
        name = f"empty_{next(self._names)}"
        self.run_sql(f"CREATE DATABASE {name}")
        return self.make_url(name)

    @cached_property
    def _template(self) -> str:
        self.run_sql(f"CREATE DATABASE {TEMPLATE}")
        with ThreadPoolExecutor(1) as thread:  # the test's own event loop may be running
            thread.submit(asyncio.run, upgrade(self.make_url(TEMPLATE))).result()
        return TEMPLATE

    def make_database(self) -> str:
        """The address of a new database with the newest schema."""
        template = self._template
        self.last_database = f"test_{next(self._names)}"
        self.run_sql(f"CREATE DATABASE {self.last_database} TEMPLATE {template}")
        return self.make_url(self.last_database)

    def dump_schema(self, url: str) -> str:
        """The statements that make the tables of the database at `url`, Alembic's aside."""
        options = ["--schema-only", "--no-owner", "--exclude-table=alembic_version"]
        dump = self._run("pg_dump", *options, "-d", url)
        lines = (line for line in dump.splitlines() if not line.startswith(("--", "\\")))
        return "\n".join(lines)

    def dump(self, url: str) -> str:
        """Everything in the database at `url`, as statements."""
        return self._run("pg_dump", "--no-owner", "-d", url)

    def load_dump(self, dump: str, url: str) -> None:
        """Run the statements of `dump` in the database at `url`."""
        file = self.home / "dump.sql"
        file.write_text(dump)
        file.chmod(0o644)
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", str(file))

    def remove(self) -> None:
        """End it without ceremony and delete its files."""
        if self.is_running:
            assert self._server is not None
            self.thaw()
            self._signal(signal.SIGQUIT)
            self._server.wait(PATIENCE)
        shutil.rmtree(self.home, ignore_errors=self.home.is_mount())


def require_programs() -> Path:
    """Where PostgreSQL is. Without it the test is skipped, or fails in CI."""
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    return programs


def run_cluster() -> Iterator[PostgresCluster]:
    """A running cluster, for a fixture."""
    cluster = PostgresCluster(require_programs())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    yield from run_cluster()


@pytest.fixture(scope="module")
def broken_postgres() -> Iterator[PostgresCluster]:
    yield from run_cluster()


@pytest.fixture
def patient_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine is no fault: stores of this process wait longer than they do in service."""
    monkeypatch.setattr(postgres_connections, "CONNECT_TIMEOUT", PATIENCE)
    monkeypatch.setattr(postgres_connections, "STATEMENT_TIMEOUT", PATIENCE)


@pytest.fixture(scope="session")
def clean_databases() -> list[str]:
    return []


@pytest.fixture
def postgres_url(
    postgres: PostgresCluster, clean_databases: list[str], patient_stores: None
) -> Iterator[str]:
    """An empty database; a used one is emptied for the next test."""
    url = clean_databases.pop() if clean_databases else postgres.make_database()
    yield url
    postgres.run_sql(CLEAN, database=url.rpartition("/")[2])
    clean_databases.append(url)
