"""Verification by asking the issuer: RFC 7662. What it says is held to the same `Expect`."""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import (
    AsyncTransport,
    FetchRequest,
    FetchResponse,
    Flow,
    HttpTransport,
    ThreadedTransport,
    Transport,
    drive,
    drive_async,
)
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.access_token import AccessToken, check_access_token, parse_access_token
from dojang.oauth.errors import Unavailable
from dojang.oauth.urls import parse_url
from dojang.resource.answers import LONGEST_NEGATIVE, Answer, Answers
from dojang.resource.breaker import Breaker
from dojang.resource.errors import REASONS, Refusal, RefusalReason
from dojang.resource.expect import Expect
from dojang.resource.staleness import WhenStale
from dojang.resource.verified import VerifiedToken
from dojang.trust.credentials import Credentials, build_form
from dojang.trust.discovery import Issuer

_log = logging.getLogger("dojang.resource")

TIMEOUT: Final = 1.0
WIDTH: Final = 32
MAX_ANSWER: Final = 65_536
MAX_TOKEN: Final = 8192


class BearerSource(Protocol):
    """Where a token of scope `introspect` comes from; `dojang.client` has one."""

    def token(self) -> str:
        """Raises `Unavailable`."""

    async def token_async(self) -> str: ...

    def discard(self, token: str) -> None:
        """The issuer refused `token`: the next one is to be another."""


class IntrospectionVerifier:
    """Verifies tokens of any format by asking their issuer, over one of two kinds of caller
    authentication: `credentials` of a client, or a `source` of tokens of scope `introspect`.

    `keep` is how long a good answer serves, in seconds (0: each token is asked about every time;
    30 at most); `keep_refused` the same for a bad one (5 at most). `timeout` is for one answer,
    `width` bounds the questions under way. Raises `ValueError`.
    """

    def __init__(
        self,
        expect: Expect,
        *,
        credentials: Credentials | None = None,
        source: BearerSource | None = None,
        endpoint: str | None = None,
        fetch_from: str | None = None,
        keep: float = 0,
        keep_refused: float = LONGEST_NEGATIVE,
        known_tokens: int = 8192,
        timeout: float = TIMEOUT,
        width: int = WIDTH,
        transport: Transport | None = None,
        async_transport: AsyncTransport | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if (credentials is None) == (source is None):
            raise ValueError("introspection needs credentials or a source of tokens, one of them")
        if endpoint is not None:
            parse_url(endpoint)
        self._expect = expect
        self._credentials = credentials
        self._source = source
        self._issuer = Issuer(expect.issuer, fetch_from=fetch_from)
        self._endpoint = endpoint
        self._answers = Answers(positive=keep, negative=keep_refused, size=known_tokens)
        self._timeout = timeout
        self._transport = transport or HttpTransport(kept_per_host=width)
        self._async_transport = async_transport or ThreadedTransport(self._transport, threads=width)
        self._clock = clock
        self._breaker = Breaker(f"introspection at {expect.issuer}", width=width, clock=clock)
        self.freshness: float | None = keep

    def __repr__(self) -> str:
        return f"IntrospectionVerifier({self._expect!r})"

    @property
    def expect(self) -> Expect:
        """What is demanded."""
        return self._expect

    def ready(self) -> bool:
        """Always: there is nothing to have ready."""
        return True

    def need(self, bound: float) -> None:
        """Nothing: the issuer is asked."""

    def feed_status(self) -> None:
        """None: nothing is followed."""

    def verify(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """The token, verified as of at most `staleness` (and `keep`) seconds ago. An answer is
        never staler than that, so `when_stale` changes nothing.

        Raises `Refusal`; `Unavailable` where the issuer does not answer as it should.
        """
        answer = self._find(token, staleness)
        if answer is None:
            self._breaker.enter()
            with _Question(self._breaker):
                bearer = self._source.token() if self._source is not None else None
                answer = drive(self._ask(token, bearer), self._transport)
        return self._judge(answer)

    async def verify_async(
        self, token: str, *, staleness: float | None = None, when_stale: WhenStale | None = None
    ) -> VerifiedToken:
        """As `verify`, without blocking the loop."""
        answer = self._find(token, staleness)
        if answer is None:
            self._breaker.enter()
            with _Question(self._breaker):
                bearer = await self._source.token_async() if self._source is not None else None
                answer = await drive_async(self._ask(token, bearer), self._async_transport)
        return self._judge(answer)

    def _find(self, token: str, staleness: float | None) -> Answer | None:
        if len(token) > MAX_TOKEN:
            raise Refusal(RefusalReason.TOO_LARGE)
        if not token.isascii():  # RFC 6750 §2.1
            raise Refusal(RefusalReason.MALFORMED)
        return self._answers.find(
            token,
            now=self._clock.now(),
            monotonic=self._clock.monotonic(),
            staleness=staleness,
        )

    def _judge(self, answer: Answer) -> VerifiedToken:
        """Active → issuer, audience and times, as for a token verified here."""
        if answer.token is None:
            raise Refusal(RefusalReason.INACTIVE)
        expect = self._expect
        try:
            check_access_token(
                answer.token,
                issuer=expect.issuer,
                audience=expect.audience,
                now=self._clock.now(),
                leeway=expect.leeway,
            )
        except InvalidToken as flaw:
            raise Refusal(REASONS[flaw.reason]) from flaw
        except OverflowError:  # a time that no float can hold
            raise Refusal(RefusalReason.BAD_CLAIM) from None
        return VerifiedToken(answer.token)

    def _ask(self, token: str, bearer: str | None) -> Flow[Answer]:
        if self._endpoint is None:
            metadata = yield from self._issuer.discover(timeout=self._timeout)
            if metadata.introspection_endpoint is None:
                raise Unavailable(f"{self._issuer.name} (its metadata names no introspection)")
            self._endpoint = self._issuer.find_address(metadata.introspection_endpoint)
        asked_at = self._clock.monotonic()
        response = yield self._build_request(self._endpoint, token, bearer)
        if response.status == 401 and bearer is not None and self._source is not None:
            self._source.discard(bearer)
        answer = Answer(self._parse(response), asked_at)
        self._answers.keep(token, answer)
        return answer

    def _build_request(self, endpoint: str, token: str, bearer: str | None) -> FetchRequest:
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if self._credentials is not None:
            self._credentials.authenticate(
                form, headers, issuer=self._issuer.name, now=self._clock.now()
            )
        return FetchRequest(
            "POST",
            endpoint,
            tuple(headers.items()),
            build_form(form),
            timeout=self._timeout,
            max_bytes=MAX_ANSWER,
            repeatable=True,
        )

    def _parse(self, response: FetchResponse) -> AccessToken | None:
        """The claims of an active token, None for an inactive one.

        Raises `Unavailable` for anything that does not say which: unknown is never "no".
        """
        if response.status != 200:
            _log.warning("introspection at %s answered %s", self._issuer.name, response.status)
            raise Unavailable(f"introspection at {self._issuer.name} ({response.status})")
        try:
            claims: dict[str, Any] = json_object.parse(response.body, max_bytes=MAX_ANSWER)
        except InvalidToken:
            raise Unavailable(f"introspection at {self._issuer.name} (no JSON)") from None
        active = claims.get("active")
        if active is False:
            return None
        if active is not True:  # RFC 7662 §2.2: a boolean
            raise Unavailable(f"introspection at {self._issuer.name} (no answer)")
        if "cnf" in claims:  # RFC 9449 §7.1
            raise Refusal(RefusalReason.BOUND_TOKEN)
        try:
            return parse_access_token(claims, introspected=True)
        except InvalidToken as flaw:
            raise Refusal(REASONS[flaw.reason]) from flaw


class _Question:
    """One question under the breaker. A refusal is an answer; a lack of one is a failure."""

    __slots__ = ("_breaker",)

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Refusal):
            self._breaker.succeed()
        elif issubclass(kind, Unavailable):
            self._breaker.fail()
        else:
            self._breaker.leave()
