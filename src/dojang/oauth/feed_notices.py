"""Notices of the revocation feed: facts that a follower hears of while its question is held, before
the answer brings them signed. No I/O, no clock.

An answer that began with notices is written in lines: notices, which end in a line feed, then
`proof body`, which does not. Every proof is over the nonce of the question, so a line is good for
one question of one follower. A notice is `begin records`, and its line the hexadecimal digits
of its proof and of itself: whom its facts end, ends there and then; where the follower stands, and
how fresh its view is, only the answer says.

Each fact is one line for each follower, which sleeps until it comes: what reads it finds nothing in
the processor's caches. Hence proofs of keyed BLAKE2b (RFC 7693 §2.5), begun once a question.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from typing import Final

from dojang.oauth.feed import (
    MOST_RECORDS,
    RECORD_BYTES,
    InvalidFeed,
    Record,
    pack_records,
    unpack_records,
)
from dojang.oauth.revocation_fact import NUMBER_BITS, Rev, pack_rev

MEDIA_TYPE: Final = "application/vnd.dojang.feed"
MOST_NOTICE_BYTES: Final = 65_536  # of an answer, then it is ended
PROOF_BYTES: Final = 32

_HEAD: Final = Struct(f">{PROOF_BYTES}sQ")
_MOST_BYTES: Final = _HEAD.size + MOST_RECORDS * RECORD_BYTES
_NUMBER: Final = (1 << NUMBER_BITS) - 1


def begin_proofs(proof_key: bytes, nonce: str) -> blake2b:
    """What the proof of every notice for one question begins with."""
    begun = blake2b(digest_size=PROOF_BYTES, key=proof_key, person=b"dojang notice")
    begun.update(nonce.encode() + b"\0")
    return begun


def build_notice(begin: Rev, records: Iterable[Record]) -> bytes:
    """What is the same for every follower: facts from the position `begin` on."""
    return pack_rev(begin).to_bytes(8, "big") + pack_records(records)


def build_line(notice: bytes, begun: blake2b) -> bytes:
    """A notice, for the follower whose question has `begun` its proofs; without the line feed."""
    proof = begun.copy()
    proof.update(notice)
    return hexlify(proof.digest() + notice)


def build_last_line(proof: str, body: bytes) -> bytes:
    """The answer itself, with its own proof, behind its notices."""
    return b"%b %b" % (proof.encode(), body)


def parse_notice(line: bytes, begun: blake2b) -> tuple[int, tuple[Record, ...]]:
    """The position of the first fact on a line, as one number, and the records of all: one at
    least, and all of one epoch. Raises `InvalidFeed` for a line that is not proven, or is none."""
    try:
        octets = unhexlify(line)
    except ValueError:
        raise InvalidFeed("a notice is not hexadecimal") from None
    if not _HEAD.size < len(octets) <= _MOST_BYTES:
        raise InvalidFeed("a notice has no records, or too many")
    proof, begin = _HEAD.unpack_from(octets)
    wanted = begun.copy()
    wanted.update(octets[PROOF_BYTES:])
    if not compare_digest(proof, wanted.digest()):
        raise InvalidFeed("a notice is not proven to answer this question")
    if not 0 < begin & _NUMBER < _NUMBER - MOST_RECORDS:
        raise InvalidFeed("there is no such fact")
    return begin, unpack_records(octets[_HEAD.size :])
