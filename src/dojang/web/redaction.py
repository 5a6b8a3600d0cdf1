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
        *("proof_key", "view_key"),
        *("code", "code_verifier", "device_code", "authorization", "cookie", "key_encryption_key"),
    )
)
_NAMED: Final = rf"\b({_SECRET_PARAMETERS})"

_RULES: Final = (
    # A token or secret of ours, by the prefix that scanners look for.
    (re.compile(r"(dojang_[a-z]{2}_)[\w%.~-]+"), rf"\1{REDACTED}"),
    # A JWS, JWE or part of one: base64url of `{` and then `"` or white space.
    (re.compile(r"e(?:y[A-DI-L]|w[k-r0-3])[\w-]{8,}(?:\.[\w-]*)*"), REDACTED),
    (re.compile(r"\b(basic|bearer|dpop)(\s+)[\w.~+/=-]{16,}", re.IGNORECASE), rf"\1\2{REDACTED}"),
    # client_secret=… in a query or a form.
    (re.compile(_NAMED + r"(=|%3d)[^\s&\"'\\<>]+", re.IGNORECASE), rf"\1\2{REDACTED}"),
    # "client_secret": "…", client_secret='…', (b'authorization', b'…'), with or without escapes.
    (
        re.compile(_NAMED + r"(\\*[\"']?\s*[:=,]\s*b?\\*[\"'])[^\"'\\]+", re.IGNORECASE),
        rf"\1\2{REDACTED}",
    ),
    # Cookie: … as a header line.
    (
        re.compile(r"\b(authorization|cookie)(:\s*)[^\s\"'\\][^\r\n\"'\\]*", re.IGNORECASE),
        rf"\1\2{REDACTED}",
    ),
    # Private members of a JWK.
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
