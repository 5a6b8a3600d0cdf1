"""The client: tokens for the services it calls, for itself or for whoever called it, and people
who sign in."""

from typing import TYPE_CHECKING, Any

from dojang.client.exchange import Exchange
from dojang.client.logout_token import LogoutToken
from dojang.client.relying_party import RelyingParty
from dojang.client.sign_in_errors import (
    Flaw,
    IdTokenRefused,
    LogoutRefused,
    SignInDenied,
    SignInRefused,
)
from dojang.client.sign_in_requests import Ask, Tokens
from dojang.client.signing_in import Begun, SignedIn
from dojang.client.source import BoundSource, TokenSource
from dojang.client.token_request import TokenRefused
from dojang.client.transaction import NoTransaction, Transaction
from dojang.oauth.errors import Unavailable
from dojang.trust.credentials import (
    ClientSecretBasic,
    ClientSecretPost,
    Credentials,
    PrivateKeyJwt,
    PublicClient,
)

if TYPE_CHECKING:
    from dojang.client.httpx_auth import Httpx2Auth, HttpxAuth
    from dojang.client.requests_auth import RequestsAuth

__all__ = [
    "Ask",
    "Begun",
    "BoundSource",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Credentials",
    "Exchange",
    "Flaw",
    "Httpx2Auth",
    "HttpxAuth",
    "IdTokenRefused",
    "LogoutRefused",
    "LogoutToken",
    "NoTransaction",
    "PrivateKeyJwt",
    "PublicClient",
    "RelyingParty",
    "RequestsAuth",
    "SignInDenied",
    "SignInRefused",
    "SignedIn",
    "TokenRefused",
    "TokenSource",
    "Tokens",
    "Transaction",
    "Unavailable",
]


def __getattr__(name: str) -> Any:
    """The classes whose HTTP client is an extra, imported when asked for."""
    if name in ("HttpxAuth", "Httpx2Auth"):
        from dojang.client import httpx_auth

        return getattr(httpx_auth, name)
    if name == "RequestsAuth":
        from dojang.client.requests_auth import RequestsAuth

        return RequestsAuth
    raise AttributeError(name)
