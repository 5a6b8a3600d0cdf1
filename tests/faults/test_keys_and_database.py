"""F14: the keys are lost or do not open. F7: the database is gone. What the server does then."""

from typing import Any

import pytest
from msgspec.structs import replace

from dojang.jose.errors import JoseMisuse
from dojang.oauth.errors import Unavailable
from dojang.oauth.http import Request
from dojang.oauth.revocation_fact import FactKind
from dojang.server.endpoints.token import token
from dojang.server.key_records import WrongEncryptionKey
from dojang.server.model import AppendFact, KeyRecord, Resource
from dojang.server.ports import Conflict, DropKey, PutKey, PutResource
from dojang.server.provider import NotInitialised, Provider, initialise
from dojang.storage.memory import MemoryStore
from dojang.testing import SettableClock
from dojang.testing.inline import run
from tests.server.front_door import (
    GRANT,
    NOW,
    ORDERS,
    basic_of,
    get,
    header_of,
    open_issuer,
    post,
    read,
)

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    run(initialise(**settings(store)))
    return store


def settings(store: MemoryStore, key: bytes = KEY) -> dict[str, Any]:
    return {
        "issuer": "https://issuer.test",
        "store": store,
        "clock": SettableClock(NOW),
        "key_encryption_key": key,
    }


def start(store: MemoryStore, key: bytes = KEY) -> Provider:
    return run(Provider.start(**settings(store, key)))


def load(store: MemoryStore) -> list[KeyRecord]:
    return list(run(store.load_keys()))


@pytest.mark.proves("F14", "C98")
def test_the_right_key_starts_the_server(store: MemoryStore) -> None:
    assert start(store).state.keys.at(NOW).signers.keys() == {"ES256"}


@pytest.mark.proves("F14", "C98")
def test_a_wrong_key_refuses_to_start_and_makes_no_keys(store: MemoryStore) -> None:
    before = load(store)
    with pytest.raises(WrongEncryptionKey, match="key-encryption key") as refused:
        start(store, OTHER)
    assert KEY.hex() not in str(refused.value) + repr(refused.value)
    assert OTHER.hex() not in str(refused.value) + repr(refused.value)
    assert load(store) == before
    assert start(store).issuer


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(31), bytes(33), bytes(64)], ids=len)
@pytest.mark.proves("F14")
def test_a_key_of_another_size_is_no_key(store: MemoryStore, key: bytes) -> None:
    before = load(store)
    with pytest.raises(JoseMisuse):
        start(store, key)
    with pytest.raises(JoseMisuse):
        run(initialise(**settings(MemoryStore(), key)))
    assert load(store) == before


@pytest.mark.proves("F14", "C98")
def test_a_store_without_keys_refuses_to_start_and_stays_empty() -> None:
    empty = MemoryStore()
    with pytest.raises(NotInitialised, match="dojang init"):
        start(empty)
    assert load(empty) == []


@pytest.mark.proves("F14")
def test_lost_keys_are_never_replaced_in_silence(store: MemoryStore) -> None:
    run(store.commit([DropKey(key.kid, key.version) for key in load(store)]))
    with pytest.raises(NotInitialised):
        start(store)
    with pytest.raises(Conflict):  # the rest of the installation is there
        run(initialise(**settings(store)))
    assert load(store) == []


@pytest.mark.proves("F14")
def test_a_second_initialisation_changes_nothing(store: MemoryStore) -> None:
    before = load(store), run(store.position())
    with pytest.raises(Conflict):
        run(initialise(**settings(store, OTHER)))
    assert (load(store), run(store.position())) == before


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "swapped", "renamed"])
@pytest.mark.proves("F14", "C98")
def test_a_damaged_row_refuses_to_start(store: MemoryStore, damage: str) -> None:
    keys = load(store)
    victim = keys[0]
    sealed = victim.sealed
    other = next(key.sealed for key in keys if key.kid != victim.kid)
    damaged = {
        "cut": sealed[:-1],
        "empty": b"",
        "flipped": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "swapped": other,
        "renamed": sealed,
    }[damage]
    if damage == "renamed":  # the same box under another kid
        run(store.commit([DropKey(victim.kid, victim.version)]))
        run(store.commit([PutKey(replace(victim, kid="another", version=1))]))
    else:
        run(store.commit([PutKey(replace(victim, sealed=damaged, version=victim.version + 1))]))
    with pytest.raises(WrongEncryptionKey):
        start(store)


@pytest.mark.proves("C98")
def test_nothing_of_a_private_key_rests_in_the_open(store: MemoryStore) -> None:
    provider = start(store)
    for record in provider.state.keys.records:
        private = provider.state.keys._loaded[record.kid].private
        secret = private.secret if hasattr(private, "secret") else b""
        words = [secret] if secret else []
        if not secret:
            jwk = private.private_jwk()  # type: ignore[union-attr]
            words = [jwk[name].encode() for name in ("d",)]
        resting = repr(record).encode() + record.sealed
        assert words
        assert not any(word in resting for word in words)


@pytest.mark.proves("C98")
def test_the_same_secret_never_rests_twice_the_same(store: MemoryStore) -> None:
    boxes = [key.sealed for key in load(store)]
    assert len(set(boxes)) == len(boxes) == 6


@pytest.mark.proves("F7", "C89")
def test_without_its_database_the_server_answers_503_and_nothing_else() -> None:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"], introspectors=["orders"])
    issuer.add_client("orders")
    issuer.add_client("shop", {ORDERS: ["read"]})
    access = issuer.token(scopes=["read"], audience=ORDERS, client_id="shop")
    header = basic_of(issuer, "shop")
    with issuer.without_database():
        answers = [
            post(issuer, "/token", GRANT, header),
            post(issuer, "/introspect", {"token": access}, basic_of(issuer, "orders")),
            post(issuer, "/introspect", {"token": "junk"}, basic_of(issuer, "orders")),
            post(issuer, "/revoke", {"token": access}, header),
            post(issuer, "/token", GRANT, (b"authorization", b"Basic eDp5")),
        ]
    for answer in answers:
        assert answer.status == 503
        assert header_of(answer, b"retry-after") == b"1"
        assert read(answer)["error"] == "temporarily_unavailable"
        assert b"access_token" not in answer.body
        assert b"active" not in answer.body
    assert post(issuer, "/token", GRANT, header).status == 200  # no restart


@pytest.mark.proves("F7")
def test_without_its_database_the_server_still_publishes_its_keys() -> None:
    issuer = open_issuer()
    paths = ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"]
    before = [get(issuer, path) for path in paths]
    with issuer.without_database():
        assert [get(issuer, path) for path in paths] == before
        issuer.clock.move(10**6)
        assert get(issuer, paths[0]).status == 200
    assert issuer.provider.counters["dojang_jwks_from_memory_total",] == 2


@pytest.mark.parametrize(
    "part", ["position", "list_resources", "load_keys", "load_facts", "find_client"]
)
@pytest.mark.proves("F7")
def test_any_part_of_the_store_that_fails_is_unknown_never_no(part: str) -> None:
    """Each read fails alone, while a fresh server fills its memory; then the next one succeeds."""
    store = MemoryStore()
    run(initialise(**settings(store)))
    provider = start(store)
    fact = AppendFact(kind=FactKind.TOKEN, identifier="t", at=0, forget_after=0)
    resource = Resource(identifier="urn:x", scopes=("a",))
    run(store.commit([fact, PutResource(resource)]))  # the next request must read everything again

    async def fail(*_: Any, **__: Any) -> Any:
        raise Unavailable("database")

    whole = getattr(store, part)
    setattr(store, part, fail)
    headers = (
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"authorization", b"Basic eDp5"),
    )
    request = Request("POST", "/token", b"", headers, b"grant_type=x", "127.0.0.1")
    with pytest.raises(Unavailable):
        run(token(provider, request))
    setattr(store, part, whole)
    assert run(token(provider, request)).status == 401


@pytest.mark.proves("F7")
def test_a_commit_that_fails_in_an_operation_leaves_everything_as_it_was() -> None:
    issuer = open_issuer()
    issuer.add_resource(ORDERS, ["read"])
    before = issuer.perform("resource.list"), issuer.perform("keys.list")
    with issuer.without_database():
        for operation, parameters in (
            ("resource.add", {"identifier": "urn:x", "scopes": ("a",)}),
            ("client.add", {"client_id": "x"}),
            ("keys.rotate", {}),
        ):
            with pytest.raises(Unavailable):
                issuer.perform(operation, **parameters)
    assert (issuer.perform("resource.list"), issuer.perform("keys.list")) == before
