"""What one `Expect` and one key set have admitted: signatures proven once, all else every time."""

from __future__ import annotations

from typing import Final

from dojang.jose.errors import InvalidToken, UnknownKey
from dojang.jose.header import normalize_type
from dojang.jose.jwt import JwtVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.access_token import AccessToken, check_access_token, parse_access_token
from dojang.resource.errors import REASONS, Refusal, RefusalReason
from dojang.resource.expect import Expect
from dojang.resource.verified import VerifiedToken

_FOREVER_AGO: Final = float("-inf")

# A token whose signature is good, laid out for the checks made on every use: the verified token,
# iss, aud, typ, the last and the first moment it is good (leeway included), all of its claims, and
# the kid of the key that proved it. A plain tuple: unpacking one is what a warm request costs.
Admitted = tuple[VerifiedToken, str, tuple[str, ...], str, float, float, AccessToken, str | None]


class Admission:
    """The tokens known under one expectation and one key set; with either changed it is dropped.

    There are two generations of at most `size / 2` tokens: the older is dropped when the younger
    is full, so what is used stays.
    """

    __slots__ = ("_half", "_jwt", "_old", "audience", "expect", "issuer", "keys", "known", "typ")

    def __init__(self, expect: Expect, keys: KeySet, *, size: int) -> None:
        self.expect = expect
        self.issuer = expect.issuer
        self.audience = expect.audience
        self.typ = expect.media_type
        self.keys = keys
        self.known: dict[str, Admitted] = {}
        self._old: dict[str, Admitted] = {}
        self._half = size // 2
        self._jwt = JwtVerifier(keys, algorithms=expect.algorithms, types=(expect.typ,))

    def admit(self, token: str, *, now: float) -> Admitted:
        """Verify a token that is not among the known ones.

        1. signature, algorithm, type and key; 2. the claims are there and of the right types;
        3. no binding to a sender that nobody here checks; 4. issuer, audience and times.
        Scopes and revocation are the caller's. Raises `Refusal`, or `UnknownKey` where other keys
        might help.
        """
        try:
            admitted = self.known.get(token) or self._old.get(token)
            if admitted is None:
                admitted = self._prove(token)
            check_access_token(
                admitted[6],
                issuer=self.issuer,
                audience=self.audience,
                now=now,
                leeway=self.expect.leeway,
            )
        except UnknownKey:
            raise
        except InvalidToken as flaw:
            raise Refusal(REASONS.get(flaw.reason, RefusalReason.MALFORMED)) from flaw
        except OverflowError:  # a time that no float can hold
            raise Refusal(RefusalReason.BAD_CLAIM) from None
        if self._half:
            if len(self.known) >= self._half:
                self.known, self._old = {}, self.known
            self.known[token] = admitted
        return admitted

    def _prove(self, token: str) -> Admitted:
        signed = self._jwt.verify(token)
        access = parse_access_token(signed.claims)
        if "cnf" in signed.claims:  # RFC 9449 §7.1, RFC 8705 §3
            raise Refusal(RefusalReason.BOUND_TOKEN)
        starts_at = access.issued_at if access.issued_at is not None else _FOREVER_AGO
        if access.not_before is not None and access.not_before > starts_at:
            starts_at = access.not_before
        leeway = self.expect.leeway
        return (
            VerifiedToken(access),
            access.issuer,
            access.audience,
            normalize_type(signed.header["typ"]),
            access.expires_at + leeway,
            starts_at - leeway,
            access,
            signed.kid,
        )
