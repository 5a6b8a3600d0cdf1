"""The grant types of this server: a table."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from dojang.oauth.token import TokenRequest
from dojang.server.authentication import AuthenticatedClient
from dojang.server.checked_request import CheckedRequest
from dojang.server.grants.client_credentials import grant_client_credentials

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class Grant(Protocol):
    """What a grant type checks once its client is known."""

    def __call__(
        self,
        provider: Provider,
        client: AuthenticatedClient,
        request: TokenRequest,
    ) -> Awaitable[CheckedRequest]: ...


GRANTS: Final[Mapping[str, Grant]] = {"client_credentials": grant_client_credentials}
