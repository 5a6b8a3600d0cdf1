"""The relying party: people sign in at an OpenID provider, and the application is told who they are
and given what it needs to act for them (OpenID Connect Core §3.1, RFC 9700 §2.1).

What is known of one sign-in is the caller's: a `Transaction` on the way, a `SignedIn` after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from dojang.client.conversation import hold, hold_async
from dojang.client.id_token import ASYMMETRIC, Recipient
from dojang.client.known_provider import KnownProvider
from dojang.client.logout_token import TYPES, LogoutToken
from dojang.client.sign_in_requests import Ask, Tokens
from dojang.client.signing_in import Begun, Registration, SignedIn, SigningIn
from dojang.client.transaction import Transaction
from dojang.clock import SYSTEM_CLOCK, Clock
from dojang.fetch import AsyncTransport, HttpTransport, ThreadedTransport, Transport
from dojang.jose.algorithms import check_algorithms
from dojang.jose.keys import ALGORITHMS
from dojang.oauth.redirects import check_registered_redirect_uri
from dojang.trust.credentials import Credentials
from dojang.trust.remote_keys import KeySource

TIMEOUT: Final = 5.0
WIDTH: Final = 64  # conversations under way at once, where threads carry them
OPENID: Final = "openid"  # the scope that asks for an id_token
_NOTHING: Final = Ask()


class RelyingParty:
    """A client of the provider `issuer`, registered there with `redirect_uri`. `credentials` are
    how it proves itself; a `PublicClient` has none.

    `claims` are asked for in the id_token, besides what `scopes` bring. `resource` is whom access
    tokens are for (RFC 8707). Requests are pushed (RFC 9126) where the provider takes that.
    `algorithms` are those an id_token may be signed with. `also_at` are hosts, besides the
    issuer's, that its endpoints may be on; `fetch_from` another door to the issuer's own.

    Safe for threads and tasks together. Raises `ValueError`.
    """

    def __init__(
        self,
        *,
        issuer: str,
        credentials: Credentials,
        redirect_uri: str,
        scopes: Collection[str] = (OPENID,),
        claims: Collection[str] = (),
        resource: str | None = None,
        algorithms: Collection[str] = ASYMMETRIC,
        other_audiences: Collection[str] = (),
        logout_types: Collection[str | None] = TYPES,
        also_at: Collection[str] = (),
        fetch_from: str | None = None,
        keys: KeySource | None = None,
        transport: Transport | None = None,
        async_transport: AsyncTransport | None = None,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = TIMEOUT,
    ) -> None:
        if any(isinstance(names, str) for names in (scopes, claims)):
            raise ValueError("scopes and claims are collections of names, not one string")
        if OPENID not in scopes:
            raise ValueError("a sign-in asks for the scope openid")
        if any(ALGORITHMS[name].symmetric for name in check_algorithms(algorithms)):
            raise ValueError("an id_token is signed with a key that is the issuer's alone")
        check_registered_redirect_uri(redirect_uri, native=True)
        recipient = Recipient(
            issuer=issuer,
            client_id=credentials.client_id,
            algorithms=frozenset(algorithms),
            other_audiences=frozenset(other_audiences),
        )
        self._client = Registration(
            recipient=recipient,
            credentials=credentials,
            redirect_uri=redirect_uri,
            scopes=tuple(scopes),
            claims=tuple(claims),
            resource=resource,
            logout_types=tuple(logout_types),
        )
        self._transport = transport or HttpTransport(kept_per_host=WIDTH)
        self._async_transport = async_transport or ThreadedTransport(self._transport, threads=WIDTH)
        provider = KnownProvider(
            issuer,
            transport=self._transport,
            clock=clock,
            timeout=timeout,
            keys=keys,
            fetch_from=fetch_from,
            also_at=also_at,
        )
        self._signing_in = SigningIn(self._client, provider, clock=clock, timeout=timeout)
        self.clock: Final = clock

    def __repr__(self) -> str:
        return f"RelyingParty({self.issuer!r}, {self._client.recipient.client_id!r})"

    @property
    def issuer(self) -> str:
        return self._client.recipient.issuer

    @property
    def redirect_uri(self) -> str:
        return self._client.redirect_uri

    @property
    def resource(self) -> str | None:
        """Whom access tokens are for; None where nobody is named."""
        return self._client.resource

    @property
    def claims(self) -> tuple[str, ...]:
        """Those asked for in the id_token."""
        return self._client.claims

    def begin(self, ask: Ask = _NOTHING, *, note: str = "") -> Begun:
        """Where to send the browser, and what to keep for it; `note` is kept with that.

        Raises `SignInDenied` where the provider refuses a pushed request, and `Unavailable`.
        """
        return hold(self._signing_in.begin(ask, note), self._transport)

    async def begin_async(self, ask: Ask = _NOTHING, *, note: str = "") -> Begun:
        """As `begin`, without blocking the loop."""
        return await hold_async(self._signing_in.begin(ask, note), self._async_transport)

    def finish(self, transaction: Transaction, query: bytes) -> SignedIn:
        """Who signed in. `query` is that of the address at which the browser came back, and
        `transaction` what was kept for that very browser; it is good once.

        Raises `SignInRefused`, `SignInDenied`, `TokenRefused` and `Unavailable`.
        """
        return hold(self._signing_in.finish(transaction, query), self._transport)

    async def finish_async(self, transaction: Transaction, query: bytes) -> SignedIn:
        """As `finish`, without blocking the loop."""
        return await hold_async(self._signing_in.finish(transaction, query), self._async_transport)

    def refresh(
        self, refresh_token: str, *, before: Mapping[str, Any], resource: str | None = None
    ) -> Tokens:
        """New tokens. `before` are the claims of the first id_token: a new one must be about the
        same person and sign-in. Where no new refresh token comes, the old one stays good.

        Raises `TokenRefused`, `IdTokenRefused` and `Unavailable`.
        """
        return hold(self._signing_in.refresh(refresh_token, before, resource), self._transport)

    async def refresh_async(
        self, refresh_token: str, *, before: Mapping[str, Any], resource: str | None = None
    ) -> Tokens:
        """As `refresh`, without blocking the loop."""
        conversation = self._signing_in.refresh(refresh_token, before, resource)
        return await hold_async(conversation, self._async_transport)

    def ask_userinfo(self, access_token: str, *, subject: str) -> dict[str, Any]:
        """What the provider says of `subject` beyond the id_token.

        Raises `SignInRefused`, `TokenRefused` and `Unavailable`.
        """
        return hold(self._signing_in.ask_userinfo(access_token, subject), self._transport)

    async def ask_userinfo_async(self, access_token: str, *, subject: str) -> dict[str, Any]:
        """As `ask_userinfo`, without blocking the loop."""
        conversation = self._signing_in.ask_userinfo(access_token, subject)
        return await hold_async(conversation, self._async_transport)

    def revoke(self, refresh_token: str) -> None:
        """Give a refresh token back, and with it what it stands for. Raises `Unavailable`."""
        hold(self._signing_in.revoke(refresh_token), self._transport)

    async def revoke_async(self, refresh_token: str) -> None:
        """As `revoke`, without blocking the loop."""
        await hold_async(self._signing_in.revoke(refresh_token), self._async_transport)

    def find_logout_url(
        self, *, return_to: str | None, id_token: str | None = None, state: str | None = None
    ) -> str | None:
        """Where the browser goes to sign the person out at the provider too, and `return_to` from
        there; None where the provider has no such place. With the `id_token` many providers ask
        nothing more; it is then in the address. Raises `Unavailable`."""
        conversation = self._signing_in.find_logout_url(return_to, id_token, state)
        return hold(conversation, self._transport)

    async def find_logout_url_async(
        self, *, return_to: str | None, id_token: str | None = None, state: str | None = None
    ) -> str | None:
        """As `find_logout_url`, without blocking the loop."""
        conversation = self._signing_in.find_logout_url(return_to, id_token, state)
        return await hold_async(conversation, self._async_transport)

    def read_logout_token(self, token: str) -> LogoutToken:
        """Which sessions have ended, by a token that the provider posted (OpenID Connect
        Back-Channel Logout §2.5). Raises `LogoutRefused` and `Unavailable`."""
        return hold(self._signing_in.read_logout_token(token), self._transport)

    async def read_logout_token_async(self, token: str) -> LogoutToken:
        """As `read_logout_token`, without blocking the loop."""
        conversation = self._signing_in.read_logout_token(token)
        return await hold_async(conversation, self._async_transport)
