"""TLS as every connection of ours begins it, unless the caller brings a context."""

from __future__ import annotations

import ssl
from functools import lru_cache


@lru_cache(maxsize=1)
def find_context() -> ssl.SSLContext:
    """The system's trust store, certificate and host name verified, TLS 1.2 or later. Reading the
    store takes some 20 ms, so there is one for the whole process."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
