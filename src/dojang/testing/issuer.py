"""The in-process issuer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from secrets import token_bytes
from typing import Any, Final

from dojang.fetch import FetchRequest, FetchResponse
from dojang.oauth.errors import Unavailable
from dojang.oauth.token_exchange import ACCESS_TOKEN
from dojang.oauth.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE
from dojang.resource import Follower, Hybrid, Introspection, Local, WhenStale
from dojang.resource.staleness import DEFAULT_STALENESS
from dojang.server.provider import Provider, initialise
from dojang.server.registration_policy import RegistrationPolicy
from dojang.storage.memory import MemoryStore
from dojang.testing.clock import SettableClock
from dojang.testing.feed_keys import share_feed_keys
from dojang.testing.inline import run
from dojang.testing.register import Register
from dojang.testing.small_web import SmallWeb
from dojang.testing.store import SeverableStore
from dojang.testing.transport import (
    AsyncIssuerTransport,
    IssuerTransport,
    build_inline_routes,
)
from dojang.trust.credentials import ClientSecretBasic, build_form
from dojang.web.asgi import AsgiApp
from dojang.web.public import build_public_routes

DEFAULT_URL: Final = "https://issuer.test"
DEFAULT_CLIENT: Final = "test-client"
AGE: Final = 30 * 86_400  # seconds that a new issuer has been there


class TokenRefused(Exception):
    """The token endpoint refused. `error` is its code (RFC 6749 §5.2), `status` the HTTP one."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.error = error


class Issuer:
    """An authorization server at `url`, on `clock`. Verifiers and clients reach it through
    `transport` or `async_transport`; `app` is the same as an ASGI application; `provider` is the
    server itself, for what has no method here. `web` is where the addresses lead that clients
    register.

    What a token needs and nobody added is made on the fly; what a test adds is left as it is.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        clock: SettableClock | None = None,
        web: SmallWeb | None = None,
        registration: RegistrationPolicy | None = None,
    ) -> None:
        """`web` is what lies at the addresses that clients register: nothing, unless one is given.
        `registration` lets clients register themselves.

        Raises `ValueError` for a `url` that is no issuer."""
        self.url: Final = url
        self.clock: Final = clock or SettableClock()
        self.web: Final = web or SmallWeb()
        self._store: Final = SeverableStore(MemoryStore())
        key = token_bytes(32)
        # Long ago: a token can be made in the past, and the standby key has been seen by all.
        before = SettableClock(self.clock.now() - AGE)
        run(
            initialise(
                issuer=url,
                store=self._store,
                clock=before,
                key_encryption_key=key,
                feed_keys=share_feed_keys(),
            )
        )
        self.provider: Final = run(
            Provider.start(
                issuer=url,
                store=self._store,
                clock=self.clock,
                key_encryption_key=key,
                outward=self.web,
                registration=registration,
            )
        )
        self.provider.feed.close()  # no question waits for news: there is no event loop to wait in
        routes = build_inline_routes(build_public_routes(self.provider))
        self.transport: Final = IssuerTransport(url, routes)
        self.async_transport: Final = AsyncIssuerTransport(self.transport)
        self.app: Final = AsgiApp(routes)
        self._register: Final = Register(self.provider)

    def __repr__(self) -> str:
        return f"Issuer({self.url!r})"

    def add_resource(self, identifier: str, scopes: Collection[str], **settings: Any) -> None:
        """Register an API. `settings` are those of the `resource.add` operation, such as
        `token_format="opaque"`, `algorithm`, `access_token_lifetime` (seconds), `introspectors`.

        Raises `OperationRefused`.
        """
        self.perform("resource.add", identifier=identifier, scopes=tuple(scopes), **settings)

    def add_client(
        self, client_id: str, grants: Mapping[str, Collection[str]] | None = None, **settings: Any
    ) -> None:
        """Register a client; `grants` maps resources to scopes. `settings` are those of the
        `client.add` operation, such as `authentication`. Raises `OperationRefused`."""
        self._register.add_client(client_id, grants or {}, **settings)

    def credentials(self, client_id: str = DEFAULT_CLIENT) -> ClientSecretBasic:
        """What a client proves itself with. Raises `KeyError` for an unknown one and for one
        without a secret."""
        return ClientSecretBasic(client_id, self._register.secrets[client_id])

    def introspector(self, audience: str) -> ClientSecretBasic:
        """Credentials of a client that may introspect the tokens of `audience`, made if need be.

        Raises `KeyError` for an unknown audience."""
        return self.credentials(self._register.find_introspector(audience))

    def token(
        self, *, scopes: Sequence[str], audience: str, client_id: str = DEFAULT_CLIENT
    ) -> str:
        """An access token from the token endpoint. Raises `TokenRefused`, and `Unavailable`."""
        self._register.make_what_lacks(scopes, audience, client_id)
        form = {"grant_type": "client_credentials", "resource": audience, "scope": " ".join(scopes)}
        token: str = self._post("/token", form, client_id)["access_token"]
        return token

    def exchange(
        self,
        token: str,
        *,
        audience: str,
        client_id: str,
        scopes: Sequence[str] | None = None,
    ) -> str:
        """What `client_id`, who was called with `token`, calls `audience` with (RFC 8693); without
        `scopes`, with all that it may. Give the client its `exchanges` with `add_client`, and make
        it an introspector of what it serves. Raises `TokenRefused`, and `Unavailable`."""
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": audience,
        }
        if scopes is not None:
            form["scope"] = " ".join(scopes)
        exchanged: str = self._post("/token", form, client_id)["access_token"]
        return exchanged

    def follow(self, audience: str) -> Follower:
        """Follows the feed for the service at `audience`, on the clock of the issuer. It learns
        what is new whenever a test calls its `poll`.

        Raises `KeyError` for an unknown audience."""
        return Follower(
            self.url,
            credentials=self.introspector(audience),
            transport=self.transport,
            clock=self.clock,
            by_hand=True,
        )

    def hybrid(
        self,
        audience: str,
        *,
        follow: bool | Follower = True,
        staleness: float = DEFAULT_STALENESS,
        when_stale: WhenStale = WhenStale.ASK,
    ) -> Hybrid:
        """The hybrid strategy for the service at `audience`, over the transports and on the clock
        of the issuer. Give it what `follow` gives, to `poll` that.

        Raises `KeyError` for an unknown audience."""
        return Hybrid(
            introspection=Introspection(
                credentials=self.introspector(audience),
                transport=self.transport,
                async_transport=self.async_transport,
                clock=self.clock,
            ),
            local=Local(transport=self.transport, clock=self.clock),
            staleness=staleness,
            when_stale=when_stale,
            follow=follow,
        )

    def introspect(self, token: str, *, audience: str) -> dict[str, Any]:
        """What the issuer tells the service at `audience` about a token (RFC 7662 §2.2).

        Raises `KeyError` for an unknown audience, and `Unavailable`."""
        return self._post("/introspect", {"token": token}, self.introspector(audience).client_id)

    def revoke(self, token: str) -> None:
        """Revoke one token. Raises `OperationRefused` for one that this issuer did not make."""
        self.perform("revoke.token", token=token)

    def revoke_client(self, client_id: str = DEFAULT_CLIENT) -> None:
        """Revoke every token of a client so far."""
        self.perform("revoke.client", client_id=client_id)

    def disable_client(self, client_id: str = DEFAULT_CLIENT) -> None:
        """Revoke every token of a client and give it no more."""
        self.perform("client.disable", client_id=client_id)

    def enable_client(self, client_id: str = DEFAULT_CLIENT) -> None:
        """Give a disabled client tokens again."""
        self.perform("client.enable", client_id=client_id)

    def rotate_keys(self, algorithm: str = "ES256") -> float:
        """Let the standby key take over from the one that signs. The answer is when it does
        (seconds since 1970): now, or when every verifier has seen it (`clock.move_to` then)."""
        at: int = self.perform("keys.rotate", algorithm=algorithm)["takes_over_at"]
        return float(at)

    def revoke_key(self, kid: str | None = None) -> None:
        """End a key and all it signed; without `kid`, the one that signs ES256 tokens now."""
        signers = self.provider.state.keys.at(int(self.clock.now())).signers
        self.perform("keys.revoke", kid=kid or signers["ES256"].kid)

    def perform(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Any operation of the admin API by its name, such as `client.rotate_secret`.

        Raises `OperationRefused`, and `Unavailable`."""
        return self._register.perform(operation, **parameters)

    def down(self) -> AbstractContextManager[None]:
        """Within this context connections to the issuer are refused."""
        return self.transport.down()

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Within this context the issuer runs and cannot reach its store: it answers 503."""
        self._store.severed = True
        try:
            yield
        finally:
            self._store.severed = False

    def post(
        self, path: str, form: Mapping[str, str], *, client_id: str | None = None
    ) -> FetchResponse:
        """Send a form to an endpoint, authenticated as `client_id` where one is given.

        Raises `Unavailable` where nothing answers."""
        fields, headers = dict(form), {"Content-Type": "application/x-www-form-urlencoded"}
        if client_id is not None:
            now = self.clock.now()
            self.credentials(client_id).authenticate(fields, headers, issuer=self.url, now=now)
        return self.transport.send(
            FetchRequest("POST", self.url + path, tuple(headers.items()), build_form(fields))
        )

    def _post(self, path: str, form: Mapping[str, str], client_id: str) -> dict[str, Any]:
        response = self.post(path, form, client_id=client_id)
        answer: dict[str, Any] = json.loads(response.body)
        if response.status == 503:
            raise Unavailable(self.url)
        if response.status != 200:
            raise TokenRefused(response.status, answer["error"], answer["error_description"])
        return answer
