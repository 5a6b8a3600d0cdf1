"""The authorization server as one object: what its endpoints share."""

from __future__ import annotations

import hmac
from asyncio import Lock
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Self

from dojang.clock import Clock
from dojang.fetch import Outward, OutwardTransport
from dojang.jose.keys import SigningKey
from dojang.jose.seal import SealKey
from dojang.oauth.claims import SCOPES
from dojang.oauth.errors import Unavailable
from dojang.oauth.feed import Tagger
from dojang.server.accounts import Accounts
from dojang.server.client_keys import ClientKeys
from dojang.server.config import check_issuer_setting
from dojang.server.counters import Counters
from dojang.server.feed import Feed
from dojang.server.kept_accounts import KeptAccounts
from dojang.server.key_plans import Schedule, plan_clearing
from dojang.server.key_records import SEAL_ALGORITHM, find_working
from dojang.server.model import AuditEvent, KeyUse, Resource, TokenFormat
from dojang.server.offloading import Offload, run_inline
from dojang.server.passed_time import PassedTime
from dojang.server.passwords import Passwords
from dojang.server.paths import ADMIN, INTROSPECTION, USERINFO
from dojang.server.ports import Change, Conflict, PutResource, Store
from dojang.server.registration_policy import RegistrationPolicy
from dojang.server.state import State
from dojang.server.subjects import Subjects

ENCRYPTION_KEY_ID: Final = "key-encryption-key"
_VIEW_KEY: Final = b"dojang view key"
DEFAULT_ALGORITHM: Final = "ES256"
ADMIN_READ: Final = "admin:read"
ADMIN_WRITE: Final = "admin:write"
INTROSPECT: Final = "introspect"
DEFAULT_SCHEDULE: Final = Schedule()


class NotInitialised(Exception):
    """The store holds no keys: it was never initialised, or they were lost."""

    def __init__(self) -> None:
        super().__init__(
            "the database holds no keys; run `dojang init` for a new installation, "
            "or restore the keys of this one"
        )


class Provider:
    """An authorization server over a store, which its owner closes. Make one with `start`.

    `counters` are plain counts for the metrics page: (name, label, value, …) to number.
    `changing` lets one operation of this node plan and commit at a time. `feed` is what followers
    ask. `sign_in_page` is the path of the application's own (`server.vouching`), if it has one.
    ask. `outward` is the only way to addresses that clients chose, and `client_keys` goes it.
    `registration` is what clients that register themselves may become; None where none does.
    """

    def __init__(
        self,
        *,
        issuer: str,
        store: Store,
        clock: Clock,
        encryption_key: SealKey,
        offload: Offload = run_inline,
        schedule: Schedule = DEFAULT_SCHEDULE,
        accounts: Accounts | None = None,
        sign_in_page: str | None = None,
        outward: Outward | None = None,
        registration: RegistrationPolicy | None = None,
    ) -> None:
        check_issuer_setting(issuer)
        self.issuer: Final = issuer
        self.store: Final = store
        self.clock: Final = clock
        view_key = hmac.digest(encryption_key.secret, _VIEW_KEY, "sha256")
        self.state: Final = State(store, encryption_key, Tagger(view_key))
        self.offload: Final = offload
        self.schedule: Final = schedule
        self.registration: Final = registration
        self.outward: Outward = outward or OutwardTransport()
        self.client_keys: Final = ClientKeys(self.outward, clock)
        self.subjects: Final = Subjects(encryption_key.secret)
        self.accounts: Accounts = accounts or KeptAccounts(store, clock, Passwords(offload))
        self.sign_in_page = sign_in_page
        self._userinfo: Final = Resource(
            identifier=self.userinfo_audience,
            scopes=tuple(SCOPES),
            token_format=TokenFormat.OPAQUE,
        )
        self.changing: Final = Lock()
        self._passed: Final = PassedTime(clock)
        self.counters: Final[Counters] = defaultdict(int)
        self.feed: Final = Feed(
            self.state, store, clock, offload, self.counters, issuer=issuer, view_key=view_key
        )

    @classmethod
    async def start(
        cls,
        *,
        issuer: str,
        store: Store,
        clock: Clock,
        key_encryption_key: bytes,
        offload: Offload = run_inline,
        schedule: Schedule = DEFAULT_SCHEDULE,
        accounts: Accounts | None = None,
        sign_in_page: str | None = None,
        outward: Outward | None = None,
        registration: RegistrationPolicy | None = None,
    ) -> Self:
        """A provider on a store that `initialise` has filled. `key_encryption_key` is 32 bytes.

        It makes no keys but those of the feed, for an installation that is older than the feed.
        Raises `NotInitialised`, `WrongEncryptionKey` and `Unavailable`, and `ValueError` for what
        is no issuer.
        """
        provider = cls(
            issuer=issuer,
            store=store,
            clock=clock,
            encryption_key=SealKey.from_bytes(ENCRYPTION_KEY_ID, key_encryption_key),
            offload=offload,
            schedule=schedule,
            accounts=accounts,
            sign_in_page=sign_in_page,
            outward=outward,
            registration=registration,
        )
        await provider.state.reach_barrier()
        if not provider.state.keys.records:
            raise NotInitialised
        await provider._make_feed_keys()
        return provider

    async def _make_feed_keys(self) -> None:
        now = int(self.clock.now())
        changes = await self.offload(partial(self.state.keys.plan_feed_keys, now=now))
        if changes:
            event = AuditEvent(at=now, actor="dojang", action="keys.make", target=KeyUse.FEED)
            with suppress(Conflict):  # another node was first
                await self.store.commit([*changes, event])
            await self.state.reach_barrier()

    @property
    def introspection_audience(self) -> str:
        """The audience of tokens that authenticate a caller of the introspection endpoint."""
        return self.issuer + INTROSPECTION

    @property
    def userinfo_audience(self) -> str:
        """The audience of tokens for the userinfo endpoint."""
        return self.issuer + USERINFO

    @property
    def admin_audience(self) -> str:
        """The audience of tokens for the admin API."""
        return self.issuer + ADMIN

    @property
    def own_audiences(self) -> frozenset[str]:
        """The audiences of tokens for this server itself."""
        return frozenset((self.introspection_audience, self.userinfo_audience, self.admin_audience))

    def find_resource(self, identifier: str) -> Resource | None:
        """A protected API, as of the barrier; the userinfo endpoint is one of them."""
        if identifier == self._userinfo.identifier:
            return self._userinfo
        return self.state.resources.get(identifier)

    async def ready(self) -> list[str]:
        """What keeps this server from answering; empty where nothing does."""
        try:
            await self.state.reach_barrier()
        except Unavailable as error:
            return [error.what]
        working = find_working(self.state.keys.records, int(self.clock.now()))
        wanted = {
            (KeyUse.SEAL, SEAL_ALGORITHM)
            if resource.token_format is TokenFormat.OPAQUE
            else (KeyUse.ACCESS_TOKEN, resource.algorithm)
            for resource in self.state.resources.values()
        }
        return [f"an active key for {algorithm}" for _, algorithm in sorted(wanted - set(working))]

    async def maintain(self) -> None:
        """Forget what no living token needs: spent facts, replay entries and keys."""
        now = int(self.clock.now())
        await self.state.reach_barrier()
        clearing = plan_clearing(self.state.keys.records, now=now)
        if clearing:
            event = AuditEvent(
                at=now, actor="dojang", action="keys.clear", target=f"{len(clearing)} keys"
            )
            with suppress(Conflict):  # another node was first
                await self.store.commit([*clearing, event])
        passed = self._passed.find()
        await self.store.forget(now=passed)
        await self.offload(partial(self.state.revocations.forget, passed))


async def initialise(
    *,
    issuer: str,
    store: Store,
    clock: Clock,
    key_encryption_key: bytes,
    feed_keys: Sequence[SigningKey] = (),
) -> None:
    """Fill an empty store: the first keys and the server's own two resources. `feed_keys` are two
    RS256 keys, where they were made before.

    Raises `Conflict` where the store is not empty.
    """
    now = int(clock.now())
    if await store.load_keys():
        raise Conflict("store", issuer)
    provider = Provider(
        issuer=issuer,
        store=store,
        clock=clock,
        encryption_key=SealKey.from_bytes(ENCRYPTION_KEY_ID, key_encryption_key),
    )
    keys = provider.state.keys
    changes: list[Change] = [
        *keys.plan_pair(KeyUse.SEAL, SEAL_ALGORITHM, now=now),
        *keys.plan_pair(KeyUse.ACCESS_TOKEN, DEFAULT_ALGORITHM, now=now),
        *keys.plan_feed_keys(now=now, made=feed_keys),
        PutResource(Resource(identifier=provider.introspection_audience, scopes=(INTROSPECT,))),
        PutResource(
            Resource(
                identifier=provider.admin_audience,
                scopes=(ADMIN_READ, ADMIN_WRITE),
                access_token_lifetime=300,
            )
        ),
        AuditEvent(at=now, actor="dojang", action="server.initialise", target=issuer),
    ]
    await store.commit(changes)
