"""An issuer without a socket, whose feed does what a test says, lies included. It is made of the
feed's messages and of keys alone: nothing of the server is in it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from dojang.fetch import (
    FetchFailed,
    FetchProblem,
    FetchRequest,
    FetchResponse,
    HttpTransport,
    Transport,
)
from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.feed import (
    MEDIA_TYPE,
    PROOF_HEADER,
    Answer,
    Lease,
    Manifest,
    Page,
    Record,
    Tagger,
    build_answer,
    build_lease,
    build_manifest,
    build_page,
    digest_chunks,
    pack_records,
    prove_answer,
)
from dojang.oauth.feed_notices import MEDIA_TYPE as LINES
from dojang.oauth.feed_notices import begin_proofs, build_last_line, build_line, build_notice
from dojang.oauth.revocation_fact import FIRST_DIGEST, FactKind, Rev
from dojang.testing import SettableClock
from dojang.trust.revocations import RevocationView

AUDIENCE: Final = "https://orders.example"
VIEW_KEY: Final = bytes(range(32))

ChangeAnswer = Callable[[Answer], Answer]
ChangeResponse = Callable[[FetchResponse], FetchResponse]


class Held:
    """A question with `nonce` while it is held, of a follower that takes notices. `lines` are those
    that it was sent."""

    def __init__(self, issuer: "ScriptedIssuer", request: FetchRequest, nonce: str) -> None:
        self.nonce = nonce
        self.lines: list[bytes] = []
        self._issuer = issuer
        self._request = request

    def send(self, line: bytes) -> None:
        """A line, as it is."""
        assert self._request.hear is not None
        self.lines.append(line)
        if not self._request.hear(line):
            raise FetchFailed(self._request.host, FetchProblem.MALFORMED)

    def tell(self, first: int, last: int | None = None, **changes: Any) -> None:
        """Facts number `first` to `last`, with changes."""
        self.send(self._issuer.line(first, last or first, nonce=self.nonce, **changes))


@cache
def feed_key(number: int) -> SigningKey:
    """RSA keys take long to make; tests share them."""
    return SigningKey.generate("RS256", f"feed-{number}")


class ScriptedIssuer:
    """A `Transport` that leads to it.

    `facts` counts from the first of all epochs. `change_answer` changes what is said before it is
    proven, `change_response` what is sent after; `lateness` is how long answers take, and
    `hold` what happens while one is due to who takes notices.
    """

    def __init__(self, url: str = "https://issuer.test", *, clock: SettableClock) -> None:
        self.url = url
        self.clock = clock
        self.key = SigningKey.generate("ES256", "access-1")
        self.published = [self.key]
        self.feed_keys = [feed_key(1), feed_key(2)]
        self.view_key = VIEW_KEY
        self.epoch = 1
        self.facts: list[Record] = []
        self.digests = [FIRST_DIGEST]
        self.page_size = 150
        self.remembered = 0  # facts up to this one are told in a snapshot only
        self.lease = "dojang_fl_1"
        self.proof_key = bytes(32)
        self.lease_life = 3600
        self.offered = True
        self.lateness = 0.0
        self.down = False
        self.change_answer: ChangeAnswer = lambda answer: answer
        self.change_response: ChangeResponse = lambda response: response
        self.hold: Callable[[Held], object] = lambda held: None
        self.status: dict[str, int] = {}
        self.active = True
        self.requests: list[tuple[str, str]] = []
        self.questions: list[dict[str, str]] = []
        self.joins: list[tuple[dict[str, str], Mapping[str, str]]] = []
        self.keys_digest = "keys-1"
        self._chunks: dict[str, bytes] = {}
        self._answers: dict[str, Callable[[FetchRequest, dict[str, str]], FetchResponse]] = {
            "/.well-known/oauth-authorization-server": self._serve_metadata,
            "/jwks": self._serve_jwks,
            "/introspect": self._introspect,
            "/feed/join": self._join,
            "/feed": self._ask,
            "/feed/snapshot": self._serve_snapshot,
        }

    # What a test does to it.

    def revoke(self, kind: FactKind, identifier: str, *, life: int = 3600) -> None:
        """One more fact, to be forgotten `life` seconds from now."""
        tag = Tagger(self.view_key).tag(kind, identifier)
        self.append(Record(kind, tag, int(self.clock.now()) + life))

    def append(self, *records: Record) -> None:
        for record in records:
            self.facts.append(record)
            self.digests.append(sha256(self.digests[-1] + pack_records([record])).digest())

    def go_back(self, number: int) -> None:
        """Lose every fact after `number`, as a database does that is restored."""
        del self.facts[number:]
        del self.digests[number + 1 :]

    def begin_epoch(self) -> None:
        """Say that facts may be lost; numbers go on."""
        self.epoch += 1
        self.remembered = len(self.facts)
        self.revoke(FactKind.EVERYTHING, self.url)

    def token(self, **changes: Any) -> str:
        """A token that was allowed at the present position; a change to None leaves a claim out."""
        key = changes.pop("key", self.key)
        now = int(self.clock.now())
        claims = {
            "iss": self.url,
            "sub": "machine",
            "aud": AUDIENCE,
            "client_id": "machine",
            "exp": now + 600,
            "iat": now,
            "jti": f"jti-{time.monotonic_ns()}",
            "grant": "grant-1",
            "scope": "orders:read",
            "rev": [self.epoch, len(self.facts)],
        }
        wanted = {name: value for name, value in (claims | changes).items() if value is not None}
        return sign_jwt(wanted, CompactSigner(key, typ="at+jwt"))

    def count(self, path: str) -> int:
        return sum(asked == path for _, asked in self.requests)

    # What it says.

    @property
    def position(self) -> Rev:
        return Rev(self.epoch, len(self.facts))

    def sign(self, claims: bytes, *, key: SigningKey | None = None) -> str:
        return CompactSigner(key or self.feed_keys[0], typ=MEDIA_TYPE).sign(claims)

    def page(
        self,
        first: int,
        last: int,
        *,
        key: SigningKey | None = None,
        issuer: str | None = None,
        **changes: Any,
    ) -> str:
        """Facts number `first` to `last`, signed, with changes."""
        page = Page(
            self.epoch,
            first,
            last,
            self.digests[first - 1],
            self.digests[last],
            int(self.clock.now()),
            tuple(key.verifying_key().thumbprint for key in self.feed_keys),
            tuple(self.facts[first - 1 : last]),
        )
        return self.sign(build_page(page._replace(**changes), issuer=issuer or self.url), key=key)

    def line(
        self,
        first: int,
        last: int,
        *,
        nonce: str,
        proof_key: bytes | None = None,
        epoch: int | None = None,
        records: Sequence[Record] | None = None,
        number: int | None = None,
    ) -> bytes:
        """A notice of facts number `first` to `last`, with changes."""
        told = self.facts[first - 1 : last] if records is None else records
        rev = Rev(epoch or self.epoch, first if number is None else number)
        return build_line(build_notice(rev, told), begin_proofs(proof_key or self.proof_key, nonce))

    def pages(self, after: int) -> tuple[str, ...]:
        """Every fact later than number `after`, in pages."""
        size = self.page_size
        return tuple(
            self.page(first, min(first + size - 1, len(self.facts)))
            for first in range(after + 1, len(self.facts) + 1, size)
        )

    def snapshot(self) -> tuple[str, list[bytes]]:
        """A manifest, signed, and the chunks of all that is known and not spent."""
        view = RevocationView(Tagger(self.view_key))
        now = int(self.clock.now())
        for number, record in enumerate(self.facts, 1):
            if record.forget_after >= now:
                view.apply(self.epoch, number, [record])
        chunks = view.export().chunks
        self._chunks |= {sha256(chunk).hexdigest(): chunk for chunk in chunks}
        manifest = Manifest(
            self.position,
            self.digests[-1],
            digest_chunks(sha256(chunk).digest() for chunk in chunks),
            now,
            tuple(key.verifying_key().thumbprint for key in self.feed_keys),
        )
        return self.sign(build_manifest(manifest, issuer=self.url)), chunks

    # The transport.

    def send(self, request: FetchRequest) -> FetchResponse:
        path = urlsplit(request.url).path
        self.requests.append((request.method, path))
        if self.down:
            raise FetchFailed(request.host, FetchProblem.CONNECTION)
        if path in self.status:
            return FetchResponse(self.status[path], {}, b"{}")
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        if path.startswith("/feed/chunks/"):
            wanted = path.removeprefix("/feed/chunks/")
            return self.change_response(FetchResponse(200, {}, self._chunks[wanted]))
        return self._answers[path](request, form)

    def _serve_metadata(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        metadata = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "introspection_endpoint": f"{self.url}/introspect",
        }
        if self.offered:
            metadata["dojang_feed_endpoint"] = f"{self.url}/feed"
        return _json(metadata)

    def _serve_jwks(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        return _json({"keys": [key.public_jwk() for key in self.published]})

    def _introspect(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        if not self.active:
            return _json({"active": False})
        claims = json.loads(base64url.decode(form["token"].split(".")[1]))
        return _json({"active": True, **claims})

    def _join(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        self.joins.append((form, dict(request.headers)))
        keys = {"keys": [key.public_jwk() for key in self.feed_keys]}
        lease = Lease(self.lease, self.proof_key, self.view_key, keys, self.lease_life)
        return _json(build_lease(lease))

    def _ask(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        self.questions.append(form)
        if dict(request.headers).get("Authorization") != f"Bearer {self.lease}":
            return FetchResponse(401, {}, b"{}")
        self.clock.move(self.lateness)
        held = Held(self, request, form["nonce"])
        if request.hear is not None:
            self.hold(held)
        after = Rev(int(form["epoch"]), int(form["head"]))
        known = after.epoch == self.epoch and self.remembered <= after.number <= len(self.facts)
        if known:
            known = form["digest"] == base64url.encode(self.digests[after.number])
        answer = Answer(
            self.position,
            self.digests[-1],
            self.pages(after.number) if known else (),
            not known,
            self.keys_digest,
            0.5,
        )
        body = json.dumps(build_answer(self.change_answer(answer))).encode()
        proof = prove_answer(self.proof_key, held.nonce, sha256(body).digest())
        if held.lines:
            line = build_last_line(proof, body)
            return self.change_response(FetchResponse(200, {"content-type": LINES}, line))
        return self.change_response(FetchResponse(200, {PROOF_HEADER: proof}, body))

    def _serve_snapshot(self, request: FetchRequest, form: dict[str, str]) -> FetchResponse:
        manifest, chunks = self.snapshot()
        names = [sha256(chunk).hexdigest() for chunk in chunks]
        return self.change_response(_json({"manifest": manifest, "chunks": names}))


class Wire(HttpTransport):
    """The one that takes notices, and leads where `way` does, without a socket. What a test asserts
    on the way goes past followers, which take every exception for a broken line."""

    def __init__(self, way: Transport) -> None:
        super().__init__()
        self._way = way

    def send(self, request: FetchRequest) -> FetchResponse:
        try:
            return self._way.send(request)
        except AssertionError as flaw:
            pytest.fail(f"while a question was held: {flaw}")


def _json(document: object) -> FetchResponse:
    return FetchResponse(200, {"content-type": "application/json"}, json.dumps(document).encode())
