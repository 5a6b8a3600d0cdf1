"""The versions that the documentation names are those that the tests ran with."""

from __future__ import annotations

import json
import re

from tests.interop.others import HERE
from tests.mutants import ROOT

ROW = re.compile(r"\| ([a-zA-Z0-9_-]+)([^|]*) \| (\d+(?:\.\d+)+) \|")


def test_the_documented_versions_are_the_locked_ones() -> None:
    document = (ROOT / "docs/reference/conformance.md").read_text()
    rows = ROW.findall(document)
    assert len(rows) == 8
    npm = json.loads((HERE / "package-lock.json").read_text())["packages"]
    pypi = (ROOT / "requirements/dev.txt").read_text()
    for name, place, version in rows:
        if "npm" in place:
            assert npm[f"node_modules/{name}"]["version"] == version
        elif "Debian" not in place:
            assert re.search(rf"^{name.lower()}=={re.escape(version)} ", pypi, re.MULTILINE), name
