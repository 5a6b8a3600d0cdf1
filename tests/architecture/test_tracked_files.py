"""Nothing that is tracked points to one machine or to a package registry."""

import re
import subprocess

import pytest

from tests.mutants import ROOT

FORBIDDEN = {
    # Written in parts, so that this file passes its own test.
    "registry address": re.compile(
        r"https?://[\w.-]*(py" + r"pi|python" + r"hosted|npm" + r"js|go" + r"proxy|maven)[\w.-]*"
    ),
    "machine path": re.compile(r"(?<![\w.$}~-])/(wo" + r"rk|fa" + r"rm|ro" + r"ot|ho" + r"me)/\w"),
    "unfinished work": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_tracked_files_are_free_of(what: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = []
    for path in filter(None, listed.stdout.split("\0")):
        try:
            lines = (ROOT / path).read_text().splitlines()
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; or deleted, not yet committed
            continue
        found += [f"{path}:{n}" for n, line in enumerate(lines, 1) if FORBIDDEN[what].search(line)]
    assert found == []
