"""A backend for browser applications (RFC 9700 §4.9, OAuth for Browser-Based Apps §6.1): people
sign in, APIs are called for them, and no token reaches a browser."""

from typing import TYPE_CHECKING, Any

from dojang.integrations.bff.application import Bff
from dojang.integrations.bff.guard import CSRF_HEADER
from dojang.integrations.bff.sessions import BrowserSessions, SessionsInOneProcess
from dojang.integrations.bff.upstreams import Upstream
from dojang.integrations.bff.vault import Lifetimes
from dojang.jose.seal import SealKey, SealRing

if TYPE_CHECKING:
    from dojang.integrations.bff.redis_sessions import RedisSessions

__all__ = [
    "CSRF_HEADER",
    "Bff",
    "BrowserSessions",
    "Lifetimes",
    "RedisSessions",
    "SealKey",
    "SealRing",
    "SessionsInOneProcess",
    "Upstream",
]


def __getattr__(name: str) -> Any:
    """The class that needs the extra `redis`, imported when asked for."""
    if name != "RedisSessions":
        raise AttributeError(name)
    from dojang.integrations.bff.redis_sessions import RedisSessions

    return RedisSessions
