"""The resources and clients of a test: those it registers, and those made because it lacks them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dojang.server.administration import OPERATIONS, perform
from dojang.server.ids import new_id
from dojang.server.model import Client, Resource, StandingGrant
from dojang.server.ports import PutClient, PutResource
from dojang.server.provider import Provider
from dojang.testing.inline import run

ACTOR: Final = "test"


class Register:
    """What is registered at `provider`. What a test adds itself is never changed; what is made
    because a token needs it grows as tokens need more. `secrets` is by client_id."""

    def __init__(self, provider: Provider) -> None:
        self.secrets: Final[dict[str, str]] = {}
        self._provider = provider
        self._made: Final[set[str]] = set()

    def perform(self, name: str, /, **parameters: Any) -> dict[str, Any]:
        """Do one operation of the admin API. Raises `OperationRefused`."""
        operation = OPERATIONS[name]
        asked = msgspec.convert(parameters, operation.parameters)
        return run(perform(self._provider, operation, asked, actor=ACTOR))

    def add_client(
        self, client_id: str, grants: Mapping[str, Collection[str]], **settings: Any
    ) -> None:
        """Register a client; `grants` maps resources to scopes."""
        wanted = [
            {"resource": resource, "scopes": tuple(scopes)} for resource, scopes in grants.items()
        ]
        added = self.perform("client.add", client_id=client_id, grants=wanted, **settings)
        if "client_secret" in added:
            self.secrets[client_id] = added["client_secret"]

    def find_introspector(self, audience: str) -> str:
        """The client_id of one that may introspect the tokens of `audience`. Raises `KeyError`
        for an unknown audience."""
        resource = self._load_resources()[audience]
        for client_id in resource.introspectors:
            if client_id in self.secrets:
                return client_id
        client_id = f"introspector-{len(self.secrets)}"
        self.add_client(client_id, {})
        self._put(replace(resource, introspectors=(*resource.introspectors, client_id)))
        return client_id

    def make_what_lacks(self, scopes: Sequence[str], audience: str, client_id: str) -> None:
        """Make what a token with these scopes needs and nobody added."""
        resource = self._load_resources().get(audience)
        if resource is None:
            self.perform("resource.add", identifier=audience, scopes=tuple(scopes))
            self._made.add(audience)
        elif audience in self._made:
            self._put(replace(resource, scopes=_join(resource.scopes, scopes)))
        client = run(self._provider.store.find_client(client_id))
        if client is None:
            self.add_client(client_id, {audience: tuple(scopes)})
            self._made.add(client_id)
        elif client_id in self._made:
            self._put(_widen(client, audience, scopes))

    def _load_resources(self) -> Mapping[str, Resource]:
        run(self._provider.state.reach_barrier())
        return self._provider.state.resources

    def _put(self, changed: Client | Resource) -> None:
        later = replace(changed, version=changed.version + 1)
        change = PutClient(later) if isinstance(later, Client) else PutResource(later)
        run(self._provider.store.commit([change]))


def _widen(client: Client, audience: str, scopes: Sequence[str]) -> Client:
    grants = {grant.resource: grant for grant in client.grants}
    held = grants.get(audience)
    if held is None:
        held = StandingGrant(grant_id=new_id(0), resource=audience, scopes=())
    grants[audience] = replace(held, scopes=_join(held.scopes, scopes))
    return replace(client, grants=tuple(grants.values()))


def _join(held: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*held, *wanted)))
