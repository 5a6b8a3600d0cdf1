"""The two optional accelerators; `DOJANG_PURE=1` turns them off.

They change how fast a token is read, never which tokens are accepted.
"""

from __future__ import annotations

import os
from types import ModuleType

msgspec_json: ModuleType | None = None
pybase64: ModuleType | None = None

if os.environ.get("DOJANG_PURE") != "1":
    try:
        import msgspec.json as msgspec_json
    except ImportError:
        msgspec_json = None
    try:
        import pybase64
    except ImportError:
        pybase64 = None
