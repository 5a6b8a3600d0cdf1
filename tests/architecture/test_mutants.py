"""The table of mutants fits the source and leaves no built check out."""

import pytest

from tests.mutants import ROOT, Mutant, load_mutants
from tests.requirements import find_built, load_requirements


def name(mutant: Mutant) -> str:
    return f"{mutant.check}-{mutant.file}"


@pytest.mark.parametrize("mutant", load_mutants(), ids=name)
def test_a_mutant_changes_one_place_into_valid_source(mutant: Mutant) -> None:
    assert mutant.check in load_requirements()
    assert mutant.apply((ROOT / mutant.file).read_text())
    assert all((ROOT / path.partition("::")[0]).exists() for path in mutant.tests)


def test_every_built_check_has_a_mutant() -> None:
    checks = {identifier for identifier in find_built() if identifier.startswith("C")}
    assert sorted(checks - {mutant.check for mutant in load_mutants()}) == []
