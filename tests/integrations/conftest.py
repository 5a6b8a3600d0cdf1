from collections.abc import Iterator

import pytest

from tests.origin import WireIssuer


@pytest.fixture
def issuer() -> Iterator[WireIssuer]:
    with WireIssuer() as served:
        yield served
