"""Fixtures for tests of services that are protected by Dojang. pytest finds them by itself.

- `dojang_clock`: the `SettableClock` of the issuer, to be moved;
- `dojang_issuer`: an `Issuer` at https://issuer.test, a new one for each test;
- `dojang_token`: its `token` method: `dojang_token(scopes=["orders.read"], audience="https://…")`.

To put the issuer at another address, override `dojang_issuer` in a conftest.py. Nothing of Dojang
is imported before a test asks for a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dojang.testing.clock import SettableClock
    from dojang.testing.issuer import Issuer


class MakeToken(Protocol):
    """`dojang.testing.Issuer.token`."""

    def __call__(
        self, *, scopes: Sequence[str], audience: str, client_id: str = "test-client"
    ) -> str: ...


@pytest.fixture
def dojang_clock() -> SettableClock:
    """A clock that stands still until the test moves it."""
    from dojang.testing.clock import SettableClock

    return SettableClock()


@pytest.fixture
def dojang_issuer(dojang_clock: SettableClock) -> Issuer:
    """An authorization server of this test's own."""
    from dojang.testing.issuer import Issuer

    return Issuer(clock=dojang_clock)


@pytest.fixture
def dojang_token(dojang_issuer: Issuer) -> MakeToken:
    """Makes access tokens: `dojang_token(scopes=[…], audience=…)`."""
    return dojang_issuer.token
