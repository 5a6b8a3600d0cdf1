"""Tokens on outgoing requests, and one new try where a service refused the token.

One generator says what happens; `httpx_auth` and `requests_auth` drive it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from dojang.client.source import BoundSource
from dojang.oauth.challenge import find_challenge, parse_challenges
from dojang.oauth.urls import parse_url


class Send(NamedTuple):
    """Send the request with this token."""

    token: str

    def __repr__(self) -> str:
        return "Send()"


class NeedToken(NamedTuple):
    """Get a token."""


class Answered(NamedTuple):
    """What a service answered, as far as it matters here."""

    status: int
    challenge: str


Step = Send | NeedToken
Reply = str | Answered


def authorize(source: BoundSource, url: str, *, replayable: bool) -> Generator[Step, Any, None]:
    """Token → request → where the token was refused (RFC 6750 §3.1), another token, once; not
    where the body is spent, so not `replayable`.

    Raises `ValueError` for a URL that a token must not travel to.
    """
    parse_url(url)
    token: str = yield NeedToken()
    answered: Answered = yield Send(token)
    if answered.status != 401:
        return
    challenge = find_challenge(parse_challenges(answered.challenge), "Bearer")
    if challenge is None or challenge.parameters.get("error") != "invalid_token":
        return
    source.discard(token)
    if replayable:
        another: str = yield NeedToken()
        if another != token:
            yield Send(another)


def advance(steps: Generator[Step, Any, None], reply: Reply | None) -> Step | None:
    """The next step after `reply`; None when there is none."""
    try:
        return steps.send(reply)
    except StopIteration:
        return None
