"""The key set of an issuer over the network: when it is fetched, who waits, what is kept."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from threading import Event, Thread

import pytest

from dojang.jose.errors import InvalidKey
from dojang.jose.keys import SigningKey
from dojang.testing import SettableClock
from dojang.trust.key_sets import STALE_LIMIT, TrustedKeys, find_age
from dojang.trust.remote_keys import RemoteKeys
from tests.origin import Answer, Origin, WireIssuer, answer_json


def settle(keys: RemoteKeys) -> None:
    """Look, and wait for what that starts."""
    flight = keys.look()
    if flight is not None:
        flight.wait(10)


def settle_flight(keys: RemoteKeys) -> None:
    """Wait for what is under way."""
    if keys._flight is not None:
        keys._flight.wait(10)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def keys(issuer: WireIssuer, clock: SettableClock) -> RemoteKeys:
    return RemoteKeys(issuer.url, clock=clock)


@pytest.mark.proves("V1")
def test_finds_and_fetches_the_keys(issuer: WireIssuer, keys: RemoteKeys) -> None:
    before = keys.keys
    assert before is None
    assert not issuer.requests
    settle(keys)
    assert keys.keys is not None
    assert keys.keys.kids == {issuer.key.kid}
    assert (issuer.count(issuer.METADATA), issuer.count("/jwks")) == (1, 1)


@pytest.mark.proves("C99", "F2")
def test_many_that_need_keys_make_one_request(issuer: WireIssuer, keys: RemoteKeys) -> None:
    gate = Event()

    def answer_late(_: object) -> Answer:
        gate.wait(10)
        return answer_json(issuer.jwks())

    issuer.answers["/jwks"] = answer_late
    threads = [Thread(target=settle, args=(keys,)) for _ in range(20)]
    for thread in threads:
        thread.start()

    async def wait_in_tasks() -> None:
        async def wait() -> None:
            flight = keys.look()
            if flight is not None:
                await flight.wait_async(10)

        waiting = asyncio.gather(*(wait() for _ in range(20)))
        await asyncio.sleep(0)
        gate.set()
        await waiting

    asyncio.run(wait_in_tasks())
    for thread in threads:
        thread.join()
    assert keys.keys is not None
    assert issuer.count("/jwks") == 1


@pytest.mark.proves("C99", "F2")
def test_unknown_kids_cause_one_request_a_cooldown(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    settle(keys)
    for _ in range(100):
        assert keys.seek() is None
    clock.move(30)
    for _ in range(100):
        flight = keys.seek()
        if flight is not None:
            flight.wait(10)
    assert issuer.count("/jwks") == 2


BROKEN = {
    "not found": Answer(404),
    "error": Answer(500, b"oops"),
    "redirect": Answer(302, b"", (("location", "/elsewhere"),)),
    "html": Answer(200, b"<html></html>"),
    "no keys member": answer_json({}),
    "empty": answer_json({"keys": []}),
    "unusable": answer_json({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, 1]}),
    "huge": Answer(200, b'{"keys":[' + b" " * 10_000_000 + b"]}"),
    "cut": Answer(200, b'{"keys":[{"kty"'),
    "encoded": Answer(200, b"", (("content-encoding", "br"),)),
}


@pytest.mark.proves("C99", "F1")
@pytest.mark.parametrize("name", BROKEN)
def test_a_good_set_is_never_replaced_by_a_bad_one(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock, name: str
) -> None:
    settle(keys)
    good = keys.keys
    issuer.answers["/jwks"] = lambda _: BROKEN[name]
    for _ in range(5):
        clock.move(700)
        settle(keys)
    assert keys.keys is good
    assert keys.failed
    issuer.answers["/jwks"] = lambda _: answer_json(issuer.jwks())
    clock.move(40)
    keys.tick()
    flight = keys.seek()
    if flight is not None:
        flight.wait(10)
    assert not keys.failed


@pytest.mark.proves("F1")
@pytest.mark.parametrize("name", BROKEN)
def test_without_any_keys_it_waits_for_better_days(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock, name: str
) -> None:
    issuer.answers["/jwks"] = lambda _: BROKEN[name]
    settle(keys)
    assert keys.keys is None
    assert keys.failed
    issuer.answers["/jwks"] = lambda _: answer_json(issuer.jwks())
    assert keys.look() is None  # at once: not asked again for every request
    clock.move(2)
    settle(keys)
    assert keys.keys is not None


@pytest.mark.proves("C99", "F1")
def test_a_stale_set_serves_a_day_and_no_longer(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    settle(keys)
    issuer.answers["/jwks"] = lambda _: Answer(500)
    clock.move(STALE_LIMIT - 1)
    settle(keys)
    assert keys.keys is not None
    clock.move(2)
    keys.look()
    assert keys.keys is None


@pytest.mark.proves("C99")
def test_bad_entries_are_skipped(issuer: WireIssuer, keys: RemoteKeys) -> None:
    entries = [{"kty": "EC"}, {"kty": "oct", "k": "c2VjcmV0"}, "text", *issuer.jwks()["keys"]]
    issuer.answers["/jwks"] = lambda _: answer_json({"keys": entries})
    settle(keys)
    assert keys.keys is not None
    assert keys.keys.kids == {issuer.key.kid}


@pytest.mark.proves("V1")
def test_is_renewed_before_it_is_old(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    settle(keys)
    wait = keys.tick()
    assert 0.75 * 600 <= wait <= 0.9 * 600
    clock.move(wait)
    assert keys.look() is None  # still fresh: nobody waits
    issuer.asked.clear()
    keys.tick()
    assert issuer.asked.wait(10)


def test_the_background_renews_it_without_a_request(issuer: WireIssuer) -> None:
    keys = RemoteKeys(issuer.url)
    settle(keys)
    issuer.asked.clear()
    keys._due_at = 0.0
    # The thread looks again when something new is watched.
    other = RemoteKeys(issuer.url)
    other.look()
    assert issuer.asked.wait(10)
    while issuer.count("/jwks") < 3:
        assert issuer.asked.wait(10)
        issuer.asked.clear()


@pytest.mark.proves("V1", "C97")
def test_an_unchanged_set_stays_the_same_object(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    settle(keys)
    first = keys.keys
    clock.move(650)
    settle(keys)
    assert keys.keys is first
    issuer.published.append(SigningKey.generate("ES256"))
    clock.move(650)
    settle(keys)
    assert keys.keys is not first
    assert issuer.count("/jwks") >= 3


def test_an_etag_saves_the_transfer(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    body = json.dumps(issuer.jwks()).encode()
    issuer.answers["/jwks"] = lambda got: (
        Answer(304)
        if got.headers.get("if-none-match") == '"1"'
        else Answer(200, body, (("etag", '"1"'),))
    )
    settle(keys)
    first, before = keys.keys, keys.as_of
    clock.move(650)
    settle(keys)
    assert keys.keys is first
    assert keys.as_of != before
    assert not keys.failed


@pytest.mark.proves("C97")
def test_a_word_of_the_issuer_has_its_keys_fetched_at_once(
    issuer: WireIssuer, keys: RemoteKeys
) -> None:
    settle(keys)
    issuer.published = [SigningKey.generate("ES256")]
    keys.refresh()
    settle_flight(keys)
    assert keys.keys is not None
    assert keys.keys.kids == {issuer.published[0].kid}
    caches = [each.headers.get("cache-control") for each in issuer.requests if each.path == "/jwks"]
    assert caches == [None, "no-cache"]


@pytest.mark.proves("C97")
def test_what_was_fetched_while_the_keys_changed_is_fetched_again(
    issuer: WireIssuer, keys: RemoteKeys
) -> None:
    asked, changed = Event(), Event()

    def answer_with_what_was_before(_: object) -> Answer:
        document = issuer.jwks()
        if not asked.is_set():
            asked.set()
            changed.wait(10)
        return answer_json(document)

    issuer.answers["/jwks"] = answer_with_what_was_before
    keys.look()
    assert asked.wait(10)
    issuer.published = [SigningKey.generate("ES256")]
    keys.refresh()
    keys.refresh()
    changed.set()
    settle_flight(keys)
    assert keys.keys is not None
    assert keys.keys.kids == {issuer.published[0].kid}
    assert issuer.count("/jwks") == 2


@pytest.mark.proves("C97", "C99")
def test_a_word_that_could_not_be_followed_is_soon_tried_again(
    issuer: WireIssuer, keys: RemoteKeys, clock: SettableClock
) -> None:
    settle(keys)
    first = keys.keys
    issuer.answers["/jwks"] = lambda _: Answer(503)
    keys.refresh()
    settle_flight(keys)
    assert keys.keys is first
    issuer.published = [SigningKey.generate("ES256")]
    issuer.answers["/jwks"] = lambda _: answer_json(issuer.jwks())
    clock.move(2)
    keys.tick()
    settle_flight(keys)
    assert keys.keys is not first
    assert issuer.requests[-1].headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "said, age",
    [
        ("", 600),
        ("max-age=300", 300),
        ("public, max-age=86400", 600),
        ("max-age=0", 60),
        ("s-maxage=90, max-age=120", 120),
        ("no-store", 600),
    ],
)
def test_its_age_is_the_servers_within_bounds(said: str, age: float) -> None:
    assert find_age({"cache-control": said}) == age


@pytest.mark.proves("C13", "C94")
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "https://elsewhere.example/jwks"},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_metadata_of_another_issuer_is_refused(
    issuer: WireIssuer, keys: RemoteKeys, changes: dict[str, object]
) -> None:
    document = {**issuer.metadata(), **changes}
    issuer.answers[issuer.METADATA] = lambda _: answer_json(document)
    settle(keys)
    assert keys.keys is None
    assert issuer.count("/jwks") == 0


def test_openid_metadata_serves_as_well(issuer: WireIssuer, keys: RemoteKeys) -> None:
    del issuer.answers[issuer.METADATA]
    issuer.answers["/.well-known/openid-configuration"] = lambda _: answer_json(issuer.metadata())
    settle(keys)
    assert keys.keys is not None


def test_another_door_to_the_same_issuer() -> None:
    with WireIssuer() as served:
        name = "https://issuer.example"
        document = {"issuer": name, "jwks_uri": f"{name}/jwks"}
        served.answers[served.METADATA] = lambda _: answer_json(document)
        keys = RemoteKeys(name, fetch_from=served.url)
        settle(keys)
        assert keys.issuer == name
        assert keys.keys is not None


def test_a_given_address_needs_no_metadata(issuer: WireIssuer) -> None:
    keys = RemoteKeys("https://issuer.example", jwks_uri=issuer.url + "/jwks")
    settle(keys)
    assert keys.keys is not None
    assert issuer.count(issuer.METADATA) == 0


@pytest.mark.proves("C99")
@pytest.mark.parametrize("address", ["http://keys.example/jwks", "https://u:p@keys.example/"])
def test_unsafe_addresses_are_refused_when_given(address: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        RemoteKeys("https://issuer.example", jwks_uri=address)
    with pytest.raises(ValueError, match="URL"):
        RemoteKeys(address)


def test_a_refused_document_changes_nothing() -> None:
    trusted = TrustedKeys()
    trusted.take(
        json.dumps({"keys": [SigningKey.generate("ES256").public_jwk()]}).encode(), {}, now=1
    )
    before = trusted.state
    with pytest.raises(InvalidKey):
        trusted.take(b'{"keys": []}', {}, now=2)
    assert trusted.state is before


SCRIPT = """
import os, sys, time
from dojang.trust.remote_keys import RemoteKeys
keys = RemoteKeys(sys.argv[1])
flight = keys.look()
if flight is not None:  # the background may have been faster
    flight.wait(10)
assert keys.keys is not None
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    keys._asked_at = keys._due_at = float("-inf")
    first = keys.as_of
    keys.look()                       # starts the thread again in the child
    until = time.monotonic() + 10
    while keys.as_of == first and time.monotonic() < until:
        time.sleep(0.01)
    os.write(writer, b"renewed" if keys.as_of != first else b"not renewed")
    os._exit(0)
os.waitpid(child, 0)
print(os.read(reader, 100).decode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="prefork servers need fork")
def test_goes_on_in_a_forked_child_and_ends_in_silence(issuer: WireIssuer) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, issuer.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "renewed", "")


def test_what_nobody_holds_is_fetched_no_more(issuer: WireIssuer) -> None:
    from dojang.trust.background import BACKGROUND

    keys = RemoteKeys(issuer.url)
    settle(keys)
    assert keys in BACKGROUND._watched
    before = len(BACKGROUND._watched)
    del keys
    until = time.monotonic() + 10
    while len(BACKGROUND._watched) >= before and time.monotonic() < until:
        gc.collect()
    assert len(BACKGROUND._watched) < before


def test_an_origin_is_not_an_issuer(clock: SettableClock) -> None:
    with Origin() as nothing:
        keys = RemoteKeys(nothing.url, clock=clock)
        settle(keys)
        assert keys.keys is None
        assert keys.failed
