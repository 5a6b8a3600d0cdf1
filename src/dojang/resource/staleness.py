"""How stale the view of revocations may be for a route, and what happens beyond that."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

DEFAULT_STALENESS: Final = 2.0  # seconds


class WhenStale(StrEnum):
    """What becomes of a request whose bound the view does not keep. ASK: the issuer decides.
    REFUSE: 503, with Retry-After. ACCEPT_UNTIL_EXPIRY: it is served, as with a local check alone;
    a token that is revoked meanwhile passes until it expires, or until the view has caught up.

    What the view knows to be revoked is refused whatever this says, and with a bound of 0, as with
    an issuer that offers no feed, the issuer is always asked.
    """

    ASK = "ask"
    REFUSE = "refuse"
    ACCEPT_UNTIL_EXPIRY = "accept_until_expiry"


def check_staleness(staleness: float | None) -> None:
    """Raises `ValueError` for a bound that is none (seconds)."""
    if staleness is not None and not 0 <= staleness < float("inf"):
        raise ValueError("staleness is a number of seconds, 0 or more")
