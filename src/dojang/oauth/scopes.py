"""Scope, the space-separated list of RFC 6749 §3.3: what may be done, never who one is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dojang.oauth.errors import ErrorCode, OAuthError

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def parse_scope(value: str) -> tuple[str, ...]:
    """The names in a scope parameter or claim, in order, each once; none for an empty one.

    Raises `OAuthError(INVALID_SCOPE)`.
    """
    if not value:
        return ()
    if _SCOPE.fullmatch(value) is None:
        raise OAuthError(
            ErrorCode.INVALID_SCOPE, "The scope is malformed.", reason="scope_malformed"
        )
    return tuple(dict.fromkeys(value.split(" ")))


def build_scope(scopes: Iterable[str]) -> str:
    """The scope parameter that carries these names.

    Raises `ValueError` for a name that RFC 6749 §3.3 does not allow.
    """
    names = tuple(scopes)
    for name in names:
        check_scope_name(name)
    return " ".join(names)


def check_scope_name(name: str) -> None:
    """Raises `ValueError` unless `name` is one scope token of RFC 6749 §3.3."""
    if _SCOPE_TOKEN.fullmatch(name) is None:
        raise ValueError("a scope is printable ASCII without space, quote or backslash")
