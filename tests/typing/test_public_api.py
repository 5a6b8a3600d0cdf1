"""The public face: what it weighs, and what type checkers make of it."""

import subprocess
import sys
from pathlib import Path

import pytest

import dojang

HERE = Path(__file__).parent


def test_a_users_type_checker_agrees() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", str(HERE / "public_api.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", dojang.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dojang, name) is not None
    assert name in dir(dojang)


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError):
        _ = dojang.Nothing


SCRIPT = """
import sys, dojang
before = [name for name in sys.modules if name.startswith("dojang.")]
assert not before, before
dojang.LocalVerifier, dojang.TokenSource
heavy = {"fastapi", "starlette", "httpx", "httpx2", "requests", "sqlalchemy", "joserfc", "jinja2"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
assert not [name for name in sys.modules if name.startswith("dojang.server")]
"""


def test_importing_it_imports_next_to_nothing() -> None:
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
