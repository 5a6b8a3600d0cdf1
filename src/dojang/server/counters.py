"""Plain counts for the metrics page."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

# (name, label, value, …) to number.
Counters: TypeAlias = defaultdict[tuple[str, ...], int]
