"""Mutants: for each check, a small change to the source that takes it away.

Each `*.toml` here holds `[[mutant]]` tables: `check` (a requirement id), `file`, `old` (text that
stands there exactly once), `new`, and optionally `tests` (paths or node ids to narrow the run; the
tests that run always cite the check). `python -m tests.mutants` shows a test turning red for each.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file that breaks one check."""

    check: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    def apply(self, source: str) -> str:
        """The changed source. Raises ValueError unless `old` stands in it exactly once."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.check}: {source.count(self.old)} places in {self.file}")
        if self.old == self.new:
            raise ValueError(f"{self.check}: changes nothing in {self.file}")
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        return changed


def load_mutants() -> list[Mutant]:
    """Every mutant, in the order of the files and the tables in them."""
    return [
        Mutant(
            check=row["check"],
            file=row["file"],
            old=row["old"].strip("\n"),
            new=row["new"].strip("\n"),
            tests=tuple(row.get("tests", ())),
        )
        for path in sorted(HERE.glob("*.toml"))
        for row in tomllib.loads(path.read_text())["mutant"]
    ]
