"""Notices of the revocation feed: facts that a follower hears of while its question is held, before
the answer brings them signed. No I/O, no clock.

An answer that began with notices is written in lines, each `proof text`: notices, which end in a
line feed, then the answer itself, which does not. The proof of each is over the nonce of the
question, so a line is good for one question of one follower. A notice's text is
`epoch first records`: whom its facts end, ends there and then; where the follower stands, and how
fresh its view is, only the answer says.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken
from dojang.oauth.feed import (
    MOST_RECORDS,
    InvalidFeed,
    Record,
    check_proof,
    pack_records,
    prove_answer,
    unpack_records,
)

MEDIA_TYPE: Final = "application/vnd.dojang.feed"
MOST_NOTICE_BYTES: Final = 65_536  # of an answer, then it is ended

_LONGEST_NUMBER: Final = 16  # digits


class Notice(NamedTuple):
    """Facts of `epoch`, numbered from `first` on."""

    epoch: int
    first: int
    records: tuple[Record, ...]


class NoticeText(NamedTuple):
    """A notice as it is sent to all, and its SHA-256."""

    octets: bytes
    sha256: bytes


def build_notice(epoch: int, first: int, records: Iterable[Record]) -> NoticeText:
    """The text that is the same for every follower."""
    text = b"%d %d %b" % (epoch, first, base64url.encode_bytes(pack_records(records)))
    return NoticeText(text, sha256(text).digest())


def build_line(text: bytes, digest: bytes, proof_key: bytes, nonce: str) -> bytes:
    """`text`, whose SHA-256 is `digest`, for the follower that asked with `nonce`; without the line
    feed."""
    return b"%b %b" % (prove_answer(proof_key, nonce, digest).encode(), text)


def parse_notice(line: bytes, proof_key: bytes, nonce: str) -> Notice:
    """The notice on a line. Raises `InvalidFeed` for one that is not proven, or is none."""
    proof, _, text = line.partition(b" ")
    check_proof(proof.decode("latin-1"), proof_key, nonce, text)
    numbers, _, packed = text.rpartition(b" ")
    epoch, _, first = numbers.partition(b" ")
    try:
        records = unpack_records(base64url.decode_bytes(packed))
    except InvalidToken:
        raise InvalidFeed("the records of a notice are not octets") from None
    if not records or len(records) > MOST_RECORDS:
        raise InvalidFeed("a notice has no records, or too many")
    return Notice(_parse_number(epoch), _parse_number(first), records)


def _parse_number(digits: bytes) -> int:
    if not digits.isdigit() or digits.startswith(b"0") or len(digits) > _LONGEST_NUMBER:
        raise InvalidFeed("a notice is not numbered")
    return int(digits)
