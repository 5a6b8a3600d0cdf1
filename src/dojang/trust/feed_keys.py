"""The keys that sign an issuer's feed: those of the first lease, and those they introduced.

The first come over TLS to a follower that proved who it is. From then on a key is good only if
one that was good has said so over its own signature, and the issuer still gives it out: whoever
takes over the issuer's name or its certificate cannot bring a key of his own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from dojang.jose.errors import InvalidKey, InvalidToken, UnknownKey
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.feed import ALGORITHM, MEDIA_TYPE, InvalidFeed


class UnknownSigner(InvalidFeed):
    """Signed with a key that is not among those given: another lease may bring it."""


class SignedStatement(NamedTuple):
    """The claims of a page or a manifest, whose signature is proven under the key with this
    thumbprint (RFC 7638)."""

    claims: Mapping[str, Any]
    thumbprint: str


class FeedKeys:
    """`thumbprints` are those of the keys in use, `jwks` is their JWK set; `complete` says that
    there is no other that the issuer gave out and nobody introduced."""

    __slots__ = ("_introduced", "_names", "_verifier", "complete", "jwks", "thumbprints")

    def __init__(self) -> None:
        self._introduced: frozenset[str] = frozenset()
        self._names: dict[str | None, str] = {}
        self._verifier: JwtVerifier | None = None
        self.thumbprints: frozenset[str] = frozenset()
        self.jwks: dict[str, Any] = {"keys": []}
        self.complete = True

    def take(self, jwks: Mapping[str, Any]) -> None:
        """The keys of a lease take the place of those before. Raises `InvalidFeed` where none of
        them is good; nothing has changed then."""
        try:
            given = KeySet.parse(jwks).keys
        except InvalidKey:
            raise InvalidFeed("the feed's keys are no key set") from None
        first = self._verifier is None
        good = [key for key in given if first or key.thumbprint in self._introduced]
        if not good:
            raise InvalidFeed("nobody introduced the keys that the feed has now")
        self._names = {key.kid: key.thumbprint for key in good}
        self._verifier = JwtVerifier(KeySet(good), algorithms={ALGORITHM}, types={MEDIA_TYPE})
        self.thumbprints = frozenset(self._names.values())
        self.jwks = {"keys": [key.public_jwk() for key in good]}
        self.complete = len(good) == len(given)
        if first:
            self._introduced = self.thumbprints

    def verify(self, signed: str) -> SignedStatement:
        """Prove the signature of a page or a manifest. Raises `InvalidFeed`."""
        if self._verifier is None:
            raise UnknownSigner("there is no key of the feed yet")
        try:
            proven = self._verifier.verify(signed)
        except UnknownKey:
            raise UnknownSigner("the page is signed with a key that nobody gave out") from None
        except InvalidToken:
            raise InvalidFeed("the page is not signed by the feed") from None
        thumbprint = self._names.get(proven.kid)  # others may have been taken meanwhile
        if thumbprint is None:
            raise UnknownSigner("the page is signed with a key that is not given out any more")
        return SignedStatement(proven.claims, thumbprint)

    def introduce(self, thumbprints: Collection[str]) -> None:
        """What a statement whose signature was proven says of the keys to come."""
        if not self._introduced.issuperset(thumbprints):
            self._introduced = self._introduced.union(thumbprints)
