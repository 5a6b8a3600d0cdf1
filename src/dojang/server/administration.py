"""The table of what operators can do: the admin API and the command line are driven by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from dojang.server.admin import (
    client_members,
    client_updates,
    clients,
    exchanges,
    keys,
    records,
    registration_tokens,
    resource_updates,
    resources,
    revocations,
    sessions,
    status,
    users,
)
from dojang.server.admin.errors import OperationRefused, conflict
from dojang.server.ports import Conflict
from dojang.server.provider import ADMIN_READ, ADMIN_WRITE

if TYPE_CHECKING:
    from dojang.server.provider import Provider

__all__ = ["OPERATIONS", "Operation", "OperationRefused", "perform"]


Asked = TypeVar("Asked", bound=Struct)
Run = Callable[["Provider", str, Asked], Awaitable[dict[str, Any]]]


class Operation(NamedTuple):
    """One thing that operators can do. `path` is below the admin API; names in braces are
    parameters. `scope` is what a caller must hold."""

    method: str
    path: str
    scope: str
    parameters: type[Struct]
    run: Run[Any]

    @property
    def changes(self) -> bool:
        """Whether it writes; then one runs at a time on a node."""
        return self.method != "GET"


def _read(path: str, parameters: type[Asked], run: Run[Asked]) -> Operation:
    return Operation("GET", path, ADMIN_READ, parameters, run)


def _write(path: str, parameters: type[Asked], run: Run[Asked]) -> Operation:
    return Operation("POST", path, ADMIN_WRITE, parameters, run)


OPERATIONS: Final[Mapping[str, Operation]] = {
    "resource.add": _write("/v1/resources", resources.AddResource, resources.add_resource),
    "resource.list": _read("/v1/resources", resources.ListResources, resources.list_resources),
    "resource.show": _read(
        "/v1/resources/{identifier}", resources.NamedResource, resources.show_resource
    ),
    "resource.update": _write(
        "/v1/resources/{identifier}",
        resource_updates.UpdateResource,
        resource_updates.update_resource,
    ),
    "client.add": _write("/v1/clients", client_members.NewClient, clients.add_client),
    "client.list": _read("/v1/clients", clients.ListClients, clients.list_clients),
    "client.show": _read("/v1/clients/{client_id}", clients.NamedClient, clients.show_client),
    "client.update": _write(
        "/v1/clients/{client_id}", client_members.UpdateClient, client_updates.update_client
    ),
    "client.rotate_secret": _write(
        "/v1/clients/{client_id}/rotate-secret", clients.RotateSecret, clients.rotate_secret
    ),
    "client.set_exchanges": _write(
        "/v1/clients/{client_id}/exchanges", exchanges.SetExchanges, clients.set_exchanges
    ),
    "client.disable": _write(
        "/v1/clients/{client_id}/disable", clients.NamedClient, clients.disable_client
    ),
    "client.enable": _write(
        "/v1/clients/{client_id}/enable", clients.NamedClient, clients.enable_client
    ),
    "client.remove": _write(
        "/v1/clients/{client_id}/remove", clients.NamedClient, clients.remove_client
    ),
    "registration_token.add": _write(
        "/v1/registration-tokens",
        registration_tokens.AddRegistrationToken,
        registration_tokens.add_registration_token,
    ),
    "registration_token.list": _read(
        "/v1/registration-tokens",
        registration_tokens.ListRegistrationTokens,
        registration_tokens.list_registration_tokens,
    ),
    "registration_token.revoke": _write(
        "/v1/registration-tokens/{token_id}/revoke",
        registration_tokens.NamedRegistrationToken,
        registration_tokens.revoke_registration_token,
    ),
    "user.add": _write("/v1/users", users.AddUser, users.add_user),
    "user.list": _read("/v1/users", users.ListUsers, users.list_users),
    "user.set_password": _write(
        "/v1/users/{username}/password", users.SetPassword, users.set_password
    ),
    "user.set_claims": _write("/v1/users/{username}/claims", users.SetClaims, users.set_claims),
    "user.disable": _write("/v1/users/{username}/disable", users.NamedUser, users.disable_user),
    "user.enable": _write("/v1/users/{username}/enable", users.NamedUser, users.enable_user),
    "user.sign_out": _write("/v1/users/{username}/sign-out", users.NamedUser, users.sign_out_user),
    "user.remove": _write("/v1/users/{username}/remove", users.NamedUser, users.remove_user),
    "session.list": _read("/v1/sessions", sessions.ListSessions, sessions.list_sessions),
    "session.end": _write(
        "/v1/sessions/{session_id}/end", sessions.NamedSession, sessions.end_session
    ),
    "keys.list": _read("/v1/keys", keys.ListKeys, keys.list_keys),
    "keys.rotate": _write("/v1/keys/rotate", keys.RotateKey, keys.rotate_key),
    "keys.revoke": _write("/v1/keys/{kid}/revoke", keys.NamedKey, keys.revoke_key),
    "keys.remove": _write("/v1/keys/{kid}/remove", keys.NamedKey, keys.remove_key),
    "revoke.token": _write(
        "/v1/revocations/token", revocations.RevokeToken, revocations.revoke_token
    ),
    "revoke.client": _write(
        "/v1/revocations/client", revocations.RevokeClient, revocations.revoke_client
    ),
    "revoke.grant": _write(
        "/v1/revocations/grant", revocations.RevokeGrant, revocations.revoke_grant
    ),
    "revoke.session": _write(
        "/v1/revocations/session", revocations.RevokeSession, revocations.revoke_session
    ),
    "revoke.account": _write(
        "/v1/revocations/account", revocations.RevokeAccount, revocations.revoke_account
    ),
    "revoke.everything": _write(
        "/v1/revocations/everything", revocations.RevokeEverything, revocations.revoke_everything
    ),
    "audit.list": _read("/v1/audit", records.ListAudit, records.list_audit),
    "audit.verify": _read("/v1/audit/verify", records.VerifyAudit, records.verify_audit),
    "status": _read("/v1/status", status.ShowStatus, status.show_status),
}


async def perform(
    provider: Provider, operation: Operation, parameters: Struct, *, actor: str
) -> dict[str, Any]:
    """Do one operation, as of the barrier. `actor` is who is named in the audit trail.

    Raises `OperationRefused` and `Unavailable`.
    """
    async with provider.changing if operation.changes else nullcontext():
        await provider.state.reach_barrier()
        try:
            return await operation.run(provider, actor, parameters)
        except Conflict as error:
            raise conflict(f"{error}; look at it again and repeat") from error
