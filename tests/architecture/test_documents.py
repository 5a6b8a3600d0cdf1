"""What the documents say exists: links, commands, and examples that run."""

import re
import subprocess
from pathlib import Path

import pytest

from dojang.cli.config_settings import SETTINGS
from dojang.resource.errors import RefusalReason
from dojang.server.administration import OPERATIONS
from tests.mutants import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS = [path for path in DOCUMENTS if "_build" not in path.parts]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def find_blocks(path: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(path.read_text()) if language in languages]


def find_commands(path: Path, program: str) -> list[list[str]]:
    lines = "\n".join(find_blocks(path, "console", "sh", "bash")).splitlines()
    words = [line.removeprefix("$ ").split() for line in lines]
    return [each[1:] for each in words if each[:1] == [program]]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text())
    assert [each for each in targets if not (path.parent / each).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_run_command_exists(path: Path) -> None:
    usage = subprocess.run([ROOT / "run", "help"], capture_output=True, text=True, check=True)
    verbs = set(re.findall(r"^  (\w+)  ", usage.stdout, re.MULTILINE)) | {"help"}
    assert [words for words in find_commands(path, "./run") if words[0] not in verbs] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_python_example_runs(path: Path) -> None:
    for text in find_blocks(path, "python"):
        exec(compile(text, name(path), "exec"), {"__name__": "example"})


def test_the_reference_lists_what_there_is() -> None:
    reference = ROOT / "docs" / "reference"
    settings = re.findall(
        r"^\| `([\w.]+)`", (reference / "configuration.md").read_text(), re.MULTILINE
    )
    assert settings == [setting.name for setting in SETTINGS]

    rows = re.findall(
        r"^\| `([\w.]+)` \| `(\w+) ([^`]+)` \| `([\w:]+)` \|$",
        (reference / "http.md").read_text(),
        re.MULTILINE,
    )
    operations = [(name, op.method, op.path, op.scope) for name, op in OPERATIONS.items()]
    assert rows == operations

    errors = set(re.findall(r"`(\w+)`", (reference / "errors.md").read_text()))
    assert set(RefusalReason) - errors == set()


def test_the_korean_readme_shows_the_same_code() -> None:
    english, korean = ROOT / "README.md", ROOT / "README.ko.md"
    languages = ("python", "sh", "console", "toml", "json")
    assert find_blocks(english, *languages) == find_blocks(korean, *languages)
