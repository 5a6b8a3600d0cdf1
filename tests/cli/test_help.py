"""Every command explains itself, with an example that could be typed."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from dojang.cli.application import app, run


def find_commands() -> Iterator[tuple[str, ...]]:
    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words
            return
        for name, each in inner.items():
            yield from walk(each, (*words, name))

    yield from walk(typer.main.get_command(app), ())


COMMANDS = sorted(find_commands())


def find(words: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_a_sentence_and_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([*words, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "Usage: " in shown
    assert "list[" not in shown
    command = find(words)
    assert command.help
    assert command.help.partition("\n")[0].endswith((".", "?"))
    epilog = command.epilog or ""
    assert epilog.startswith(f"Example: dojang {' '.join(words)}")
    names = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert [name for name in names if name.startswith("--") and name not in shown] == []
    example = shlex.split(epilog.removeprefix("Example: dojang "))
    assert {word.partition("=")[0] for word in example if word.startswith("--")} <= names


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_but_serve_speaks_json(words: tuple[str, ...]) -> None:
    names = {name for parameter in find(words).params for name in parameter.opts}
    assert ("--json" in names) == (words != ("serve",))


@pytest.mark.parametrize("arguments", [["nope"], ["client", "nope"], ["client", "add", "--nope"]])
def test_what_does_not_exist_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2


def test_a_usage_error_is_json_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["client", "ad", "--json"]) == 2
    document = json.loads(capsys.readouterr().err)
    assert document["exit_code"] == 2
    assert "'ad'" in document["error"]


@pytest.mark.parametrize("flag", ["-h", "--version"])
def test_what_newcomers_type_first_is_answered(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([flag])
    assert ended.value.code == 0
    assert capsys.readouterr().out
