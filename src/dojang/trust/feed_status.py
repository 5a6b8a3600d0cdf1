"""How far a view of revocations can be relied on now: for metrics, alarms and people."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from dojang.oauth.revocation_fact import Rev


class FeedState(StrEnum):
    """STARTING: nothing is proven yet. FRESH and STALE: against the smallest bound in force.
    WENT_BACK: the issuer shows an older history than it has signed. NOT_OFFERED: it has no feed."""

    STARTING = "starting"
    FRESH = "fresh"
    STALE = "stale"
    WENT_BACK = "went_back"
    NOT_OFFERED = "not_offered"


class FeedStatus(NamedTuple):
    """`age`: seconds since the question whose answer last proved the view; None before the first.
    `position`: how far the view has come in the issuer's record; `facts`: how many it holds.
    `failure`: what went wrong last, None where the last question was answered.
    `questions` and `failures` count those of the follower.

    The last four are a verifier's: requests that the view decided, those the issuer was asked
    about, those refused (503) and those accepted on a view that was too old for their bound.
    """

    state: FeedState
    age: float | None
    position: Rev | None
    facts: int
    failure: str | None
    questions: int
    failures: int
    decided: int = 0
    asked: int = 0
    refused: int = 0
    accepted: int = 0
