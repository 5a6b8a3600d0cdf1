import pytest

from tests.server.people.world import World


@pytest.fixture
def world() -> World:
    return World()
