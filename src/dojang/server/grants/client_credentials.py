"""The client credentials grant (RFC 6749 §4.4): a client acts for itself.

No refresh token (RFC 6749 §4.4.3) and no id_token ever come of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.oauth.token import TokenRequest
from dojang.server.authentication import AuthenticatedClient
from dojang.server.checked_request import CheckedRequest
from dojang.server.checks.target import check_scope, check_target

if TYPE_CHECKING:
    from dojang.server.provider import Provider


async def grant_client_credentials(
    provider: Provider, client: AuthenticatedClient, request: TokenRequest
) -> CheckedRequest:
    """The one resource and the scope that the client may have there."""
    target = check_target(client.client, provider.state.resources, request.resource)
    return CheckedRequest(client.client, target, check_scope(target, request.scope))
