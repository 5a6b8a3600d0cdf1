"""The keys that sign the feed. They sign nothing else, stand in no public key set, and the next is
introduced by the present one: every page names the thumbprints of all that are published."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet, SigningKey
from dojang.jose.seal import SealKey
from dojang.oauth.feed import ALGORITHM, MEDIA_TYPE

_FIRST: Final = (b"dojang feed key 1", b"dojang feed key 2")


class FeedKeys(NamedTuple):
    """What signs and proves pages at a moment. `introduces` are thumbprints (RFC 7638), `jwks` is
    what a follower is given."""

    signer: CompactSigner
    verifier: JwtVerifier
    introduces: tuple[str, ...]
    jwks: dict[str, Any]

    @property
    def kids(self) -> tuple[str, ...]:
        """The key ids of `jwks`."""
        return tuple(key["kid"] for key in self.jwks["keys"])


def build_feed_keys(published: Iterable[SigningKey], working: str | None) -> FeedKeys | None:
    """The feed's keys, of which `working` (a kid) signs; None where it is not among them."""
    keys = list(published)
    signing = next((key for key in keys if key.kid == working), None)
    if signing is None:
        return None
    verifying = [key.verifying_key() for key in keys]
    return FeedKeys(
        CompactSigner(signing, typ=MEDIA_TYPE),
        JwtVerifier(KeySet(verifying), algorithms={ALGORITHM}, types={MEDIA_TYPE}),
        tuple(key.thumbprint for key in verifying),
        {"keys": [key.public_jwk() for key in keys]},
    )


def derive_first_kids(encryption_key: SealKey) -> tuple[str, ...]:
    """The kids of the first two keys of the feed. They are the same on every node: of nodes that
    make them at once, one commits and the others meet a conflict."""
    return tuple(hmac.digest(encryption_key.secret, name, "sha256")[:8].hex() for name in _FIRST)
