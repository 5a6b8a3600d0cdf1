"""The wheel, on `cryptography` alone, verifies a token; and it ships what it should."""

import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.mutants import ROOT

VERIFY = Path(__file__).parent / "verify_bare.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def find_closure(name: str) -> set[str]:
    """The distributions that `name` needs here, itself included."""
    found = {name}
    for requirement in map(Requirement, requires(name) or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= find_closure(requirement.name)
    return found


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with our wheel, cryptography, and what cryptography itself needs."""
    home = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    (packages,) = home.glob("lib/python*/site-packages")
    for name in find_closure("cryptography"):
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            (packages / top).symlink_to(str(installed.locate_file(top)))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True)
    return python


@pytest.mark.proves("V1")
def test_the_bare_wheel_verifies_a_token(bare_python: Path) -> None:
    run = subprocess.run(
        [bare_python, "-I", "-W", "error", VERIFY], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["verified", "wrong_audience"]


def test_the_wheel_ships_types_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "dojang/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "bench", "docs"))]
