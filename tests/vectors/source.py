"""Where the published test vectors are, and how a test asks for them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DIRECTORY = Path(os.environ.get("DOJANG_VECTORS") or ROOT.parent / "shared" / "vectors")

Vector = tuple[dict[str, Any], dict[str, Any]]


def load(name: str) -> Any:
    return json.loads((DIRECTORY / name).read_text())


def wycheproof(name: str) -> list[Any]:
    """Every test of a Wycheproof file with its group, as parameters."""
    path = f"wycheproof/{name}"
    if not (DIRECTORY / path).exists():
        return [pytest.param(({}, {}), marks=pytest.mark.skip(reason="vectors are not here"))]
    return [
        pytest.param((group, test), id=f"{test['tcId']}-{test['comment']}")
        for group in load(path)["testGroups"]
        for test in group["tests"]
    ]


def rfc7520(name: str) -> Any:
    path = f"rfc7520/{name}.json"
    if not (DIRECTORY / path).exists():
        pytest.skip("vectors are not here")
    return load(path)
