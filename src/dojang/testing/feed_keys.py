"""Keys that sign the feeds of all issuers of a process: an RSA key takes 0.1 s to make."""

from __future__ import annotations

from functools import cache

from dojang.jose.keys import SigningKey
from dojang.oauth.feed import ALGORITHM


@cache
def share_feed_keys() -> tuple[SigningKey, SigningKey]:
    """The one that signs, and its standby."""
    return SigningKey.generate(ALGORITHM), SigningKey.generate(ALGORITHM)
