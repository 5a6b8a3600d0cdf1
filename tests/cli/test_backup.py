"""F15: a backup that is put back, by command or by hand, revives nothing."""

import json
import shutil
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dojang.cli.issuer_client import IssuerClient
from dojang.client import ClientSecretBasic
from tests.cli.conftest import fill
from tests.cli.installation import LONG, ORDERS, Installation
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.proves("F15", "C63", "C116")


@pytest.fixture
def running(fresh: Installation) -> Installation:
    fresh.start()
    fill(fresh)
    return fresh


def read_witness(installation: Installation) -> dict[str, Any]:
    file = installation.directory / "key-encryption.key.head"
    document = json.loads(file.read_text())
    assert isinstance(document, dict)
    return document


def wait_for_witness(installation: Installation, head: int) -> None:
    """Until the running server has said that it is so far."""
    until = time.monotonic() + LONG
    while read_witness(installation)["head"] < head:
        assert time.monotonic() < until
        time.sleep(0.02)


def issue(installation: Installation) -> str:
    return (
        IssuerClient(installation.issuer)
        .issue(find_client(installation, "shop"), ORDERS, None)
        .value
    )


def is_active(installation: Installation, token: str) -> bool:
    client = find_client(installation, "orders")
    active: bool = IssuerClient(installation.issuer).introspect(client, token)["active"]
    return active


def find_client(installation: Installation, name: str) -> ClientSecretBasic:
    return ClientSecretBasic(name, (installation.directory / f"{name}.secret").read_text().strip())


def list_kids(installation: Installation, *states: str) -> set[str]:
    keys = installation.must("keys", "list")["keys"]
    return {key["kid"] for key in keys if key["state"] in states}


def copy_back(installation: Installation, backup: str) -> None:
    """As somebody does who knows nothing of `dojang restore`."""
    for end in ("-wal", "-shm"):
        (installation.directory / f"dojang.db{end}").unlink(missing_ok=True)
    shutil.copy(installation.directory / backup, installation.directory / "dojang.db")


class Theft:
    """What was taken back after the backup was made: a token, a key, and with it another token."""

    def __init__(self, installation: Installation) -> None:
        self.kept = issue(installation)
        self.stolen = issue(installation)
        installation.must("backup", "monday.db")
        installation.must("revoke", "token", "-", stdin=self.stolen)
        (self.leaked,) = {
            key["kid"]
            for key in installation.must("keys", "list")["keys"]
            if key["state"] == "active" and key["use"] == "access_token"
        }
        installation.must("keys", "revoke", self.leaked)
        self.after = issue(installation)
        assert not is_active(installation, self.stolen)
        assert not is_active(installation, self.kept)
        assert is_active(installation, self.after)


def check_that_nothing_lives(installation: Installation, theft: Theft) -> None:
    for token in (theft.kept, theft.stolen, theft.after):
        assert not is_active(installation, token)
    assert is_active(installation, issue(installation))
    assert theft.leaked not in list_kids(installation, "active", "upcoming", "retained")
    assert installation.must("audit", "verify")["intact"] is True
    assert installation.must("audit", "list")["records"][-1]["action"] == "server.restore"


def test_a_backup_is_restored_and_revives_nothing(running: Installation) -> None:
    theft = Theft(running)
    refused = running.run("restore", "monday.db")
    assert refused.code == 3
    assert "stop it first" in refused.err
    assert running.stop() == 0
    witnessed = read_witness(running)
    done = running.must("restore", "monday.db")
    assert done["rev"][0] == 2
    kept = Path(done["kept"])
    assert kept.parent == running.directory
    assert read_witness(running) != witnessed
    running.start()
    check_that_nothing_lives(running, theft)
    # The database that was there can be looked into, and is older than what is there now.
    assert running.stop() == 0
    shutil.copy(kept, running.directory / "dojang.db")
    assert running.run("status").code == 2


def test_an_old_file_that_is_copied_back_stops_the_start(running: Installation) -> None:
    theft = Theft(running)
    assert running.stop() == 0
    copy_back(running, "monday.db")
    for command in (["serve"], ["status"], ["keys", "list"]):
        refused = running.run(*command)
        assert refused.code == 2, refused.err
        assert "dojang restore --in-place" in refused.err
        assert "older" in refused.err
    done = running.run("restore", "--in-place")
    assert done.code == 0, done.err
    assert "Every token of before is revoked" in done.out
    running.start()
    check_that_nothing_lives(running, theft)


def test_the_witness_is_there_even_after_a_kill(running: Installation) -> None:
    theft = Theft(running)
    head = running.must("status")["head"]
    wait_for_witness(running, head)
    running.stop(signal.SIGKILL)
    copy_back(running, "monday.db")
    refused = running.run("serve")
    assert refused.code == 2
    assert f"fact {head} of epoch 1" in refused.err
    running.must("restore", "monday.db")
    running.start()
    check_that_nothing_lives(running, theft)


def test_what_the_command_line_changes_is_witnessed_too(fresh: Installation) -> None:
    fill(fresh)
    fresh.must("backup", "monday.db")
    fresh.must("revoke", "client", "shop")
    copy_back(fresh, "monday.db")
    assert fresh.run("serve").code == 2


def test_restored_epochs_are_later_than_any_that_was(fresh: Installation) -> None:
    fill(fresh)
    fresh.must("backup", "monday.db")
    epochs = [fresh.must("restore", "monday.db")["rev"][0] for _ in range(2)]
    assert epochs == [2, 3]
    (fresh.directory / "key-encryption.key.head").unlink()  # then the database is asked
    assert fresh.must("restore", "monday.db")["rev"][0] == 4
    (fresh.directory / "dojang.db").write_bytes(b"rubbish")  # then the witness is
    assert fresh.must("restore", "monday.db")["rev"][0] == 5
    assert len(list(fresh.directory.glob("dojang.db.replaced-*"))) == 4
    assert not list(fresh.directory.glob("*.restoring*"))


def test_a_backup_is_made_of_a_server_at_work_and_read_by_its_owner_alone(
    running: Installation,
) -> None:
    for number in range(2):
        running.add_client(f"client{number}")
        done = running.must("backup", f"{number}.db")
        file = running.directory / f"{number}.db"
        assert done["bytes"] == file.stat().st_size
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        connection = sqlite3.connect(file)
        (count,) = connection.execute("SELECT count(*) FROM clients").fetchone()
        connection.close()
        assert count == 3 + number + 1  # operator, shop and orders are there
    refused = running.run("backup", "1.db")
    assert refused.code == 2
    assert "exists already" in refused.err
    assert running.run("backup", "nowhere/1.db").code == 2


BAD_FILES: dict[str, bytes | None] = {
    "missing.db": None,
    "empty.db": b"",
    "rubbish.db": b"rubbish" * 1000,
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_backup_changes_nothing(fresh: Installation, name: str) -> None:
    if (content := BAD_FILES[name]) is not None:
        (fresh.directory / name).write_bytes(content)
    before = fresh.must("audit", "list")
    refused = fresh.run("restore", name)
    assert refused.code == 2
    assert "cannot be restored" in refused.err
    assert fresh.must("audit", "list") == before
    assert not list(fresh.directory.glob("*.restoring*"))


def test_a_backup_of_another_installation_changes_nothing(
    fresh: Installation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Installation(tmp_path_factory.mktemp("other"))
    other.must("backup", "monday.db")
    refused = fresh.run("restore", str(other.directory / "monday.db"))
    assert refused.code == 2
    assert "key-encryption key" in refused.err
    assert fresh.must("status")["epoch"] == 1


def test_a_damaged_witness_stops_the_start(fresh: Installation) -> None:
    witness = fresh.directory / "key-encryption.key.head"
    witness.write_text("{}")
    refused = fresh.run("serve")
    assert refused.code == 2
    assert str(witness.name) in refused.err
    witness.unlink()
    fresh.must("status")
    assert read_witness(fresh)["epoch"] == 1


def test_a_witness_that_cannot_be_written_stops_nobody(fresh: Installation) -> None:
    env = {"DOJANG_KEYS__WITNESS": str(fresh.directory / "nowhere" / "head")}
    assert fresh.run("keys", "list", env=env).code == 0
    assert not (fresh.directory / "nowhere").exists()


def test_the_witness_can_be_elsewhere(fresh: Installation) -> None:
    with (fresh.directory / "dojang.toml").open("a") as stream:
        stream.write('\n[log]\nlevel = "error"\n')
    config = fresh.directory / "dojang.toml"
    config.write_text(config.read_text().replace("[keys]", '[keys]\nwitness = "elsewhere"'))
    (fresh.directory / "key-encryption.key.head").unlink()
    fill(fresh)
    assert (fresh.directory / "elsewhere").exists()
    assert not (fresh.directory / "key-encryption.key.head").exists()


@pytest.mark.parametrize("arguments", [[], ["monday.db", "--in-place"]])
def test_restore_is_told_one_thing(fresh: Installation, arguments: list[str]) -> None:
    refused = fresh.run("restore", *arguments)
    assert refused.code == 2
    assert "--in-place" in refused.err


@pytest.fixture
def on_postgres(tmp_path: Path, postgres: PostgresCluster) -> Iterator[Installation]:
    address = tmp_path / "address"
    address.write_text(postgres.make_empty_database())
    home = tmp_path / "auth"
    home.mkdir()
    installation = Installation(home, f"--storage-url-file={address}")
    yield installation
    if installation.is_running:
        installation.stop()


@pytest.mark.proves("A6")
def test_a_postgresql_dump_that_is_loaded_back_revives_nothing(
    on_postgres: Installation, postgres: PostgresCluster, tmp_path: Path
) -> None:
    fill(on_postgres)
    on_postgres.start()
    refused = on_postgres.run("backup", "monday.db")
    assert refused.code == 2
    assert "pg_dump" in refused.err
    kept = issue(on_postgres)
    stolen = issue(on_postgres)
    dump = postgres.dump((tmp_path / "address").read_text())
    on_postgres.must("revoke", "token", "-", stdin=stolen)
    assert on_postgres.stop() == 0
    refused = on_postgres.run("restore", "monday.db")
    assert refused.code == 2
    assert "--in-place" in refused.err

    copy = postgres.make_empty_database()
    postgres.load_dump(dump, copy)
    (tmp_path / "address").write_text(copy)
    assert on_postgres.run("serve").code == 2
    on_postgres.must("restore", "--in-place")
    on_postgres.start()
    assert not is_active(on_postgres, stolen)
    assert not is_active(on_postgres, kept)
    assert is_active(on_postgres, issue(on_postgres))


@pytest.mark.proves("A6")
def test_a_postgresql_server_that_runs_sees_the_restore(
    on_postgres: Installation, postgres: PostgresCluster
) -> None:
    fill(on_postgres)
    on_postgres.start()
    token = issue(on_postgres)
    assert is_active(on_postgres, token)
    on_postgres.must("restore", "--in-place")
    assert not is_active(on_postgres, token)
    assert is_active(on_postgres, issue(on_postgres))
