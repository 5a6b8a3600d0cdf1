import pytest

from tests.integrations.bff.stage import Stage
from tests.services.redis import redis_server

__all__ = ["redis_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stage() -> Stage:
    return Stage()
