from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.installation import ORDERS, Installation


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Installation]:
    """An installation with nothing in it and no server."""
    installation = Installation(tmp_path)
    yield installation
    if installation.is_running:
        installation.stop()


def fill(installation: Installation) -> None:
    """An API, a client that may call it, and the client that the API is."""
    installation.must(
        "resource", "add", ORDERS, "--scope=orders:read", "--scope=orders:write",
        "--introspector=orders",
    )  # fmt: skip
    installation.add_client("shop", f"{ORDERS}=orders:read")
    installation.add_client("orders")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose server runs, with an API and two clients."""
    installation = Installation(tmp_path_factory.mktemp("served"))
    installation.start()
    fill(installation)
    yield installation
    if installation.is_running:
        installation.stop()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same without a server."""
    installation = Installation(tmp_path_factory.mktemp("stopped"))
    fill(installation)
    return installation
