"""A follower as its issuer meets it: forms in, answers out, everything checked by hand.

None of the code that follows feeds is used, so that the two ends are tested against the protocol
and not against each other.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from secrets import token_urlsafe
from typing import Any, NamedTuple

from dojang.jose import base64url
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.feed import (
    ALGORITHM,
    MEDIA_TYPE,
    PROOF_HEADER,
    Answer,
    Lease,
    Manifest,
    Page,
    Tagger,
    check_proof,
    digest_chunks,
    parse_answer,
    parse_lease,
    parse_manifest,
    parse_page,
)
from dojang.oauth.http import Response
from dojang.oauth.revocation_fact import FIRST_DIGEST, Rev
from dojang.server.ports import Store
from dojang.server.provider import Provider
from dojang.storage.memory import MemoryStore
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.testing.store import SeverableStore
from dojang.testing.transport import build_inline_routes
from dojang.web.public import build_public_routes
from tests.server.front_door import basic_of, bearer, get, header_of, post

CLIENT = "orders"
ORDERS = "https://orders.test"


def open_feed(issuer: Issuer) -> Issuer:
    """`issuer` with a resource and the client that may introspect for it."""
    issuer.add_client(CLIENT)
    issuer.add_resource(ORDERS, ["read"], introspectors=[CLIENT])
    return issuer


class Snapshot(NamedTuple):
    manifest: Manifest
    chunks: list[bytes]


class HandFollower:
    """Follows `issuer` at its front door. `rev` and `digest` are where it stands; `pages` are all
    that it has read."""

    def __init__(self, issuer: Issuer, client_id: str = CLIENT, *, name: str = "host:1") -> None:
        self.issuer = issuer
        self.rev = Rev(0, 0)
        self.digest = FIRST_DIGEST
        self.pages: list[Page] = []
        self.signed: list[str] = []
        self.join(client_id, name=name)

    def join(self, client_id: str = CLIENT, *, name: str = "host:1") -> None:
        answer = post(self.issuer, "/feed/join", {"name": name}, basic_of(self.issuer, client_id))
        assert answer.status == 200, answer.body
        self.take(parse_lease(answer.body))

    def take(self, lease: Lease) -> None:
        self.lease = lease
        self.verifier = JwtVerifier(
            KeySet.parse(lease.feed_keys), algorithms=[ALGORITHM], types=[MEDIA_TYPE]
        )
        self.tagger = Tagger(lease.view_key)

    def build(self, **other: str | None) -> dict[str, str]:
        """The form of a question; `other` fields replace its own, None leaves one out."""
        form: dict[str, str | None] = {
            "nonce": token_urlsafe(24),
            "epoch": str(self.rev.epoch),
            "head": str(self.rev.number),
            "digest": base64url.encode(self.digest),
            "hold": "0",
            **other,
        }
        return {name: value for name, value in form.items() if value is not None}

    def send(self, form: Mapping[str, str] | bytes | None = None) -> Response:
        """What the issuer answers to a question, whatever that is."""
        asked = self.build() if form is None else form
        return post(self.issuer, "/feed", asked, bearer(self.lease.lease))

    def ask(self, **other: str | None) -> Answer:
        """An answer that is proven; nothing of it is taken in."""
        form = self.build(**other)
        response = self.send(form)
        assert response.status == 200, response.body
        proof = header_of(response, PROOF_HEADER.encode())
        assert proof is not None
        check_proof(proof.decode(), self.lease.proof_key, form["nonce"], response.body)
        return parse_answer(response.body)

    def read(self, signed: str) -> Page:
        """A page whose signature is good."""
        return parse_page(self.verifier.verify(signed).claims, issuer=self.issuer.url)

    def catch_up(self) -> list[Page]:
        """Ask, and take in what the answer says; from a snapshot where need be. The new pages."""
        before = len(self.pages)
        answer = self.ask()
        if answer.snapshot:
            manifest = self.load_snapshot().manifest
            self.rev, self.digest = manifest.rev, manifest.digest
            return self.catch_up()
        for signed in answer.pages:
            page = self.read(signed)
            assert (page.epoch, page.first) == (self.rev.epoch, self.rev.number + 1)
            assert page.before == self.digest
            self.rev, self.digest = Rev(page.epoch, page.last), page.after
            self.pages.append(page)
            self.signed.append(signed)
        assert (answer.rev, answer.digest) == (self.rev, self.digest)
        return self.pages[before:]

    def load_snapshot(self) -> Snapshot:
        """A snapshot whose manifest is signed and whose chunks are those it names."""
        response = get(self.issuer, "/feed/snapshot", bearer(self.lease.lease))
        assert response.status == 200, response.body
        index: dict[str, Any] = json.loads(response.body)
        claims = self.verifier.verify(index["manifest"]).claims
        manifest = parse_manifest(claims, issuer=self.issuer.url)
        assert manifest.chunks == digest_chunks(map(bytes.fromhex, index["chunks"]))
        return Snapshot(manifest, [self.load_chunk(name) for name in index["chunks"]])

    def load_chunk(self, name: str) -> bytes:
        response = get(self.issuer, f"/feed/chunks/{name}", bearer(self.lease.lease))
        assert response.status == 200, response.body
        return response.body


def put_in_place(issuer: Issuer, store: Store) -> Provider:
    """Another node, on `store`, answers at the issuer's address from now on."""
    keys = issuer.provider.state.keys
    provider = run(
        Provider.start(
            issuer=issuer.url,
            store=store,
            clock=issuer.clock,
            key_encryption_key=keys._encryption_key.secret,
        )
    )
    issuer.transport._routes = build_inline_routes(build_public_routes(provider))
    return provider


def copy_database(issuer: Issuer) -> MemoryStore:
    """What a backup of the database is."""
    severable = issuer.provider.store
    assert isinstance(severable, SeverableStore)
    copied = deepcopy(severable._store)
    assert isinstance(copied, MemoryStore)
    return copied
