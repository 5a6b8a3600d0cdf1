"""Why a token would be accepted or refused, check by check, in words.

Every check here is one that services make, called on its own with everything else taken as right;
the verdict is that of a `LocalVerifier` as services use it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from dojang.cli.output import show_time
from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.jose import base64url, json_object
from dojang.jose.algorithms import ALGORITHMS
from dojang.jose.errors import InvalidToken
from dojang.jose.header import (
    check_algorithm,
    check_critical,
    check_type,
    check_types,
    parse_header,
    parse_kid,
)
from dojang.jose.jws import MAX_TOKEN_LENGTH, CompactVerifier
from dojang.jose.keys import KeySet
from dojang.oauth.access_token import AccessToken, check_access_token, parse_access_token
from dojang.oauth.sensitive_claims import SensitiveClaim, find_sensitive_claims
from dojang.resource import (
    Expect,
    FixedKeys,
    LocalVerifier,
    Refusal,
    Rule,
    VerifiedToken,
    check_rule,
)

OPAQUE_PREFIX: Final = "dojang_at_"


class Check(NamedTuple):
    """One check. `passed` None: it could not be made, or not here."""

    name: str
    passed: bool | None
    says: str


class Inspection(NamedTuple):
    """All checks, and what a service that checks locally would answer. `reason` is its reason to
    refuse, empty where it accepts. `sensitive` are claims that should not be in a token."""

    checks: tuple[Check, ...]
    reason: str
    sensitive: tuple[SensitiveClaim, ...]

    @property
    def accepted(self) -> bool:
        return not self.reason


def inspect_token(
    token: str,
    keys: KeySet,
    expect: Expect,
    *,
    scopes: Collection[str],
    clock: Clock = SYSTEM_CLOCK,
) -> Inspection:
    """Check a token as a service with this `expect` would, and go on after the first failure."""
    inspector = _Inspector(token, keys, expect, scopes, clock.now())
    checks = tuple(make() for make in inspector.steps)
    sensitive = tuple(find_sensitive_claims(inspector.claims or {}))
    return Inspection(checks, _find_verdict(token, keys, expect, scopes, clock), sensitive)


def _find_verdict(
    token: str, keys: KeySet, expect: Expect, scopes: Collection[str], clock: Clock
) -> str:
    try:
        verified = LocalVerifier(expect, keys=FixedKeys(keys), clock=clock).verify(token)
        if scopes:
            check_rule(Rule(scopes=tuple(scopes)), verified, now=clock.now())
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


class _Inspector:
    """One token under inspection; what a check finds out, later ones use."""

    def __init__(
        self, token: str, keys: KeySet, expect: Expect, scopes: Collection[str], now: float
    ) -> None:
        self._token = token
        self._keys = keys
        self._expect = expect
        self._scopes = tuple(scopes)
        self._now = now
        self._header: dict[str, Any] | None = None
        self.claims: dict[str, Any] | None = None
        self._access: AccessToken | None = None
        self.steps: tuple[Callable[[], Check], ...] = (
            self._check_form,
            self._check_extensions,
            self._check_algorithm,
            self._check_type,
            self._check_key,
            self._check_signature,
            self._check_claims,
            self._check_issuer,
            self._check_audience,
            self._check_expiry,
            self._check_start,
            self._check_binding,
            self._check_scope,
            self._check_revocation,
        )

    def _check_form(self) -> Check:
        name = "form"
        if self._token.startswith(OPAQUE_PREFIX):
            says = (
                "an opaque token: only its issuer can read it; ask with `dojang token introspect`"
            )
            return Check(name, passed=False, says=says)
        if len(self._token) > MAX_TOKEN_LENGTH:
            return Check(name, passed=False, says=f"longer than {MAX_TOKEN_LENGTH} characters")
        segments = self._token.encode("ascii", "replace").split(b".")
        if len(segments) != 3:
            says = f"not a JWT: that has 3 segments, and this {len(segments)}"
            return Check(name, passed=False, says=says)
        header, payload, signature = segments
        part = "header"
        try:
            self._header = parse_header(header)
            part = "payload"
            self.claims = json_object.parse(base64url.decode(payload))
            part = "signature"
            base64url.decode(signature)
        except InvalidToken as flaw:
            return Check(name, passed=False, says=f"its {part}: {flaw.detail}")
        return Check(name, passed=True, says="a signed JWT of JSON objects")

    def _check_extensions(self) -> Check:
        def check(header: dict[str, Any]) -> str:
            check_critical(header)
            return "demands no extension of the rules"

        return self._with_header("extensions", check)

    def _check_algorithm(self) -> Check:
        allowed = frozenset(self._expect.algorithms)
        listed = " ".join(sorted(allowed))

        def check(header: dict[str, Any]) -> str:
            return f"{check_algorithm(header, allowed)}, which you allow"

        return self._with_header(
            "algorithm", check, lambda header: f"{_quote(header.get('alg'))}; you allow {listed}"
        )

    def _check_type(self) -> Check:
        def check(header: dict[str, Any]) -> str:
            check_type(header, check_types((self._expect.typ,)))
            return f"{header['typ']}: an access token"

        return self._with_header(
            "type",
            check,
            lambda header: f"{_quote(header.get('typ'))}; an access token says {self._expect.typ}",
        )

    def _check_key(self) -> Check:
        def check(header: dict[str, Any]) -> str:
            key = self._keys.select(
                check_algorithm(header, frozenset(ALGORITHMS)), parse_kid(header)
            )
            return f"{key.kid or 'the only one'} is among the issuer's {len(self._keys)}"

        return self._with_header("key", check)

    def _check_signature(self) -> Check:
        def check(header: dict[str, Any]) -> str:
            algorithm = check_algorithm(header, frozenset(ALGORITHMS))
            types = (header["typ"] if isinstance(header.get("typ"), str) else None,)
            CompactVerifier(self._keys, algorithms=(algorithm,), types=types).verify(self._token)
            return "made by that key, and nothing was changed since"

        return self._with_header("signature", check)

    def _check_claims(self) -> Check:
        name = "claims"
        if self.claims is None:
            return _skip(name)
        try:
            self._access = parse_access_token(self.claims)
        except InvalidToken as flaw:
            return Check(name, passed=False, says=flaw.detail)
        return Check(name, passed=True, says=f"complete; issued to {self._access.client_id}")

    def _check_issuer(self) -> Check:
        expected = self._expect.issuer
        return self._with_claims(
            "issuer",
            lambda _: {"issuer": expected},
            lambda token: f"{_quote(token.issuer)}; you expect {_quote(expected)}, exactly",
            lambda token: token.issuer,
        )

    def _check_audience(self) -> Check:
        expected = self._expect.audience
        return self._with_claims(
            "audience",
            lambda _: {"audience": expected},
            lambda token: (
                f"for {' '.join(map(_quote, token.audience))}; you are {_quote(expected)}"
            ),
            lambda _: f"for {expected}",
        )

    def _check_expiry(self) -> Check:
        def say(token: AccessToken) -> str:
            left = token.expires_at - self._now
            words = f"in {left:.0f} s" if left > 0 else f"{-left:.0f} s ago"
            return f"expires at {show_time(token.expires_at)}: {words}"

        return self._with_claims(
            "expiry",
            lambda token: {"now": max(self._now, _find_start(token))},
            lambda token: say(token).replace("expires", "expired"),
            say,
        )

    def _check_start(self) -> Check:
        def say(token: AccessToken) -> str:
            return f"good from {show_time(_find_start(token))}"

        return self._with_claims(
            "start", lambda token: {"now": min(self._now, token.expires_at - 1)}, say, say
        )

    def _check_binding(self) -> Check:
        name = "binding"
        if self.claims is None:
            return _skip(name)
        bound = "cnf" in self.claims
        says = "bound to a sender's key, which nobody here proves" if bound else "a bearer token"
        return Check(name, passed=not bound, says=says)

    def _check_scope(self) -> Check:
        name = "scope"
        if self._access is None:
            return _skip(name)
        verified = VerifiedToken(self._access)
        held = " ".join(sorted(verified.scopes)) or "nothing"
        if not self._scopes:
            return Check(name, passed=None, says=f"allows {held}; name what you need with --scope")
        try:
            check_rule(Rule(scopes=self._scopes), verified, now=self._now)
        except Refusal:
            says = f"allows {held}; you need {' '.join(self._scopes)}"
            return Check(name, passed=False, says=says)
        return Check(name, passed=True, says=f"allows {held}")

    def _check_revocation(self) -> Check:
        says = "only the issuer knows; ask with `dojang token introspect`"
        return Check("revocation", passed=None, says=says)

    def _with_header(
        self,
        name: str,
        check: Callable[[dict[str, Any]], str],
        explain: Callable[[dict[str, Any]], str] | None = None,
    ) -> Check:
        if self._header is None:
            return _skip(name)
        try:
            return Check(name, passed=True, says=check(self._header))
        except InvalidToken as flaw:
            return Check(name, passed=False, says=explain(self._header) if explain else flaw.detail)

    def _with_claims(
        self,
        name: str,
        choose: Callable[[AccessToken], dict[str, Any]],
        explain: Callable[[AccessToken], str],
        say: Callable[[AccessToken], str],
    ) -> Check:
        """`check_access_token` with what is chosen, and everything else as the token has it."""
        token = self._access
        if token is None:
            return _skip(name)
        expected: dict[str, Any] = {
            "issuer": token.issuer,
            "audience": token.audience[0],
            "now": min(max(self._now, _find_start(token)), token.expires_at - 1),
            "leeway": self._expect.leeway,
        }
        try:
            check_access_token(token, **{**expected, **choose(token)})
        except InvalidToken:
            return Check(name, passed=False, says=explain(token))
        return Check(name, passed=True, says=say(token))


def _find_start(token: AccessToken) -> float:
    return max(token.issued_at or 0, token.not_before or 0)


def _skip(name: str) -> Check:
    return Check(name, passed=None, says="cannot be looked at")


def _quote(value: object) -> str:
    text = str(value)[:200]
    return repr(text) if isinstance(value, str) else "missing" if value is None else text
