"""The grant types of this server: two tables, by whether what was allowed once is allowed again."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from dojang.oauth.token import TokenRequest
from dojang.oauth.token_exchange import GRANT_TYPE as TOKEN_EXCHANGE
from dojang.server.authentication import AuthenticatedClient
from dojang.server.checked_request import CheckedRequest
from dojang.server.grants.authorization_code import grant_authorization_code
from dojang.server.grants.client_credentials import grant_client_credentials
from dojang.server.grants.refresh_token import grant_refresh_token
from dojang.server.grants.token_exchange import grant_token_exchange
from dojang.server.model import Position

if TYPE_CHECKING:
    from dojang.server.provider import Provider


class StandingGrantType(Protocol):
    """What a grant type checks whose request may be made again and again."""

    def __call__(
        self,
        provider: Provider,
        client: AuthenticatedClient,
        request: TokenRequest,
    ) -> Awaitable[CheckedRequest]: ...


class GrantType(Protocol):
    """What a grant type answers whose requests rest on a code or a token, which may be spent or
    dead the next time. `position` is the barrier of the request, `now` in seconds since 1970."""

    def __call__(
        self,
        provider: Provider,
        client: AuthenticatedClient,
        request: TokenRequest,
        *,
        position: Position,
        now: float,
    ) -> Awaitable[dict[str, Any]]: ...


STANDING: Final[Mapping[str, StandingGrantType]] = {
    "client_credentials": grant_client_credentials,
}
ANEW: Final[Mapping[str, GrantType]] = {
    "authorization_code": grant_authorization_code,
    "refresh_token": grant_refresh_token,
    TOKEN_EXCHANGE: grant_token_exchange,
}
