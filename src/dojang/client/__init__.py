"""The client: tokens for the services it calls, for itself or for whoever called it."""

from typing import TYPE_CHECKING, Any

from dojang.client.exchange import Exchange
from dojang.client.source import BoundSource, TokenSource
from dojang.client.token_request import TokenRefused
from dojang.oauth.errors import Unavailable
from dojang.trust.credentials import (
    ClientSecretBasic,
    ClientSecretPost,
    Credentials,
    PrivateKeyJwt,
)

if TYPE_CHECKING:
    from dojang.client.httpx_auth import Httpx2Auth, HttpxAuth
    from dojang.client.requests_auth import RequestsAuth

__all__ = [
    "BoundSource",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Credentials",
    "Exchange",
    "Httpx2Auth",
    "HttpxAuth",
    "PrivateKeyJwt",
    "RequestsAuth",
    "TokenRefused",
    "TokenSource",
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
