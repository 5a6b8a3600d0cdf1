"""An installation moves from SQLite to PostgreSQL; tokens and keys go with it."""

from pathlib import Path

import pytest

from tests.cli.conftest import fill
from tests.cli.installation import ORDERS, Installation
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.proves("A6")


@pytest.mark.proves("O2", "F15")
def test_an_installation_moves_and_goes_on(
    fresh: Installation, postgres: PostgresCluster, tmp_path: Path
) -> None:
    fresh.start()
    fill(fresh)
    kept, revoked = fresh.issue("shop", ORDERS), fresh.issue("shop", ORDERS)
    fresh.must("revoke", "token", "-", stdin=revoked)
    keys = fresh.must("keys", "list")
    url = postgres.make_empty_database()
    address = fresh.directory / "address"
    address.write_text(url.replace("dojang@", "dojang:hunter2@"))

    refused = fresh.run("migrate", "--to-url-file", "address")
    assert refused.code == 3
    assert "stop it first" in refused.err
    assert fresh.stop() == 0
    where = url.replace("dojang@", "")
    moved = fresh.must("migrate", "--to-url-file", "address")
    assert moved["moved_to"] == where
    assert moved["rows"]["facts"] == 1

    for command in ("serve", "keys list"):
        refused = fresh.run(*command.split())
        assert refused.code == 2
        assert where in refused.err
        assert "storage.url" in refused.err
    toml = fresh.directory / "dojang.toml"
    toml.write_text(toml.read_text().replace('url = "sqlite:dojang.db"', 'url_file = "address"'))
    fresh.start()
    assert fresh.is_active(kept)
    assert not fresh.is_active(revoked)
    assert fresh.must("keys", "list") == keys
    assert fresh.must("audit", "verify")["intact"] is True
    assert fresh.must("audit", "list")["records"][-1]["action"] == "server.move"
    assert fresh.must("status")["epoch"] == 1
    assert fresh.stop() == 0
    assert "hunter2" not in fresh.log + refused.err + str(moved)


@pytest.mark.proves("O2")
def test_a_password_is_no_argument(fresh: Installation) -> None:
    refused = fresh.run("migrate", "--to", "postgresql://dojang:hunter2@127.0.0.1:1/dojang")
    assert refused.code == 2
    assert "--to-url-file" in refused.err
    assert "hunter2" not in refused.err + refused.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", "sqlite:///tmp/x.db"],
        ["--to", "postgresql://127.0.0.1:1/x", "--to-url-file", "dojang.toml"],
        ["--to", "postgresql://127.0.0.1:1/x", "--check"],
        ["--to-url-file", "nowhere"],
    ],
    ids=["not PostgreSQL", "two", "check", "no file"],
)
def test_what_makes_no_sense_changes_nothing(fresh: Installation, arguments: list[str]) -> None:
    assert fresh.run("migrate", *arguments).code == 2
    assert fresh.must("status")["missing"] == []


def test_a_database_out_of_reach_changes_nothing(fresh: Installation) -> None:
    assert fresh.run("migrate", "--to", "postgresql://dojang@127.0.0.1:1/x").code == 3
    assert fresh.must("status")["missing"] == []
