"""An installation on PostgreSQL: its address, which holds a password, stays in its file."""

from pathlib import Path

import pytest

from tests.cli.conftest import fill
from tests.cli.installation import ORDERS, Installation, dojang
from tests.services.postgres import PostgresCluster, postgres

__all__ = ["postgres"]


@pytest.mark.proves("A6", "A5", "O2")
def test_it_is_initialised_served_and_administered(
    tmp_path: Path, postgres: PostgresCluster
) -> None:
    address = tmp_path / "address"
    url = postgres.make_empty_database().replace("dojang@", "dojang:hunter2@")
    address.write_text(url)
    home = tmp_path / "auth"
    home.mkdir()
    installation = Installation(home, f"--storage-url-file={address}")
    assert installation.made.code == 0, installation.made.err
    assert not (home / "dojang.db").exists()
    fill(installation)  # in process: no server runs
    installation.start()
    token = installation.issue("shop", ORDERS)
    assert installation.is_active(token)
    installation.must("revoke", "token", "-", stdin=token)
    assert not installation.is_active(token)
    shown = installation.run("config", "show").out
    assert installation.stop() == 0
    assert "hunter2" not in shown + installation.log + installation.made.out
    again = dojang("init", "other", f"--storage-url-file={address}", cwd=tmp_path)
    assert again.code == 2
    assert "holds an installation already" in again.err
    assert list((tmp_path / "other").iterdir()) == []
    assert installation.must("keys", "list")["keys"]
