"""How a command ends. Everything that goes wrong reaches `main` as a `Failure`."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FINDINGS = 1  # it worked, and what it found is bad
    USAGE = 2  # the caller has to change something: arguments, settings, permissions
    UNREACHABLE = 3  # something outside did not answer


class Failure(Exception):
    """The command cannot go on. `message` says what is wrong and what to do, never a secret."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
