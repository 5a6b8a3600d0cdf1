"""`dojang serve` as a process: how it starts, what stops it from starting, and what survives it."""

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from dojang.jose import base64url
from tests.cli.conftest import fill
from tests.cli.installation import LONG, ORDERS, Installation, environment

HEAVY = ("sqlalchemy", "alembic", "pydantic", "jinja2", "typer", "click", "rich", "fastapi")
IMPORTED_LATER = "import time:"


def find_imports(stderr: str) -> set[str]:
    """Top-level names in what `python -X importtime` wrote."""
    lines = [line for line in stderr.splitlines() if line.startswith(IMPORTED_LATER)]
    return {line.rpartition("|")[2].strip().partition(".")[0].lower() for line in lines}


@pytest.mark.proves("A5", "A6")
def test_nothing_heavy_is_imported_before_the_first_token(fresh: Installation) -> None:
    fill(fresh)
    fresh.start([sys.executable, "-X", "importtime", "-c", "from dojang.cli import main; main()"])
    fresh.issue("shop", ORDERS)
    assert fresh.stop() == 0
    imported = find_imports(fresh.log)
    assert {"dojang", "cryptography", "msgspec"} <= imported
    assert sorted(imported.intersection(HEAVY)) == []
    assert not [name for name in imported if name.startswith("pydantic")]


@pytest.mark.proves("F14", "O2")
@pytest.mark.parametrize("damage", ["another", "gone", "cut", "not named"])
def test_without_its_key_encryption_key_it_refuses_and_makes_no_keys(
    fresh: Installation, damage: str
) -> None:
    key_file = fresh.directory / "key-encryption.key"
    database = fresh.directory / "dojang.db"
    right = key_file.read_text()
    before = fresh.must("keys", "list")
    rows = database.read_bytes()
    toml = fresh.directory / "dojang.toml"
    text = toml.read_text()
    wrong = base64url.encode(bytes(32))
    if damage == "another":
        key_file.write_text(wrong)
    elif damage == "gone":
        key_file.unlink()
    elif damage == "cut":
        key_file.write_text(right[:20])
    else:
        toml.write_text(text.replace("encryption_key_file", "# encryption_key_file"))
    for command in ("serve", "keys list", "client add x"):
        done = fresh.run(*command.split())
        assert done.code == 2, done.err
        assert "key-encryption key" in done.err or "keys.encryption_key" in done.err
        assert "Traceback" not in done.err
        assert wrong not in done.out + done.err
        assert right.strip() not in done.out + done.err
    assert database.read_bytes() == rows
    key_file.write_text(right)
    toml.write_text(text)
    assert fresh.must("keys", "list") == before


@pytest.mark.proves("F14")
def test_an_empty_database_is_not_filled_in_silence(fresh: Installation) -> None:
    database = fresh.directory / "dojang.db"
    database.unlink()
    assert fresh.run("serve").code in {2, 3}
    assert not database.exists()
    assert fresh.must("migrate")["found"] is None
    done = fresh.run("serve")
    assert done.code == 2
    assert "holds no keys" in done.err


def test_a_second_server_on_the_same_database_is_told_who_holds_it(served: Installation) -> None:
    done = served.run("serve")
    assert done.code == 3
    assert "in use by process" in done.err


def test_a_taken_address_is_named(fresh: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", fresh.public))
        taken.listen()
        done = fresh.run("serve")
    assert done.code == 2
    assert f"listen.public = 127.0.0.1:{fresh.public}" in done.err
    assert "Traceback" not in done.err


def test_health_is_told_from_outside(served: Installation, fresh: Installation) -> None:
    assert served.must("healthcheck") == {"ready": True, "missing": []}
    gone = fresh.run("healthcheck", "--json")
    assert gone.code == 3
    assert "does not answer: no connection" in gone.err


def test_the_admin_api_is_on_the_management_listener_alone(served: Installation) -> None:
    status = []
    for port in (served.public, served.management):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/admin/v1/status")
        try:
            urllib.request.urlopen(request, timeout=LONG)
        except urllib.error.HTTPError as error:
            status.append(error.code)
            error.close()
    assert status == [404, 401]


def test_listeners_may_be_sockets(tmp_path: Path) -> None:
    home = tmp_path / "auth"
    home.mkdir()
    installation = Installation(home)
    toml = home / "dojang.toml"
    text = toml.read_text()
    text = text.replace(f'127.0.0.1:{installation.public}"\n# Admin', 'unix:PUBLIC"\n# Admin')
    text = text.replace(f"127.0.0.1:{installation.management}", "unix:MANAGEMENT")
    public, management = tmp_path / "p.sock", tmp_path / "m.sock"
    toml.write_text(text.replace("PUBLIC", str(public)).replace("MANAGEMENT", str(management)))
    installation.start()
    try:
        assert public.is_socket()
        assert installation.must("healthcheck")["ready"] is True
        assert installation.must("resource", "add", ORDERS, "--scope=a")["resource"]
        assert installation.must("audit", "list")["records"][-1]["actor"] == "operator"
    finally:
        assert installation.stop() == 0


def test_migrate_says_whether_there_is_work(fresh: Installation) -> None:
    assert fresh.must("migrate", "--check")["current"] is True
    (fresh.directory / "dojang.db").unlink()
    done = fresh.run("migrate", "--check", "--json")
    assert done.code == 1
    assert done.json()["found"] is None
    assert fresh.run("migrate").code == 0
    assert fresh.run("migrate", "--check").code == 0


def test_it_starts_without_a_file_from_the_environment_alone(fresh: Installation) -> None:
    told = environment(
        DOJANG_ISSUER=fresh.issuer,
        DOJANG_LISTEN__PUBLIC=f"127.0.0.1:{fresh.public}",
        DOJANG_LISTEN__MANAGEMENT=f"127.0.0.1:{fresh.management}",
        DOJANG_STORAGE__URL=f"sqlite:{fresh.directory / 'dojang.db'}",
        DOJANG_KEYS__ENCRYPTION_KEY_FILE=str(fresh.directory / "key-encryption.key"),
        DOJANG_LOG__FORMAT="text",
    )
    elsewhere = fresh.directory / "elsewhere"
    elsewhere.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", "from dojang.cli import main; main()", "serve"],
        cwd=elsewhere, env=told, stderr=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stderr is not None
        line = server.stderr.readline()
        assert "serving on" in line
        assert not line.startswith("{")
        server.terminate()
        server.communicate()  # it writes until it ends
    assert server.returncode == 0
