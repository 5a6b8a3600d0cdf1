import pytest

from tests.server.clients.registering import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()
