"""Requirements and tests know each other, in both directions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CITED
from tests.requirements import find_built, load_requirements
from tests.requirements.citations import ROOT, collect_citations


@pytest.fixture(scope="module")
def cited(request: pytest.FixtureRequest) -> set[str]:
    config = request.config
    whole = config.args in (["tests"], [str(ROOT)], [str(ROOT / "tests")])
    citations = config.stash[CITED] if whole else collect_citations()
    return set(citations)


def test_every_id_is_there() -> None:
    expected = {f"C{n}" for n in range(1, 126)} | {f"F{n}" for n in range(1, 23)}
    for letter, last in {"V": 6, "K": 6, "T": 6, "A": 6, "R": 6, "O": 3}.items():
        expected |= {f"{letter}{n}" for n in range(1, last + 1)}
    assert load_requirements().keys() == expected


def test_every_row_is_one_sourced_sentence() -> None:
    for row in load_requirements().values():
        assert row.status in ("built", "planned"), row.id
        assert row.source, row.id
        assert re.fullmatch(r"\S[^.]*(\.[^ ][^.]*)*\.", row.text), row.id


def test_every_built_requirement_is_cited(cited: set[str]) -> None:
    assert sorted(find_built() - cited) == []


def test_an_unknown_citation_stops_the_collection(tmp_path: Path) -> None:
    bad = tmp_path / "test_bad.py"
    bad.write_text("import pytest\n\n@pytest.mark.proves('C999')\ndef test_it(): pass\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "tests.conftest", bad],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "C999" in run.stdout + run.stderr
