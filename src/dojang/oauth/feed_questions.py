"""What a follower asks and how it introduces itself: forms to values. Nothing is proven here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.feed import DIGEST_BYTES, LONGEST_HOLD
from dojang.oauth.revocation_fact import Rev

LONGEST_NAME: Final = 64
MOST_KIDS: Final = 64

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
_KID: Final = re.compile(r"[!-~]{1,128}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")


class Question(NamedTuple):
    """Whether anything has happened after `rev`, where the asker's digest of the record is
    `digest`. The answer may wait for `hold` seconds; facts up to `heard` the asker has heard of
    meanwhile (None: it takes no notices). `kids` are the keys for access tokens that it holds;
    `witness` is what it was signed once and this server seems not to know."""

    nonce: str
    rev: Rev
    digest: bytes
    hold: float
    heard: int | None
    kids: tuple[str, ...]
    witness: str | None

    @property
    def known(self) -> Rev:
        """The last fact that the asker knows, signed or not."""
        return self.rev._replace(number=max(self.rev.number, self.heard or 0))


def parse_question(form: Mapping[str, str]) -> Question:
    """The question of a form. Raises `OAuthError(INVALID_REQUEST)`."""
    nonce = form.get("nonce", "")
    if not _NONCE.fullmatch(nonce):
        _refuse("nonce")
    kids = tuple(form.get("kids", "").split(" ")) if "kids" in form else ()
    if len(kids) > MOST_KIDS or not all(map(_KID.fullmatch, kids)):
        _refuse("kids")
    hold = _parse_number(form, "hold") / 1000
    if hold > LONGEST_HOLD:
        _refuse("hold")
    return Question(
        nonce,
        Rev(_parse_number(form, "epoch"), _parse_number(form, "head")),
        _parse_digest(form.get("digest", "")),
        hold,
        _parse_number(form, "heard") if "heard" in form else None,
        kids,
        form.get("witness"),
    )


def parse_name(form: Mapping[str, str]) -> str:
    """The name a follower gives itself. Raises `OAuthError(INVALID_REQUEST)`."""
    name = form.get("name", "")
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        _refuse("name")
    return name


def _parse_number(form: Mapping[str, str], name: str) -> int:
    text = form.get(name, "")
    if not _NUMBER.fullmatch(text):
        _refuse(name)
    return int(text)


def _parse_digest(text: str) -> bytes:
    try:
        digest = base64url.decode(text)
    except InvalidToken:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        _refuse("digest")
    return digest


def _refuse(parameter: str) -> NoReturn:
    raise OAuthError(
        ErrorCode.INVALID_REQUEST,
        f"The parameter {parameter} is missing or not what it must be.",
        reason=f"feed_{parameter}",
    )
