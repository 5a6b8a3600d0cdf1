"""Tokens and secrets out of text (C117): whatever was about to be logged, they do not get there.

What is looked for has a shape: our own prefixes, JWTs and JWEs, credentials of an Authorization
header, parameters that hold secrets (as form, JSON or Python would show them), private key
members. What is taken out holds neither quotes nor backslashes, so a line of JSON stays one.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET_PARAMETERS: Final = "|".join(
    (
        *("client_secret", "client_assertion", "assertion", "password", "passphrase"),
        *("access_token", "refresh_token", "id_token", "subject_token", "actor_token", "token"),
        *("code", "code_verifier", "device_code", "authorization", "cookie", "key_encryption_key"),
    )
)
_END: Final = r"\s&\"'\\<>"

_RULES: Final = (
    # A token or secret of ours, and what scanners look for.
    (re.compile(r"(dojang_[a-z]{2}_)[\w%.~-]+"), rf"\1{REDACTED}"),
    # `{` in base64url is `e` and one of `w` to `z`, `0` to `9`, `-`, `_`.
    (re.compile(r"\be[w-z0-9_-][\w-]{4,}(?:\.[\w-]*){1,4}"), REDACTED),
    (re.compile(r"\b(basic|bearer|dpop)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1\2{REDACTED}"),
    (
        re.compile(rf"\b({_SECRET_PARAMETERS})(=|%3d)[^{_END}]+", re.IGNORECASE),
        rf"\1\2{REDACTED}",
    ),
    # "client_secret": "…", 'client_secret': '…', (b'authorization', b'…'), with or without escapes.
    (
        re.compile(
            rf"\b({_SECRET_PARAMETERS})(\\*[\"']\s*[:,=]\s*b?\\*[\"'])[^\"'\\]+", re.IGNORECASE
        ),
        rf"\1\2{REDACTED}",
    ),
    (
        re.compile(r"([\"'](?:d|p|q|dp|dq|qi|k)\\*[\"']\s*:\s*\\*[\"'])[\w-]{12,}"),
        rf"\1{REDACTED}",
    ),
)


def redact(text: str) -> str:
    """`text` without what looks like a token or a secret."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
