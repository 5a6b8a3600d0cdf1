"""What Dojang must do, as data: `checks.toml`, `faults.toml` and `capabilities.toml`.

A test names what it proves with `@pytest.mark.proves("C12", "V1")`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

FILES = ("checks.toml", "faults.toml", "capabilities.toml")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One sentence that must hold, where it comes from, and whether it is built yet."""

    id: str
    source: str
    text: str
    status: Literal["built", "planned"]


@cache
def load_requirements() -> Mapping[str, Requirement]:
    """Every requirement by its id. Raises ValueError for an id given twice."""
    found: dict[str, Requirement] = {}
    for name in FILES:
        table = tomllib.loads((Path(__file__).parent / name).read_text())
        for identifier, row in table.items():
            if identifier in found:
                raise ValueError(f"{identifier} stands twice")
            found[identifier] = Requirement(id=identifier, **row)
    return found


def find_built() -> frozenset[str]:
    """The ids that a collected test must cite."""
    return frozenset(row.id for row in load_requirements().values() if row.status == "built")
