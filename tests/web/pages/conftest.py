import pytest

from tests.web.pages.house import House


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def house() -> House:
    return House()
