"""What every test shares: the event loop, and the link between tests and requirements."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

from tests.requirements import load_requirements

# A loaded machine is no failure: nothing here asserts a time.
settings.register_profile("dojang", deadline=None, print_blob=True)
settings.load_profile("dojang")

CITED = pytest.StashKey[dict[str, list[str]]]()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("requirements")
    group.addoption("--proves", metavar="IDS", help="run only the tests that cite one of these")
    group.addoption("--citations", type=Path, help="write which tests cite what, as JSON")


def find_cited(item: pytest.Item) -> set[str]:
    cited = {identifier for mark in item.iter_markers("proves") for identifier in mark.args}
    unknown = cited - load_requirements().keys()
    if unknown or any(mark.kwargs or not mark.args for mark in item.iter_markers("proves")):
        raise pytest.UsageError(f"{item.nodeid} proves something unknown: {sorted(unknown)}")
    return cited


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cited: dict[str, list[str]] = defaultdict(list)
    for item in items:
        for identifier in find_cited(item):
            cited[identifier].append(item.nodeid)
    config.stash[CITED] = cited
    if path := config.getoption("--citations"):
        path.write_text(json.dumps(cited))
    if wanted := config.getoption("--proves"):
        kept = {node for identifier in wanted.split(",") for node in cited[identifier]}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
        items[:] = [item for item in items if item.nodeid in kept]
