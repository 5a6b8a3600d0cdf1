"""An issuer from the outside, as any client sees it: ours or another's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from dojang.cli.doors import fail_unreachable
from dojang.cli.errors import Exit, Failure
from dojang.client import Credentials, TokenRefused, TokenSource, Unavailable
from dojang.client.exchange import build_exchange_form
from dojang.client.source import build_grant_form
from dojang.client.token_request import Granted
from dojang.fetch import FetchFailed, FetchRequest, FetchResponse, Flow, HttpTransport, drive
from dojang.jose import json_object
from dojang.jose.errors import InvalidKey, InvalidToken
from dojang.jose.keys import KeySet
from dojang.trust.credentials import build_form
from dojang.trust.discovery import Issuer
from dojang.trust.key_sets import MAX_BYTES

_TIMEOUT: Final = 10.0
_T = TypeVar("_T")


class IssuerClient:
    """Speaks to one issuer; `fetch_from` is another address of the same server.

    Everything here raises `Failure`.
    """

    def __init__(self, issuer: str, *, fetch_from: str | None = None) -> None:
        try:
            self._issuer = Issuer(issuer, fetch_from=fetch_from)
        except ValueError as error:
            raise Failure(f"--issuer: {error}") from None
        self._fetch_from = fetch_from
        self._transport = HttpTransport()

    def issue(self, credentials: Credentials, resource: str | None, scope: str | None) -> Granted:
        """A new token for the client itself."""
        source = TokenSource(
            issuer=self._issuer.name, credentials=credentials, fetch_from=self._fetch_from
        )
        return self._run(source.endpoint.ask(build_grant_form(resource, scope)))

    def exchange(
        self, credentials: Credentials, token: str, audience: str, scope: str | None
    ) -> Granted:
        """A token for `audience` in exchange for one that the client was called with (RFC 8693)."""
        source = TokenSource(
            issuer=self._issuer.name, credentials=credentials, fetch_from=self._fetch_from
        )
        flow = source.endpoint.ask(build_exchange_form(token, audience, scope))
        return self._run(flow, _EXCHANGE_HINTS)

    def introspect(self, credentials: Credentials, token: str) -> dict[str, Any]:
        """What the issuer says of a token (RFC 7662)."""
        answer = self._run(self._post("introspection_endpoint", credentials, token))
        if answer.status == 200:
            try:
                return json_object.parse(answer.body, max_bytes=65_536)
            except InvalidToken:
                raise Failure(f"{self._issuer.name} answers no JSON", Exit.UNREACHABLE) from None
        raise self._explain(answer)

    def revoke(self, credentials: Credentials, token: str) -> None:
        """Take back a token of this client (RFC 7009)."""
        answer = self._run(self._post("revocation_endpoint", credentials, token))
        if answer.status != 200:
            raise self._explain(answer)

    def fetch_keys(self) -> KeySet:
        """The keys it publishes."""
        try:
            return self._run(self._fetch_keys())
        except Failure as failure:
            raise Failure(
                f"{failure.message}\nIs it the right issuer? With --jwks FILE it works without the "
                "network",
                failure.code,
            ) from None

    def _fetch_keys(self) -> Flow[KeySet]:
        metadata = yield from self._issuer.discover(timeout=_TIMEOUT)
        url = metadata.jwks_uri
        if url is None:
            raise Unavailable(f"{self._issuer.name} (it has no jwks_uri)")
        address = self._issuer.find_address(url)
        answer = yield FetchRequest("GET", address, timeout=_TIMEOUT, max_bytes=MAX_BYTES)
        if answer.status != 200:
            raise Unavailable(f"{address} (status {answer.status})")
        try:
            return KeySet.parse(answer.body)
        except InvalidKey as flaw:
            raise Unavailable(f"{address} ({flaw.detail})") from None

    def _post(self, endpoint: str, credentials: Credentials, token: str) -> Flow[FetchResponse]:
        metadata = yield from self._issuer.discover(timeout=_TIMEOUT)
        url = getattr(metadata, endpoint)
        if url is None:
            raise Unavailable(f"{self._issuer.name} (it has no {endpoint})")
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        credentials.authenticate(form, headers, issuer=self._issuer.name, now=time.time())
        return (
            yield FetchRequest(
                "POST",
                self._issuer.find_address(url),
                tuple(headers.items()),
                build_form(form),
                timeout=_TIMEOUT,
            )
        )

    def _run(self, flow: Flow[_T], hints: Mapping[str, str] | None = None) -> _T:
        try:
            return drive(flow, self._transport)
        except TokenRefused as refused:
            hint = (hints or _HINTS).get(refused.error, "")
            raise Failure(f"{refused}{hint}") from None
        except FetchFailed as error:
            raise fail_unreachable(error.host, error) from None
        except Unavailable as error:
            raise Failure(str(error), Exit.UNREACHABLE) from None

    def _explain(self, answer: FetchResponse) -> Failure:
        try:
            document = json_object.parse(answer.body)
        except InvalidToken:
            document = {}
        error = str(document.get("error", answer.status))
        code = Exit.UNREACHABLE if answer.status >= 500 else Exit.USAGE
        return Failure(f"{self._issuer.name} refuses: {error}{_HINTS.get(error, '')}", code)


_HINTS: Final[Mapping[str, str]] = {
    "invalid_client": (
        ". Check --client-id and the secret, and that the client is enabled and registered for "
        "this way of proving itself"
    ),
    "invalid_target": ". Check --resource: it must be one that the client has a grant at",
    "invalid_scope": ". Check --scope: it must be within what the client was granted",
    "invalid_grant": ". The token was issued to another client",
}
_EXCHANGE_HINTS: Final[Mapping[str, str]] = {
    "invalid_client": _HINTS["invalid_client"],
    "unauthorized_client": (
        ". The client has no rule to exchange tokens by: `dojang client set-exchanges`"
    ),
    "invalid_target": (
        ". Check --audience: the client's rules must lead there; `dojang client list` shows them"
    ),
    "invalid_scope": (
        ". The token lacks the scopes that the client's rule needs, or --scope names one that the "
        "rule does not give; `dojang client list` shows the rules"
    ),
    "invalid_request": (
        ". The token must be good still, and for a resource that has the client as --introspector"
    ),
}
