"""The `WWW-Authenticate` header, written by a resource server and read by a client:
RFC 9110 §11.6.1, RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"'
_PARAMETER: Final = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|{_QUOTED})")
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ ]+|(?=[ \t]*(?:,|$)))")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_SEPARATOR: Final = re.compile(r"[ \t]*(?:,[ \t]*)+")
_ESCAPED: Final = re.compile(r"\\(.)")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_NAME: Final = re.compile(_TOKEN)

MAX_CHARACTERS: Final = 8192


class Challenge(NamedTuple):
    """One challenge. Names of parameters are in lower case; `token68` is empty as a rule."""

    scheme: str
    parameters: Mapping[str, str] = MappingProxyType({})
    token68: str = ""


def build_challenge(scheme: str, parameters: Mapping[str, str | None]) -> str:
    """One challenge as text; parameters that are None are left out.

    Raises `ValueError` where a value is not printable ASCII: nothing can end the header early.
    """
    words = []
    for name, value in parameters.items():
        if value is None:
            continue
        if _NAME.fullmatch(name) is None or _PRINTABLE.fullmatch(value) is None:
            raise ValueError("a parameter of a challenge is printable ASCII")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        words.append(f'{name}="{escaped}"')
    return f"{scheme} {', '.join(words)}" if words else scheme


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of one header value, or of several joined by commas.

    A malformed rest is left unread: what a client cannot read, it cannot answer.
    """
    challenges: list[Challenge] = []
    at = 0
    header = header[:MAX_CHARACTERS].strip(" \t,")
    while at < len(header) and (found := _SCHEME.match(header, at)) is not None:
        scheme, at = found.group(1), found.end()
        parameters: dict[str, str] = {}
        token68 = ""
        if (bare := _TOKEN68.match(header, at)) is not None:
            token68, at = bare.group(), bare.end()
        else:
            at = _parse_parameters(header, at, parameters)
        challenges.append(Challenge(scheme, MappingProxyType(parameters), token68))
        if at < len(header):
            if (comma := _SEPARATOR.match(header, at)) is None:
                break
            at = comma.end()
    return tuple(challenges)


def _parse_parameters(header: str, at: int, parameters: dict[str, str]) -> int:
    """Read parameters up to the next challenge; the place where reading stopped."""
    stop = at
    while (found := _PARAMETER.match(header, at)) is not None:
        name, plain, quoted = found.groups()
        text = plain if plain is not None else _ESCAPED.sub(r"\1", quoted)
        parameters.setdefault(name.lower(), text)
        stop = found.end()
        if (comma := _SEPARATOR.match(header, stop)) is None:
            break
        at = comma.end()
    return stop


def find_challenge(challenges: tuple[Challenge, ...], scheme: str) -> Challenge | None:
    """The first challenge of a scheme; scheme names have no case (RFC 9110 §11.1)."""
    return next((each for each in challenges if each.scheme.lower() == scheme.lower()), None)
