"""What the documents say exists: links, commands, and examples that run."""

import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from dojang.cli.application import app
from dojang.cli.config_settings import SETTINGS
from dojang.cli.demo.report import Report
from dojang.client import Ask, Flaw, RelyingParty
from dojang.integrations.bff import Bff, Upstream
from dojang.resource.errors import RefusalReason
from dojang.server.administration import OPERATIONS
from dojang.testing import Issuer
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


def find_inline(path: Path) -> list[list[str]]:
    return [text.split() for text in re.findall(r"`dojang ([^`…]+)[`…]", path.read_text())]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text())
    assert [each for each in targets if not (path.parent / each).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_run_command_exists(path: Path) -> None:
    usage = subprocess.run([ROOT / "run", "help"], capture_output=True, text=True, check=True)
    verbs = set(re.findall(r"^  (\w+)  ", usage.stdout, re.MULTILINE)) | {"help"}
    assert [words for words in find_commands(path, "./run") if words[0] not in verbs] == []


def find_unknown(words: list[str]) -> str:
    """The first word of a `dojang` command that the command line does not know."""
    command: Any = typer.main.get_command(app)
    options: set[str] = set()
    for word in words:
        if word.startswith("--"):
            options = {each for parameter in command.params for each in parameter.opts}
            if word not in options:
                return word
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return word
            command = command.commands[word]
    return ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_dojang_command_exists(path: Path) -> None:
    shown = [*find_commands(path, "dojang"), *find_inline(path)]
    assert [" ".join(words) for words in shown if find_unknown(words)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_python_example_runs(path: Path) -> None:
    for text in find_blocks(path, "python"):
        exec(compile(text, name(path), "exec"), {"__name__": "example"})


@pytest.mark.parametrize("test", ["test_a_token_expires", "test_a_revoked_token_is_refused"])
def test_the_page_on_testing_shows_tests_that_pass(dojang_issuer: Issuer, test: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for text in find_blocks(ROOT / "docs" / "how-to" / "test-your-service.md", "python"):
        exec(text, names)
    names[test](dojang_issuer)


def list_commands(command: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    for word, each in command.commands.items():
        deeper = hasattr(each, "commands")
        found += list_commands(each, f"{prefix}{word} ") if deeper else [prefix + word]
    return found


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

    shown = re.findall(r"^\| `dojang ([\w -]+)`", (reference / "cli.md").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(list_commands(typer.main.get_command(app)))

    errors = set(re.findall(r"`(\w+)`", (reference / "errors.md").read_text()))
    assert {*RefusalReason, *Flaw} - errors == set()


def test_the_reference_of_the_backend_lists_every_setting() -> None:
    settings = (ROOT / "docs" / "reference" / "bff.md").read_text().partition("## Settings")[2]
    rows = re.findall(r"^\| (`.*?) \|", settings, re.MULTILINE)
    shown = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    kinds = (Bff, Upstream, RelyingParty, Ask)
    parameters = [name for each in kinds for name in inspect.signature(each).parameters]
    assert shown == [name for name in parameters if name != "party"]


def test_the_schema_of_the_demo_is_the_one_shown() -> None:
    (shown,) = find_blocks(ROOT / "docs" / "reference" / "demo.md", "json")
    assert json.loads(shown) == msgspec.json.schema(Report)


def test_the_korean_readme_shows_the_same_code() -> None:
    english, korean = ROOT / "README.md", ROOT / "README.ko.md"
    languages = ("python", "sh", "console", "toml", "json")
    assert find_blocks(english, *languages) == find_blocks(korean, *languages)
