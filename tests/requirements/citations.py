"""Which tests cite which requirement, told by pytest's own collection of the whole suite."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]


def collect_citations() -> dict[str, list[str]]:
    """Requirement id to node ids. Raises RuntimeError with pytest's words if it cannot collect."""
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "citations.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        run = subprocess.run(
            [*command, f"--citations={report}", "tests"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise RuntimeError(run.stdout[-4000:] + run.stderr[-4000:])
        found: dict[str, list[str]] = json.loads(report.read_text())
        return found
