"""An authorization server inside your tests: the real one, with the edges replaced.

`Issuer` is Dojang's own server over a store in memory, a `SettableClock`, and a transport that
leads into it without a socket. Its tokens come from its token endpoint; its keys, introspection
and revocation are what a deployment has. With the extra `testing` installed, pytest finds the
fixtures of `dojang.testing.plugin` by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dojang.testing.clock import SettableClock
    from dojang.testing.issuer import Issuer, TokenRefused

__all__ = ["Issuer", "SettableClock", "TokenRefused"]

_MODULES = {
    "Issuer": "dojang.testing.issuer",
    "SettableClock": "dojang.testing.clock",
    "TokenRefused": "dojang.testing.issuer",
}


def __getattr__(name: str) -> Any:
    # pytest imports this package in every run, with or without a test that needs it.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
