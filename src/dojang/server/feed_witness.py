"""What a follower has seen signed and shows to a server that seems to know less (F15)."""

from __future__ import annotations

from typing import NamedTuple

from dojang.jose.errors import InvalidToken
from dojang.oauth.feed import InvalidFeed, parse_manifest, parse_page
from dojang.oauth.revocation_fact import Rev
from dojang.server.feed_keys import FeedKeys


class Witness(NamedTuple):
    """The issuer has said once, signed, that its record of facts has `digest` at `rev`."""

    rev: Rev
    digest: bytes


def parse_witness(signed: str, keys: FeedKeys, *, issuer: str) -> Witness | None:
    """What a page or a manifest proves; None where it proves nothing."""
    try:
        claims = keys.verifier.verify(signed).claims
        if "snapshot" in claims:
            manifest = parse_manifest(claims, issuer=issuer)
            return Witness(manifest.rev, manifest.digest)
        page = parse_page(claims, issuer=issuer)
    except (InvalidToken, InvalidFeed):
        return None
    return Witness(Rev(page.epoch, page.last), page.after)
