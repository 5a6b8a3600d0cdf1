from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.house import House, Person


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.open()
    yield house
    house.close()


@pytest.fixture
def person(house: House) -> Iterator[Person]:
    person = house.add_person()
    yield person
    person.browser.close()
