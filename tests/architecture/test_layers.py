"""The import contracts of pyproject.toml hold, and the pure packages stay pure."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import ROOT

PACKAGE = ROOT / "src" / "dojang"
PURE = ("jose", "oauth", "server/checks", "server/model.py")
SOURCES = sorted(PACKAGE.rglob("*.py"))
PURE_SOURCES = [path for path in SOURCES if path.relative_to(PACKAGE).as_posix().startswith(PURE)]


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_import_contracts_hold() -> None:
    # A process of its own: the linter turns off every logger that it finds.
    program = "from importlinter.cli import lint_imports_command as main; main()"
    linted = subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout


def find_imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", PURE_SOURCES, ids=name)
def test_a_pure_module_opens_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    # import-linter sees `urllib` as one module; only its parsing half is pure.
    assert not find_imports(tree) & {"urllib.request", "urllib.error"}
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_stays_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    drawers = {"helper", "helpers", "util", "utils", "common", "manager", "base", "misc"}
    assert path.stem not in drawers
