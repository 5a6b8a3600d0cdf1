"""Token requests that were allowed, as of one generation.

A machine sends the same request again and again, letter by letter. While nothing that the server
knows has changed, an identical request has an identical verdict. Only what a secret proved is
kept: an assertion is spent by its first use. Of the request a keyed digest is held, never its
secret.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from dojang.oauth.http import Request
from dojang.server.checked_request import CheckedRequest
from dojang.server.model import AuthenticationMethod

MOST_HELD: Final = 8192


class RepeatedRequests:
    """Verdicts by request. `key` is 32 random bytes of this process."""

    __slots__ = ("_held", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._held: dict[bytes, tuple[float, CheckedRequest]] = {}

    def digest(self, request: Request) -> bytes:
        """What identifies all of a request that a verdict rests on.

        Raises `OAuthError(INVALID_REQUEST)` for a header that stands twice.
        """
        credentials = request.header(b"authorization")
        media_type = request.header(b"content-type") or b""
        # An empty header is a way to authenticate; an absent one is none.
        given = -1 if credentials is None else len(credentials)
        parts = b"%d %d %b%b%b" % (
            given, len(media_type), credentials or b"", media_type, request.body,
        )  # fmt: skip
        return blake2b(parts, key=self._key, digest_size=32).digest()

    def find(self, digest: bytes, *, now: float) -> CheckedRequest | None:
        """The verdict on an identical request, unless a secret of its client has ended since."""
        held = self._held.get(digest)
        if held is None or now >= held[0]:
            return None
        return held[1]

    def keep(self, digest: bytes, checked: CheckedRequest, *, now: float) -> None:
        """Remember a verdict until the next secret of the client ends, where it has secrets."""
        if checked.client.authentication is AuthenticationMethod.PRIVATE_KEY_JWT:
            return
        ends = [
            secret.expires_at
            for secret in checked.client.secrets
            if secret.expires_at is not None and secret.expires_at > now
        ]
        if len(self._held) >= MOST_HELD:
            del self._held[next(iter(self._held))]
        self._held[digest] = (min(ends, default=float("inf")), checked)
