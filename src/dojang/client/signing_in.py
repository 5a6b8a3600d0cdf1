"""The conversations of a sign-in, written once; `relying_party` has them held."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dojang.client.conversation import Conversation, use_keys
from dojang.client.id_token import Asked, Recipient, check_same_person, verify_id_token
from dojang.client.known_provider import KnownProvider
from dojang.client.logout_token import LogoutToken, verify_logout_token
from dojang.client.sign_in_errors import (
    Flaw,
    IdTokenRefused,
    LogoutRefused,
    SignInRefused,
    find_flaw,
)
from dojang.client.sign_in_requests import (
    Ask,
    Tokens,
    build_form_request,
    build_request,
    build_url,
    check_answer,
    parse_pushed,
    parse_tokens,
    parse_userinfo,
)
from dojang.client.token_request import MAX_ANSWER
from dojang.client.transaction import Transaction, make_secret
from dojang.clock import Clock
from dojang.fetch import FetchRequest, FetchResponse
from dojang.jose.errors import InvalidToken
from dojang.jose.keys import KeySet
from dojang.oauth.errors import Unavailable
from dojang.trust.credentials import Credentials

_STATE: Final = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Begun:
    """Send the browser to `url`, and keep `transaction` for that browser alone."""

    url: str = field(repr=False)
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody signed in. `claims` are those of the id_token, verified."""

    claims: Mapping[str, Any] = field(repr=False)
    tokens: Tokens

    @property
    def subject(self) -> str:
        """Names the person, at this issuer."""
        return str(self.claims["sub"])

    @property
    def session_id(self) -> str | None:
        """Names the session at the issuer, where it said so."""
        sid = self.claims.get("sid")
        return sid if isinstance(sid, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What does not change from one sign-in to the next."""

    recipient: Recipient
    credentials: Credentials
    redirect_uri: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...]
    resource: str | None
    logout_types: Collection[str | None]


class SigningIn:
    """The conversations of one client with its provider. `timeout` is in seconds."""

    def __init__(
        self, client: Registration, provider: KnownProvider, *, clock: Clock, timeout: float
    ) -> None:
        self._client = client
        self._provider = provider
        self._clock = clock
        self._timeout = timeout

    def begin(self, ask: Ask, note: str) -> Conversation[Begun]:
        """Metadata → transaction → the request, pushed where that is offered."""
        metadata = yield from self._provider.discover()
        if metadata.authorization_endpoint is None:
            raise Unavailable(f"{self._provider.issuer} (it signs nobody in)")
        self._provider.find_address(metadata.authorization_endpoint)
        self._provider.find_keys(metadata).look()
        client = self._client
        transaction = Transaction(
            issuer=client.recipient.issuer,
            client_id=client.recipient.client_id,
            redirect_uri=client.redirect_uri,
            began_at=int(self._clock.now()),
            state=make_secret(),
            nonce=make_secret(),
            verifier=make_secret(),
            resource=client.resource,
            max_age=ask.max_age,
            acr_values=ask.acr_values,
            note=note,
        )
        request = build_request(transaction, ask, scopes=client.scopes, claims=client.claims)
        pushed_to = metadata.pushed_authorization_request_endpoint
        if pushed_to is not None:
            response = yield self._build_request(pushed_to, request)
            request = {
                "client_id": client.recipient.client_id,
                "request_uri": parse_pushed(response),
            }
        return Begun(build_url(metadata.authorization_endpoint, request), transaction)

    def finish(self, transaction: Transaction, query: bytes) -> Conversation[SignedIn]:
        """The answer, checked → tokens for its code → who it is."""
        client = self._client
        ours = (client.recipient.issuer, client.recipient.client_id, client.redirect_uri)
        asked = (transaction.issuer, transaction.client_id, transaction.redirect_uri)
        if asked != ours:
            raise SignInRefused(Flaw.OTHER_TRANSACTION)
        metadata = yield from self._provider.discover()
        now = int(self._clock.now())
        code = check_answer(query, transaction, metadata, now=now)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": transaction.redirect_uri,
            "code_verifier": transaction.verifier,
        }
        tokens = yield from self._ask_for_tokens(form, transaction.resource)
        if tokens.id_token is None:
            raise SignInRefused(Flaw.NO_ID_TOKEN)
        expected = Asked(
            nonce=transaction.nonce,
            access_token=tokens.access_token,
            code=code,
            max_age=transaction.max_age,
            acr_values=transaction.acr_values,
        )
        claims = yield from self._verify(tokens.id_token, expected)
        return SignedIn(claims, tokens)

    def refresh(
        self, refresh_token: str, before: Mapping[str, Any], resource: str | None
    ) -> Conversation[Tokens]:
        """New tokens → is a new id_token about the same sign-in (OpenID Connect Core §12.2)."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        tokens = yield from self._ask_for_tokens(form, resource or self._client.resource)
        if tokens.id_token is not None:
            expected = Asked(access_token=tokens.access_token)
            claims = yield from self._verify(tokens.id_token, expected)
            check_same_person(claims, before)
        return tokens

    def ask_userinfo(self, access_token: str, subject: str) -> Conversation[dict[str, Any]]:
        """The claims of `subject` (OpenID Connect Core §5.3)."""
        metadata = yield from self._provider.discover()
        if metadata.userinfo_endpoint is None:
            raise Unavailable(f"{self._provider.issuer} (it has no userinfo endpoint)")
        response = yield FetchRequest(
            "GET",
            self._provider.find_address(metadata.userinfo_endpoint),
            (("Accept", "application/json"), ("Authorization", f"Bearer {access_token}")),
            timeout=self._timeout,
            max_bytes=MAX_ANSWER,
        )
        return parse_userinfo(response, subject=subject)

    def revoke(self, refresh_token: str) -> Conversation[None]:
        """Give a refresh token back (RFC 7009), where the provider takes it."""
        metadata = yield from self._provider.discover()
        if metadata.revocation_endpoint is None:
            return
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        response: FetchResponse = yield self._build_request(metadata.revocation_endpoint, form)
        if response.status != 200:
            raise Unavailable(f"the revocation endpoint ({response.status})")

    def find_logout_url(
        self, return_to: str | None, id_token: str | None, state: str | None
    ) -> Conversation[str | None]:
        """Where the person signs out at the provider (RP-Initiated Logout §2); None where there is
        no such place."""
        if state is not None and _STATE.fullmatch(state) is None:
            raise ValueError("a state is up to 512 visible ASCII characters")
        metadata = yield from self._provider.discover()
        if metadata.end_session_endpoint is None:
            return None
        self._provider.find_address(metadata.end_session_endpoint)
        wanted = {
            "client_id": self._client.recipient.client_id,
            "id_token_hint": id_token,
            "post_logout_redirect_uri": return_to,
            "state": state,
        }
        parameters = {name: value for name, value in wanted.items() if value is not None}
        return build_url(metadata.end_session_endpoint, parameters)

    def read_logout_token(self, token: str) -> Conversation[LogoutToken]:
        """What a logout token says, verified."""
        metadata = yield from self._provider.discover()
        client = self._client

        def verify(keys: KeySet) -> LogoutToken:
            return verify_logout_token(
                token,
                keys,
                recipient=client.recipient,
                types=client.logout_types,
                now=int(self._clock.now()),
            )

        try:
            return (yield from use_keys(self._provider.find_keys(metadata), verify))
        except InvalidToken as error:
            flaw = find_flaw(error)
        raise LogoutRefused(flaw)

    def _verify(self, id_token: str, asked: Asked) -> Conversation[dict[str, Any]]:
        metadata = yield from self._provider.discover()

        def verify(keys: KeySet) -> dict[str, Any]:
            now, recipient = int(self._clock.now()), self._client.recipient
            return verify_id_token(id_token, keys, recipient=recipient, asked=asked, now=now)

        try:
            return (yield from use_keys(self._provider.find_keys(metadata), verify))
        except InvalidToken as error:
            flaw = find_flaw(error)
        raise IdTokenRefused(flaw)  # outside of the handler: nothing of the token goes along

    def _ask_for_tokens(self, form: dict[str, str], resource: str | None) -> Conversation[Tokens]:
        metadata = yield from self._provider.discover()
        if metadata.token_endpoint is None:
            raise Unavailable(f"{self._provider.issuer} (its metadata names no token endpoint)")
        # What is asked for is spent by the question: so the keys to read the answer come first.
        yield from use_keys(self._provider.find_keys(metadata), lambda _: None)
        if resource is not None:
            form["resource"] = resource
        asked_at = self._clock.now()
        response = yield self._build_request(metadata.token_endpoint, form)
        return parse_tokens(response, asked_at=asked_at)

    def _build_request(self, endpoint: str, form: Mapping[str, str]) -> FetchRequest:
        return build_form_request(
            self._provider.find_address(endpoint),
            form,
            self._client.credentials,
            issuer=self._client.recipient.issuer,
            now=self._clock.now(),
            timeout=self._timeout,
        )
