"""Processes whose wall clock is wrong, by libfaketime; their boot clock is the machine's."""

import os
from pathlib import Path

import pytest

INSTALL = "libfaketime is not installed; type: apt-get install -y libfaketime"
PLACES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")


def require_library() -> Path:
    """Where libfaketime is. Without it the test is skipped, or fails in CI."""
    for place in PLACES:
        for found in Path("/").glob(place.lstrip("/")):
            return found
    if os.environ.get("CI"):
        pytest.fail(INSTALL)
    pytest.skip(INSTALL)


class WrongClock:
    """How far the clock of some processes is from the right one. It may be set while they run."""

    def __init__(self, file: Path, *, ahead: float = 0.0) -> None:
        self._file = file
        self._library = require_library()
        self.set(ahead)

    def set(self, ahead: float) -> None:
        """Seconds; less than 0 for a clock that is slow."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+f}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
