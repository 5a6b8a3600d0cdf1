import pytest

from tests.server.clients.registering import Registry
from tests.server.people.world import World


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def world() -> World:
    return World()
