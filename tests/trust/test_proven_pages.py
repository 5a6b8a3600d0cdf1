"""Pages that one follower proved serve the others of its process that trust the same key."""

from typing import Any

import pytest

from dojang.oauth.feed import InvalidFeed
from dojang.oauth.revocation_fact import FactKind
from dojang.testing import SettableClock
from dojang.trust.feed_keys import FeedKeys
from dojang.trust.proven_pages import MOST, ProvenPages
from tests.scripted_issuer import ScriptedIssuer, feed_key


@pytest.fixture
def issuer() -> ScriptedIssuer:
    served = ScriptedIssuer(clock=SettableClock())
    for number in range(3):
        served.revoke(FactKind.TOKEN, f"jti-{number}")
    return served


class CountingKeys(FeedKeys):
    """How often a signature is proven."""

    proven = 0

    def verify(self, signed: str) -> Any:
        self.proven += 1
        return super().verify(signed)


def trust(*numbers: int) -> CountingKeys:
    keys = CountingKeys()
    keys.take({"keys": [feed_key(number).public_jwk() for number in numbers]})
    return keys


@pytest.mark.proves("C91")
def test_a_signature_is_proven_once_for_all(issuer: ScriptedIssuer) -> None:
    pages, keys, others = ProvenPages(), trust(1), trust(2, 1)
    signed = issuer.page(1, 3)
    assert pages.find(signed, keys, issuer=issuer.url).last == 3
    assert pages.find(signed, others, issuer=issuer.url).last == 3
    assert (keys.proven, others.proven) == (1, 0)


@pytest.mark.proves("C91")
def test_who_trusts_another_key_proves_it_again(issuer: ScriptedIssuer) -> None:
    pages = ProvenPages()
    signed = issuer.page(1, 3)
    pages.find(signed, trust(1), issuer=issuer.url)
    with pytest.raises(InvalidFeed):
        pages.find(signed, trust(2), issuer=issuer.url)


@pytest.mark.proves("C91")
def test_a_page_of_one_issuer_is_none_of_another(issuer: ScriptedIssuer) -> None:
    pages, keys = ProvenPages(), trust(1)
    signed = issuer.page(1, 3)
    pages.find(signed, keys, issuer=issuer.url)
    with pytest.raises(InvalidFeed, match="another issuer"):
        pages.find(signed, keys, issuer="https://other.test")


@pytest.mark.proves("C91")
def test_what_is_not_proven_is_not_kept(issuer: ScriptedIssuer) -> None:
    pages, keys = ProvenPages(), trust(1)
    forged = issuer.page(1, 3)[:-6] + "AAAAAA"
    for _ in range(2):
        with pytest.raises(InvalidFeed):
            pages.find(forged, keys, issuer=issuer.url)
    assert keys.proven == 2


def test_only_the_latest_are_kept(issuer: ScriptedIssuer) -> None:
    pages, keys = ProvenPages(), trust(1)
    for _ in range(MOST + 5):
        issuer.clock.move(1)
        pages.find(issuer.page(1, 1), keys, issuer=issuer.url)
    assert len(pages._pages) == MOST
