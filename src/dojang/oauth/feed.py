"""The revocation feed: its messages, read and written. No I/O, no clock, no signature.

A **record** is a fact as followers see it: its kind, a tag, and when it may be forgotten. A
**tag** is a keyed hash of the identifier, so that a page read by a stranger tells nobody who was
logged out. A **page** holds records of consecutive numbers of one epoch and says which digest of
the record of facts comes before and after it; a **head** says how far the issuer is. Pages are
signed (`dojang-feed+jwt`) and prove what happened; only an answer to one's own question, with a
proof over its nonce, shows that nothing has happened since (design: the revocation feed).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.revocation_fact import EPOCH_BITS, NUMBER_BITS, FactKind, Rev

MEDIA_TYPE: Final = "dojang-feed+jwt"
ALGORITHM: Final = "RS256"  # one signs, thousands verify: RSA verifies three times cheaper
PROOF_HEADER: Final = "dojang-feed-proof"

TAG_BYTES: Final = 16
RECORD_BYTES: Final = 1 + TAG_BYTES + 4
DIGEST_BYTES: Final = 32
MOST_RECORDS: Final = 150  # of a page: signed, it stays below the limit of 8 KB for any token
MOST_PAGES: Final = 64  # of an answer
MOST_ANSWER_BYTES: Final = 1_048_576
KEY_BYTES: Final = 32

LONGEST_HOLD: Final = 20.0  # seconds that an issuer may take to say "nothing new"
DEFAULT_HOLD: Final = 0.5
LONGEST_PAUSE: Final = 0.1  # seconds

_CODES: Final[Mapping[FactKind, int]] = {
    FactKind.TOKEN: 1,
    FactKind.GRANT: 2,
    FactKind.SESSION: 3,
    FactKind.CLIENT: 4,
    FactKind.ACCOUNT: 5,
    FactKind.KEY: 6,
    FactKind.EVERYTHING: 7,
}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}
_iterate_records: Final = struct.Struct(f">B{TAG_BYTES}sI").iter_unpack
_new: Final = tuple.__new__  # of a named tuple, in half the time


class InvalidFeed(Exception):
    """What came is not what a feed of this issuer says here; the message is fixed text."""


class Tagger:
    """Makes tags under the 32-byte view key of an issuer."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a view key has 32 bytes")
        self._keyed = {kind: key + bytes([code]) for kind, code in _CODES.items()}

    def tag(self, kind: FactKind, identifier: str) -> bytes:
        """16 bytes. The key comes first and only part of the hash goes out, so that no tag
        leads to another (SHA-256 cut short cannot be extended)."""
        return self.of_kind(kind)(identifier)

    def of_kind(self, kind: FactKind) -> Callable[[str], bytes]:
        """`tag` for one kind, without looking for its key each time."""
        keyed = self._keyed[kind]

        def tag(identifier: str) -> bytes:
            try:
                octets = identifier.encode()
            except UnicodeEncodeError:  # half a character
                octets = identifier.encode("utf-8", "replace")
            return sha256(keyed + octets).digest()[:TAG_BYTES]

        return tag


class Record(NamedTuple):
    """A fact as followers see it; its number is its place. `forget_after` is in seconds since
    1970."""

    kind: FactKind
    tag: bytes
    forget_after: int


class Page(NamedTuple):
    """Records number `first` to `last` of `epoch`. `before` and `after` are digests of the record
    of facts (32 bytes). `as_of` is the issuer's time (seconds since 1970); `introduces` are the
    thumbprints (RFC 7638) of the feed keys that the signer vouches for."""

    epoch: int
    first: int
    last: int
    before: bytes
    after: bytes
    as_of: int
    introduces: tuple[str, ...]
    records: tuple[Record, ...]


class Manifest(NamedTuple):
    """A signed snapshot: every fact that is remembered, up to and including `rev`, whose digest is
    `digest`. `chunks` is the SHA-256 of the chunks' own SHA-256 digests, in order."""

    rev: Rev
    digest: bytes
    chunks: bytes
    as_of: int
    introduces: tuple[str, ...]


class Answer(NamedTuple):
    """What an issuer says to a follower that asked after `after`: its position and digest; signed
    pages that lead there, or `snapshot`: only a snapshot does. `keys_digest` changes with the key
    set that access tokens are verified with. `hold` is the longest it waits, in seconds; `pause`
    what an asker who was told news is to let pass, until all have been told."""

    rev: Rev
    digest: bytes
    pages: tuple[str, ...]
    snapshot: bool
    keys_digest: str
    hold: float
    pause: float = 0.0


class Lease(NamedTuple):
    """What an authenticated follower is given. `lease` is the credential of its questions,
    `proof_key` the key of the answers' proofs, `view_key` that of the tags; `feed_keys` is the JWK
    set that signs pages. All of it for `expires_in` seconds."""

    lease: str
    proof_key: bytes
    view_key: bytes
    feed_keys: dict[str, Any]
    expires_in: int

    def __repr__(self) -> str:
        return "Lease()"


def pack_records(records: Iterable[Record]) -> bytes:
    """21 bytes each."""
    return b"".join(
        bytes([_CODES[kind]]) + tag + forget_after.to_bytes(4, "big")
        for kind, tag, forget_after in records
    )


def unpack_records(packed: bytes) -> tuple[Record, ...]:
    """The reverse of `pack_records`. Raises `InvalidFeed`."""
    records = []
    try:
        for code, tag, forget_after in _iterate_records(packed):
            records.append(_new(Record, (_KINDS[code], tag, forget_after)))
    except KeyError:
        raise InvalidFeed("a record is of no known kind") from None
    except struct.error:
        raise InvalidFeed("the records do not end where one does") from None
    return tuple(records)


def build_page(page: Page, *, issuer: str) -> bytes:
    """The claims of a page, to be signed."""
    return json_object.dump(
        {
            "iss": issuer,
            "epoch": page.epoch,
            "first": page.first,
            "last": page.last,
            "before": base64url.encode(page.before),
            "after": base64url.encode(page.after),
            "as_of": page.as_of,
            "introduces": list(page.introduces),
            "records": base64url.encode(pack_records(page.records)),
        }
    )


def parse_page(claims: Mapping[str, Any], *, issuer: str) -> Page:
    """A page from claims whose signature is proven. Raises `InvalidFeed`."""
    _check_issuer(claims, issuer)
    first, as_of = _whole(claims, "first"), _whole(claims, "as_of")
    epoch, last = _position(claims, "last")
    records = unpack_records(_octets(claims, "records"))
    if not records or len(records) > MOST_RECORDS or last - first + 1 != len(records):
        raise InvalidFeed("a page does not hold the records that it says")
    return Page(
        epoch,
        first,
        last,
        _octets(claims, "before", DIGEST_BYTES),
        _octets(claims, "after", DIGEST_BYTES),
        as_of,
        _texts(claims, "introduces"),
        records,
    )


def build_manifest(manifest: Manifest, *, issuer: str) -> bytes:
    """The claims of a manifest, to be signed."""
    return json_object.dump(
        {
            "iss": issuer,
            "epoch": manifest.rev.epoch,
            "snapshot": manifest.rev.number,
            "after": base64url.encode(manifest.digest),
            "chunks": base64url.encode(manifest.chunks),
            "as_of": manifest.as_of,
            "introduces": list(manifest.introduces),
        }
    )


def parse_manifest(claims: Mapping[str, Any], *, issuer: str) -> Manifest:
    """A manifest from claims whose signature is proven. Raises `InvalidFeed`."""
    _check_issuer(claims, issuer)
    return Manifest(
        _position(claims, "snapshot"),
        _octets(claims, "after", DIGEST_BYTES),
        _octets(claims, "chunks", DIGEST_BYTES),
        _whole(claims, "as_of"),
        _texts(claims, "introduces"),
    )


def digest_chunks(digests: Iterable[bytes]) -> bytes:
    """What a manifest says of its chunks, from the SHA-256 of each."""
    return sha256(b"".join(digests)).digest()


def build_answer(answer: Answer) -> dict[str, Any]:
    """The JSON document of an answer."""
    return {
        "epoch": answer.rev.epoch,
        "head": answer.rev.number,
        "digest": base64url.encode(answer.digest),
        "pages": list(answer.pages),
        "snapshot": answer.snapshot,
        "keys": answer.keys_digest,
        "hold": answer.hold,
        "pause": answer.pause,
    }


def parse_answer(document: bytes) -> Answer:
    """The answer to a question, proven or not. Raises `InvalidFeed`."""
    claims = _read(document)
    snapshot = claims.get("snapshot")
    if type(snapshot) is not bool:
        raise InvalidFeed("snapshot is neither true nor false")
    pages = _texts(claims, "pages")
    if len(pages) > MOST_PAGES:
        raise InvalidFeed("the answer has too many pages")
    return Answer(
        _position(claims, "head"),
        _octets(claims, "digest", DIGEST_BYTES),
        pages,
        snapshot,
        _text(claims, "keys"),
        _seconds(claims, "hold", LONGEST_HOLD),
        _seconds(claims, "pause", LONGEST_PAUSE) if "pause" in claims else 0.0,
    )


def build_lease(lease: Lease) -> dict[str, Any]:
    """The JSON document that is given to a follower."""
    return {
        "lease": lease.lease,
        "proof_key": base64url.encode(lease.proof_key),
        "view_key": base64url.encode(lease.view_key),
        "feed_keys": lease.feed_keys,
        "expires_in": lease.expires_in,
    }


def parse_lease(document: bytes) -> Lease:
    """The reverse of `build_lease`. Raises `InvalidFeed`."""
    claims = _read(document)
    feed_keys = claims.get("feed_keys")
    if not isinstance(feed_keys, dict):
        raise InvalidFeed("feed_keys is not a key set")
    return Lease(
        _text(claims, "lease"),
        _octets(claims, "proof_key", KEY_BYTES),
        _octets(claims, "view_key", KEY_BYTES),
        feed_keys,
        _whole(claims, "expires_in"),
    )


def prove_answer(proof_key: bytes, nonce: str, body_digest: bytes) -> str:
    """The proof that an answer, whose body has this SHA-256, answers the question with `nonce`."""
    return base64url.encode(hmac.digest(proof_key, nonce.encode() + b"\0" + body_digest, "sha256"))


def check_proof(proof: str, proof_key: bytes, nonce: str, body: bytes) -> None:
    """Raises `InvalidFeed` unless `body` was sent in answer to `nonce` by who gave the key."""
    wanted = prove_answer(proof_key, nonce, sha256(body).digest())
    if not hmac.compare_digest(proof.encode("utf-8", "replace"), wanted.encode()):
        raise InvalidFeed("the answer is not proven to answer this question")


def _read(document: bytes) -> dict[str, Any]:
    try:
        return json_object.parse(document, max_bytes=MOST_ANSWER_BYTES)
    except InvalidToken:
        raise InvalidFeed("the answer is not a JSON object") from None


def _check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise InvalidFeed("the page is of another issuer")


def _whole(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < 2**53:
        raise InvalidFeed("a member is not a whole number")
    return value


def _position(claims: Mapping[str, Any], number_name: str) -> Rev:
    rev = Rev(_whole(claims, "epoch"), _whole(claims, number_name))
    if rev.epoch >> EPOCH_BITS or rev.number >> NUMBER_BITS:
        raise InvalidFeed("there is no such position")
    return rev


def _seconds(claims: Mapping[str, Any], name: str, most: float) -> float:
    value: Any = claims.get(name)
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise InvalidFeed("a member is not a number of seconds")
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if type(value) is not str or not value:
        raise InvalidFeed("a member is not a text")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name)
    if type(value) is not list or not all(type(each) is str for each in value):
        raise InvalidFeed("a member is not a list of texts")
    texts: Sequence[str] = value
    return tuple(texts)


def _octets(claims: Mapping[str, Any], name: str, length: int | None = None) -> bytes:
    try:
        value = base64url.decode(_text(claims, name))
    except InvalidToken:
        raise InvalidFeed("a member is not base64url") from None
    if length is not None and len(value) != length:
        raise InvalidFeed("a member has not its length")
    return value
