"""`dojang init`: everything or nothing, and no secret on the screen."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.installation import Installation, dojang, environment

SECRET_FILES = ("key-encryption.key", "operator.secret", "dojang.db")


@pytest.mark.proves("A5", "O2")
def test_it_makes_an_installation_and_shows_no_secret(fresh: Installation) -> None:
    assert fresh.made.code == 0, fresh.made.err
    assert "dojang serve" in fresh.made.out
    for name in SECRET_FILES:
        assert stat.S_IMODE((fresh.directory / name).stat().st_mode) == 0o600
    operator = (fresh.directory / "operator.secret").read_text().strip()
    key = (fresh.directory / "key-encryption.key").read_text().strip()
    assert operator.startswith("dojang_cs_")
    shown = fresh.made.out + fresh.made.err + (fresh.directory / "dojang.toml").read_text()
    assert operator not in shown
    assert key not in shown
    assert fresh.run("config", "check").code == 0


def test_it_says_in_json_what_it_made(tmp_path: Path) -> None:
    done = dojang("init", "auth", "--issuer=https://auth.example", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json() == {
        "config": "auth/dojang.toml",
        "encryption_key_file": "auth/key-encryption.key",
        "operator_secret_file": "auth/operator.secret",
        "issuer": "https://auth.example",
    }


@pytest.mark.proves("F14")
def test_it_overwrites_nothing(fresh: Installation) -> None:
    before = {path.name: path.read_bytes() for path in fresh.directory.iterdir()}
    again = fresh.run("init")
    assert again.code == 2
    assert "is there already: nothing was changed" in again.err
    assert {path.name: path.read_bytes() for path in fresh.directory.iterdir()} == before


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--issuer=http://auth.example"], "must be https"),
        (["--issuer=https://auth.example/"], "without the / at its end"),
        (["--issuer=https://auth.example?x=1"], "no query"),
        (["--issuer=https://auth.example#x"], "fragment"),
        (["--public=8460"], "host:port"),
        (["--public=::1:8460"], "brackets"),
        (["--management=unix:run/x"], "absolute"),
        (["--management=127.0.0.1:8460"], "must differ"),
        (["--public=unix:/tmp/x"], "--issuer"),
        (["--storage-url-file=nowhere"], "cannot be read"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = dojang("init", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_quote_in_a_path_stays_a_quote(tmp_path: Path) -> None:
    url = tmp_path / 'u"r\\l'
    url.write_text(f"sqlite:{tmp_path / 'other.db'}")
    done = dojang("init", "auth", f"--storage-url-file={url}", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "other.db").exists()
    assert dojang("keys", "list", "--config=auth/dojang.toml", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    "command, name, extras",
    [
        (["init"], "typer", "server"),
        (["serve"], "msgspec", "server"),
        (["init", "--storage-url-file=url"], "asyncpg", "server,postgres"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, command: list[str], name: str, extras: str
) -> None:
    (tmp_path / "url").write_text("postgresql://127.0.0.1:1/x")
    script = f"import sys; sys.modules[{name!r}] = None; from dojang.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr == f"dojang: {name} is missing: pip install 'dojang[{extras}]'\n"


def test_a_database_that_does_not_answer_leaves_nothing_behind(tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text("postgresql://dojang:hunter2@127.0.0.1:1/dojang\n")
    done = dojang("init", "auth", "--storage-url-file=url", cwd=tmp_path)
    assert done.code == 3
    assert "unavailable" in done.err
    assert "hunter2" not in done.out + done.err
    assert list((tmp_path / "auth").iterdir()) == []
