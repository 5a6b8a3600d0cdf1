"""Dojang (도장): tokens for microservices, checked everywhere at local speed.

The names below are the public face for services and clients; each is imported when first asked
for, so `import dojang` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dojang.client import Exchange, TokenRefused, TokenSource
    from dojang.oauth.errors import Unavailable
    from dojang.resource import (
        BearerHeader,
        ClientSecretBasic,
        ClientSecretPost,
        CookieToken,
        Expect,
        FeedState,
        FeedStatus,
        FixedKeys,
        Follower,
        HeaderToken,
        Hybrid,
        HybridVerifier,
        Identity,
        Introspection,
        IntrospectionVerifier,
        Local,
        LocalVerifier,
        Policy,
        PrivateKeyJwt,
        Refusal,
        RefusalReason,
        RemoteKeys,
        Route,
        Rule,
        VerifiedToken,
        Verifier,
        WhenStale,
    )

__all__ = [
    "BearerHeader",
    "ClientSecretBasic",
    "ClientSecretPost",
    "CookieToken",
    "Exchange",
    "Expect",
    "FeedState",
    "FeedStatus",
    "FixedKeys",
    "Follower",
    "HeaderToken",
    "Hybrid",
    "HybridVerifier",
    "Identity",
    "Introspection",
    "IntrospectionVerifier",
    "Local",
    "LocalVerifier",
    "Policy",
    "PrivateKeyJwt",
    "Refusal",
    "RefusalReason",
    "RemoteKeys",
    "Route",
    "Rule",
    "TokenRefused",
    "TokenSource",
    "Unavailable",
    "VerifiedToken",
    "Verifier",
    "WhenStale",
]

_CLIENT: Final = frozenset({"Exchange", "TokenRefused", "TokenSource"})


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, and keep the name."""
    if name not in __all__:
        raise AttributeError(name)
    home = "dojang.client" if name in _CLIENT else "dojang.resource"
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
