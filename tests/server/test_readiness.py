"""Readiness, and what the server answers where something is missing."""

from typing import Any

import pytest
from msgspec.structs import replace

from dojang.oauth.http import Request
from dojang.server.model import KeyUse, Resource, TokenFormat
from dojang.server.ports import DropKey, PutKey, PutResource
from dojang.testing import Issuer
from dojang.testing.inline import run
from dojang.web.management import Health
from tests.server.front_door import GRANT, NOW, ORDERS, basic_of, open_issuer, post, read

ASKED = Request("GET", "/health/ready", b"", (), b"", "127.0.0.1")


@pytest.fixture
def issuer() -> Issuer:
    return open_issuer()


def ready(issuer: Issuer) -> tuple[int, list[str]]:
    answer = run(Health(issuer.provider).ready(ASKED))
    return answer.status, read(answer).get("missing", [])


def is_live(issuer: Issuer) -> bool:
    return Health(issuer.provider).live(ASKED).status == 200


def drop_keys(issuer: Issuer, use: KeyUse) -> None:
    keys = [key for key in run(issuer.provider.store.load_keys()) if key.use is use]
    run(issuer.provider.store.commit([DropKey(key.kid, key.version) for key in keys]))


@pytest.mark.proves("C115")
def test_a_whole_server_is_ready(issuer: Issuer) -> None:
    issuer.add_resource("urn:opaque", ["x"], token_format="opaque")
    issuer.add_resource("urn:rsa", ["x"], algorithm="RS256")
    assert ready(issuer) == (200, [])


@pytest.mark.proves("C115", "F7")
def test_without_its_database_it_is_live_and_not_ready(issuer: Issuer) -> None:
    with issuer.without_database():
        assert ready(issuer) == (503, ["database"])
        assert is_live(issuer)
    assert ready(issuer) == (200, [])


@pytest.mark.proves("C115")
def test_without_a_signing_key_it_is_not_ready(issuer: Issuer) -> None:
    drop_keys(issuer, KeyUse.ACCESS_TOKEN)
    assert ready(issuer) == (503, ["an active key for ES256"])
    assert is_live(issuer)


@pytest.mark.proves("C115")
def test_without_a_sealing_key_it_is_not_ready_where_one_is_needed(issuer: Issuer) -> None:
    drop_keys(issuer, KeyUse.SEAL)
    assert ready(issuer) == (200, [])
    opaque = Resource(identifier="urn:o", scopes=("x",), token_format=TokenFormat.OPAQUE)
    run(issuer.provider.store.commit([PutResource(opaque)]))
    assert ready(issuer) == (503, ["an active key for A256GCM"])


@pytest.mark.proves("C115")
def test_a_resource_without_a_key_for_its_algorithm_makes_it_not_ready(issuer: Issuer) -> None:
    issuer.add_client("shop", {})
    foreign = Resource(identifier="urn:r", scopes=("x",), algorithm="RS256")
    run(issuer.provider.store.commit([PutResource(foreign)]))
    assert ready(issuer) == (503, ["an active key for RS256"])
    issuer.add_client("asker", {"urn:r": ["x"]})
    answer = post(issuer, "/token", GRANT, basic_of(issuer, "asker"))
    assert answer.status == 503  # our fault, and no token under another key


@pytest.mark.parametrize("times", [{"active_until": NOW - 1}, {"revoked_at": NOW - 1}], ids=str)
@pytest.mark.proves("C115")
def test_a_key_that_may_not_sign_now_is_no_signing_key(
    issuer: Issuer, times: dict[str, Any]
) -> None:
    issuer.add_resource(ORDERS, ["read"])
    issuer.add_client("shop", {ORDERS: ["read"]})
    keys = [key for key in run(issuer.provider.store.load_keys()) if key.use != KeyUse.SEAL]
    changed = [replace(key, **times, version=key.version + 1) for key in keys if key.active_from]
    run(issuer.provider.store.commit([PutKey(key) for key in changed]))
    assert ready(issuer)[0] == 503
    assert post(issuer, "/token", GRANT, basic_of(issuer, "shop")).status == 503
