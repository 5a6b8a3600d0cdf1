"""Why an operation was refused, as the admin API (RFC 9457) and the command line show it."""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(
    r" - at `\$\.([a-z_.]+)[^`]*`$|(?:unknown|required) field `([^`]{1,64})`"
)


class OperationRefused(Exception):
    """The operator's request cannot be done. `status` is the HTTP status; `title` is fixed for the
    kind of problem; `detail` says what to do and may name identifiers, never secrets."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


def invalid(detail: str) -> OperationRefused:
    """A parameter cannot be as it is."""
    return OperationRefused(400, "Invalid parameter", detail)


def not_found(what: str, identifier: str) -> OperationRefused:
    """There is no such thing."""
    return OperationRefused(404, f"No such {what}", f"there is no {what} {identifier!r}")


def conflict(detail: str) -> OperationRefused:
    """It exists already, or was changed meanwhile."""
    return OperationRefused(409, "Conflict", detail)


def check_text(parameter: str, text: str, *, most: int) -> None:
    """Raises `OperationRefused` unless `text` is 1 to `most` printable characters: what every
    store can hold and every terminal can show."""
    if not 1 <= len(text) <= most or not text.isprintable():
        raise invalid(f"{parameter}: must be 1 to {most} printable characters")


def describe_invalid(message: str) -> str:
    """What msgspec says of parameters, with the parameter in front."""
    found = _FIELD.search(message)
    if found is None:
        return message
    field = found.group(1) or found.group(2)
    return f"{field}: {message.partition(' - at ')[0]}"
