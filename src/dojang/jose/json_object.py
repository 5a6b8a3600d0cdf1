"""JSON objects as a token may carry them: RFC 8259, narrowed by RFC 7519 §4 and RFC 7493 §2.

Refused: duplicate names at any depth, NaN and infinities, lone surrogates, a byte order mark,
deep nesting, big documents, anything that is not an object.

The strict reader is the standard library with hooks. With msgspec there is a short cut:
a document that msgspec reads to the depth its type allows, and writes back byte for byte,
has no duplicate name, no odd number and no odd string. Any other takes the strict reader.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from dojang.jose.accelerators import msgspec_json
from dojang.jose.errors import InvalidToken, Reason

MAX_BYTES = 8192
MAX_DEPTH = 8

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS = re.compile(rb"[{}\[\]]")


def parse(document: bytes, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read one JSON object of at most `max_bytes` bytes and `MAX_DEPTH` levels.

    Raises `InvalidToken`: TOO_LARGE, or MALFORMED.
    """
    if len(document) > max_bytes:
        raise InvalidToken(Reason.TOO_LARGE, "JSON document is too large")
    if _read_plain is not None:
        try:
            value = _read_plain(document)
            if _write_plain(value) == document:
                return value
        except (ValueError, RecursionError):
            pass
    return _read_strict(document)


def dump(value: dict[str, Any]) -> bytes:
    """Write a JSON object of plain values in compact UTF-8.

    Raises `TypeError` or `ValueError` for what JSON cannot carry.
    """
    if _read_plain is not None:
        document = _write_plain(value)
        if b"null" not in document:
            return document
    return _write_strict(value)


def _write_strict(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _check_depth(document: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", document)):
        depth += 1 if bracket in b"{[" else -1
        if depth > MAX_DEPTH:
            raise InvalidToken(Reason.MALFORMED, "JSON is nested too deep")


def _read_strict(document: bytes) -> dict[str, Any]:
    if document.count(b"{") + document.count(b"[") > MAX_DEPTH:
        _check_depth(document)
    try:
        value = json.loads(
            document.decode(),
            object_pairs_hook=_read_members,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
        )
        if b"\\u" in document:
            _write_strict(value)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not dict:
        raise InvalidToken(Reason.MALFORMED, "not a strict JSON object")
    return value


def _read_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError
    return value


def _read_float(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError
    return number


def _refuse_constant(_literal: str) -> None:
    raise ValueError


def _bounded_object() -> Any:
    """The type of an object of at most `MAX_DEPTH` levels, which msgspec reads no deeper."""
    scalar = str | int | float | bool | None
    value: Any = scalar
    for _ in range(MAX_DEPTH - 1):
        value = scalar | list[value] | dict[str, value]
    return dict[str, value]


_read_plain: Callable[[bytes], dict[str, Any]] | None = None
_write_plain: Callable[[Any], bytes] = _write_strict
if msgspec_json is not None:
    _read_plain = msgspec_json.Decoder(_bounded_object()).decode
    _write_plain = msgspec_json.Encoder().encode
