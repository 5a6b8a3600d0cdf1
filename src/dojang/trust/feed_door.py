"""Where an issuer is asked about its feed, and as whom: requests and what their answers are worth.

Nothing is kept here and nothing waits: flows, driven by whoever follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from dojang.clock import Clock
from dojang.fetch import FetchRequest, FetchResponse, Flow
from dojang.jose import base64url, json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import MOST_ANSWER_BYTES, PROOF_HEADER, InvalidFeed, Lease, parse_lease
from dojang.oauth.feed_notices import MEDIA_TYPE
from dojang.oauth.revocation_fact import Rev
from dojang.oauth.urls import parse_url
from dojang.trust.credentials import Credentials, build_form
from dojang.trust.discovery import Issuer
from dojang.trust.revocation_shards import Image

TIMEOUT: Final = 5.0
CHUNK_TIMEOUT: Final = 60.0
MOST_CHUNKS: Final = 65_536
MOST_CHUNK_BYTES: Final = 16_777_216

_JSON: Final = ("Accept", "application/json")
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")


class NotOffered(Exception):
    """The issuer's metadata names no feed."""


class BearerSource(Protocol):
    """Where a token of scope `introspect` comes from; `dojang.client` has one."""

    def token(self) -> str:
        """Raises `Unavailable`."""

    def discard(self, token: str) -> None:
        """The issuer refused `token`: the next one is to be another."""


class NotWelcome(Unavailable):
    """The issuer did not take the proof of who follows."""


class LeaseEnded(Unavailable):
    """The lease is not good any more: join again."""


class Question(NamedTuple):
    """Has anything happened after `position`, where the digest is `digest`? The answer may take
    `hold` seconds, and all of it `timeout`. `hear` takes the lines of notices that come meanwhile,
    of facts after number `heard`; without it none are asked for."""

    nonce: str
    position: Rev
    digest: bytes
    hold: float
    timeout: float
    kids: Sequence[str]
    witness: str | None
    heard: int = 0
    hear: Callable[[bytes], bool] | None = None


class SnapshotIndex(NamedTuple):
    """A manifest as it was signed, and the SHA-256 of each chunk. `directory` is where the chunks
    are, where they are on this host. Nothing is proven."""

    manifest: str
    chunks: tuple[bytes, ...]
    directory: str | None


class FeedDoor:
    """The feed of `issuer`, at `endpoint` or where the metadata says. `credentials` prove who
    follows, or a bearer token that is given to `join`."""

    def __init__(
        self, issuer: Issuer, *, credentials: Credentials | None, endpoint: str | None, clock: Clock
    ) -> None:
        if endpoint is not None:
            parse_url(endpoint)
        self._issuer = issuer
        self._credentials = credentials
        self._given = self._endpoint = endpoint
        self._clock = clock
        self._what = f"the feed of {issuer.name}"

    def forget(self) -> None:
        """Look the endpoint up again, the next time."""
        self._endpoint = self._given

    def join(self, name: str, bearer: str | None) -> Flow[Lease]:
        """A lease. Raises `NotOffered`, `NotWelcome`, `Unavailable` and `InvalidFeed`."""
        response = yield from self._send_name(name, bearer)
        if response.status == 401:
            raise NotWelcome(f"{self._what} (401)")
        return parse_lease(self._check(response).body)

    def _send_name(self, name: str, bearer: str | None) -> Flow[FetchResponse]:
        if self._endpoint is None:
            metadata = yield from self._issuer.discover(timeout=TIMEOUT)
            if metadata.dojang_feed_endpoint is None:
                raise NotOffered
            self._endpoint = self._issuer.find_address(metadata.dojang_feed_endpoint)
        form = {"name": name}
        headers = dict([_JSON, _FORM])
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if self._credentials is not None:
            now = self._clock.now()
            self._credentials.authenticate(form, headers, issuer=self._issuer.name, now=now)
        return (
            yield FetchRequest(
                "POST",
                f"{self._endpoint}/join",
                tuple(headers.items()),
                build_form(form),
                timeout=TIMEOUT,
                repeatable=True,
            )
        )

    def ask(self, question: Question, lease: Lease) -> Flow[FetchResponse]:
        """The answer to a question, nothing of it proven but the notices that came with it. Raises
        `LeaseEnded`, `Unavailable` and `InvalidFeed`."""
        response = yield FetchRequest(
            "POST",
            f"{self._endpoint}",
            (_JSON, _FORM, _bear(lease)),
            _build_question(question),
            timeout=question.timeout,
            max_bytes=MOST_ANSWER_BYTES,
            repeatable=True,
            hear=question.hear,
        )
        return _unwrap(self._check(response, leased=True), question.hear)

    def load_index(self, lease: Lease) -> Flow[SnapshotIndex]:
        """What the issuer's present snapshot consists of."""
        request = FetchRequest(
            "GET",
            f"{self._endpoint}/snapshot",
            (_JSON, _bear(lease)),
            timeout=CHUNK_TIMEOUT,
            max_bytes=MOST_CHUNKS * 80,
        )
        response = yield request
        return _parse_index(self._check(response, leased=True).body)

    def load_chunks(self, index: SnapshotIndex, lease: Lease) -> Flow[dict[bytes, Image]]:
        """The chunks of a snapshot, by their digests (SHA-256)."""
        chunks: dict[bytes, Image] = {}
        for digest in index.chunks:
            chunks[digest] = yield from self._load_chunk(digest, lease)
        return chunks

    def _load_chunk(self, digest: bytes, lease: Lease) -> Flow[bytes]:
        response = yield FetchRequest(
            "GET",
            f"{self._endpoint}/chunks/{digest.hex()}",
            (_bear(lease),),
            timeout=CHUNK_TIMEOUT,
            max_bytes=MOST_CHUNK_BYTES,
        )
        chunk = self._check(response, leased=True).body
        if sha256(chunk).digest() != digest:
            raise InvalidFeed("a chunk has not the digest it is named by")
        return chunk

    def find_moment(self, response: FetchResponse, asked_at: float) -> float:
        """What an answer proves, to a question that left at `asked_at` (boot clock): that nothing
        had happened at the issuer, by then, beyond what it tells."""
        return asked_at

    def find_base(self, response: FetchResponse) -> Rev | None:
        """Where a snapshot is that is worth being mapped instead of the last one."""
        return None

    def _check(self, response: FetchResponse, *, leased: bool = False) -> FetchResponse:
        """Raises `LeaseEnded` where a lease is not good any more, else `Unavailable`."""
        if response.status == 200:
            return response
        if leased and response.status == 401:
            raise LeaseEnded(f"{self._what} (the lease ended)")
        raise Unavailable(f"{self._what} ({response.status})")


def _build_question(question: Question) -> bytes:
    """As `build_form` would: all but the last two parts need no encoding."""
    form = (
        f"nonce={question.nonce}&epoch={question.position.epoch}&head={question.position.number}"
        f"&digest={base64url.encode(question.digest)}&hold={round(question.hold * 1000)}"
    ).encode()
    if question.hear is not None:
        form += b"&heard=%d" % question.heard
    if question.kids:
        form += b"&" + build_form({"kids": " ".join(question.kids)})
    if question.witness is not None:
        form += b"&" + build_form({"witness": question.witness})
    return form


def _unwrap(response: FetchResponse, hear: Callable[[bytes], bool] | None) -> FetchResponse:
    """The answer that follows notices, on a line with its proof, as one that came alone. Notices
    are heard here where the whole was framed anew on its way."""
    if response.headers.get("content-type") != MEDIA_TYPE:
        return response
    *lines, last = response.body.split(b"\n")
    if lines and (hear is None or not all(map(hear, lines))):
        raise InvalidFeed("a notice is none")
    proof, _, body = last.partition(b" ")
    headers = {**response.headers, PROOF_HEADER: proof.decode("latin-1")}
    return FetchResponse(response.status, headers, body)


def _bear(lease: Lease) -> tuple[str, str]:
    return "Authorization", f"Bearer {lease.lease}"


def _parse_index(document: bytes) -> SnapshotIndex:
    try:
        claims = json_object.parse(document, max_bytes=MOST_CHUNKS * 80)
    except InvalidToken:
        raise InvalidFeed("the snapshot is not a JSON object") from None
    manifest, names = claims.get("manifest"), claims.get("chunks")
    if type(manifest) is not str or type(names) is not list or len(names) > MOST_CHUNKS:
        raise InvalidFeed("the snapshot is not a manifest and its chunks")
    try:
        digests = tuple(bytes.fromhex(name) for name in names)
    except (TypeError, ValueError):
        raise InvalidFeed("a chunk is not named by its digest") from None
    if any(len(digest) != sha256().digest_size for digest in digests):
        raise InvalidFeed("a chunk is not named by its digest")
    directory = claims.get("directory")
    return SnapshotIndex(manifest, digests, directory if type(directory) is str else None)
