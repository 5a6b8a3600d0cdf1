"""One process of a host follows for all: what the others know, and how old they think it is."""

import asyncio
import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dojang.fetch import FetchRequest, FetchResponse
from dojang.jose import base64url
from dojang.jose.keys import KeySet, SigningKey
from dojang.oauth.feed import Record, Tagger, parse_answer
from dojang.oauth.http import Request
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.resource.relay_leases import LONGEST_SILENCE
from dojang.testing import SettableClock
from dojang.trust import chunk_files, feed_archive, revocation_table, settled_facts
from dojang.trust.feed_exchange import BASE_PAUSE, NEVER
from dojang.trust.feed_status import FeedState
from dojang.trust.follower import FORGET_EVERY, Follower
from dojang.trust.relay_door import CLOCK_HEADER, PROVEN_AT_HEADER, parse_relay
from dojang.trust.remote_keys import FixedKeys
from tests.resource.relay_host import FORM, RelayHost, Straight
from tests.scripted_issuer import VIEW_KEY, ScriptedIssuer, Wire, feed_key

TAGGER = Tagger(VIEW_KEY)


def knows(follower: Follower, name: str) -> bool:
    view = follower.view
    assert view is not None
    marks = view.mark(Rev(0, 0), {"jti": name})
    return view.find_killer(marks) is FactKind.TOKEN


def find_mapped(host: RelayHost) -> set[str]:
    """The names of the chunks that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = [line.partition(str(host.directory))[2] for line in lines]
    return {path.strip("/").partition(" ")[0] for path in paths if path}


class Holding:
    """A verifier that holds these keys for access tokens."""

    def __init__(self, follower: Follower, *keys: SigningKey) -> None:
        self.keys = FixedKeys(KeySet([key.verifying_key() for key in keys]))
        follower.watch(self)

    def evict(self, records: Sequence[Record]) -> None:
        pass

    def evict_all(self) -> None:
        pass


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def issuer(clock: SettableClock) -> ScriptedIssuer:
    return ScriptedIssuer(clock=clock)


@pytest.fixture
def host(issuer: ScriptedIssuer, clock: SettableClock, tmp_path: Path) -> RelayHost:
    issuer.revoke(FactKind.TOKEN, "before")
    host = RelayHost(issuer, tmp_path, clock=clock)
    host.poll()
    return host


@pytest.mark.proves("V3")
def test_everybody_knows_what_the_relay_knows(host: RelayHost, issuer: ScriptedIssuer) -> None:
    first, second = host.join(), host.join()
    for follower in (first, second):
        assert follower.poll().state is FeedState.FRESH
        assert knows(follower, "before")
    asked = len(issuer.requests)
    issuer.revoke(FactKind.TOKEN, "after")
    host.poll()
    for follower in (first, second):
        assert not knows(follower, "after")
        assert follower.poll().position == Rev(1, 2)
        assert knows(follower, "after")
    assert len(issuer.requests) == asked + 1
    assert not any(path == "/introspect" for _, path in issuer.requests)


@pytest.mark.proves("C92", "F6")
def test_a_view_is_as_old_as_the_relays_own(host: RelayHost, clock: SettableClock) -> None:
    follower = host.join()
    proven_at = host.follower.proof.at
    clock.move(30)
    status = follower.poll()
    assert follower.proof.at == proven_at
    assert (status.age, status.state) == (30, FeedState.STALE)
    host.poll()
    assert follower.poll().age == 0


@pytest.mark.proves("C92", "F6")
def test_a_view_is_no_younger_than_its_own_question(host: RelayHost, clock: SettableClock) -> None:
    follower = host.join()
    follower.poll()
    clock.move(1)
    asked_at = clock.monotonic()

    def take_long() -> None:
        clock.move(5)
        host.poll()

    host.on_question = take_long
    follower.poll()
    assert follower.proof.at == asked_at < host.follower.proof.at


@pytest.mark.proves("C92", "F6")
def test_while_the_issuer_is_away_every_view_grows_old(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    follower = host.join()
    follower.poll()
    issuer.down = True
    for _ in range(3):
        clock.move(1)
        host.poll()
        follower.poll()
    assert follower.status().age == 3
    assert follower.status().state is FeedState.STALE
    issuer.down = False
    host.poll()
    assert follower.poll().state is FeedState.FRESH


@pytest.mark.proves("F15")
def test_nobody_is_fresh_when_the_issuer_went_back(host: RelayHost, issuer: ScriptedIssuer) -> None:
    follower = host.join()
    follower.poll()
    issuer.go_back(0)
    host.poll()
    assert host.follower.status().state is FeedState.WENT_BACK
    follower.poll()
    assert follower.proof.at == NEVER
    assert knows(follower, "before")


@pytest.mark.proves("F15")
def test_what_a_process_saw_signed_reaches_the_issuer(
    host: RelayHost, issuer: ScriptedIssuer
) -> None:
    follower = host.join()
    follower.poll()
    issuer.revoke(FactKind.TOKEN, "lost")
    host.poll()
    follower.poll()
    issuer.go_back(1)
    host.start()
    host.poll()
    follower.poll()  # that its lease has ended
    assert follower.poll().state is FeedState.WENT_BACK
    follower.poll()
    host.poll()
    assert issuer.questions[-1]["witness"] == follower.exchange.feed.witness
    assert knows(follower, "lost")


def test_a_relay_that_comes_back_is_followed_on(host: RelayHost, issuer: ScriptedIssuer) -> None:
    follower = host.join()
    issuer.revoke(FactKind.TOKEN, "second")
    host.poll()
    follower.poll()
    host.down = True
    assert follower.poll().failure is not None
    for name in ("third", "fourth"):
        issuer.revoke(FactKind.TOKEN, name)
    host.start()  # its snapshot is ahead of where the process is, and no page it has leads there
    host.poll()
    host.down = False
    while (status := follower.poll()).state is not FeedState.FRESH or status.failure:
        pass
    assert knows(follower, "fourth")
    assert host.asked.count("/feed/join") == 2
    assert [asked["head"] for asked in issuer.questions[-2:]] == ["4", "2"]


def test_a_process_ahead_of_the_relay_does_not_go_back(
    host: RelayHost, issuer: ScriptedIssuer
) -> None:
    follower = host.join()
    follower.poll()
    issuer.revoke(FactKind.TOKEN, "second")
    behind = host.follower, host.relay
    host.start()
    host.poll()
    follower.exchange.leave()
    follower.poll()
    host.follower, host.relay = behind
    while (status := follower.poll()).failure:
        pass
    assert status.state is FeedState.FRESH
    assert follower.position == Rev(1, 2) > host.follower.position


def test_a_new_epoch_is_taken_up_through_the_relay(host: RelayHost, issuer: ScriptedIssuer) -> None:
    follower = host.join()
    follower.poll()
    issuer.begin_epoch()
    host.poll()
    status = follower.poll()
    assert status.position == Rev(2, 2)
    assert knows(follower, "before")


@pytest.mark.proves("F3")
def test_the_issuer_hears_of_keys_that_everybody_holds(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    one, two, three = (SigningKey.generate("ES256", f"access-{name}") for name in ("x", "y", "z"))
    assert issuer.questions[-1]["kids"] == issuer.key.kid  # its own: nobody is there
    first, second = host.join(), host.join()
    holding = [Holding(first, one, two), Holding(second, two, three)]
    first.poll()
    host.poll()
    assert issuer.questions[-1]["kids"] == f"{one.kid} {two.kid}"
    second.poll()
    host.poll()
    assert issuer.questions[-1]["kids"] == two.kid
    holding[1].keys.keys = None
    second.poll()
    host.poll()
    assert "kids" not in issuer.questions[-1]
    clock.move(LONGEST_SILENCE + 1)
    host.poll()
    assert issuer.questions[-1]["kids"] == issuer.key.kid


@pytest.mark.proves("C91")
@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "a pipe"])
def test_a_chunk_that_is_not_what_was_signed_is_not_used(host: RelayHost, damage: str) -> None:
    (chunk,) = host.directory.glob("*.chunk")
    octets = chunk.read_bytes()
    chunk.unlink()
    if damage == "changed":
        chunk.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    elif damage == "cut":
        chunk.write_bytes(b"")
    elif damage == "a pipe":
        os.mkfifo(chunk)
    follower = host.join()
    assert follower.poll().failure is not None
    assert follower.view is None
    assert follower.proof.at == NEVER


def test_all_map_one_copy_and_keep_to_it(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    (chunk,) = host.directory.glob("*.chunk")
    assert chunk.stat().st_mode & 0o777 == 0o640
    follower = host.join()
    follower.poll()
    assert find_mapped(host) == {chunk.name}
    for number in range(3):
        issuer.revoke(FactKind.TOKEN, f"later-{number}", life=60)
    clock.move(FORGET_EVERY + 120)
    host.poll()
    status = follower.poll()
    assert status.facts == 1
    assert find_mapped(host) == {chunk.name}
    assert knows(follower, "before")
    assert not knows(follower, "later-1")


def test_all_move_to_a_later_snapshot(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_archive, "BASE_BYTES", 1)
    (before,) = host.directory.glob("*.chunk")
    follower, late = host.join(), host.join()
    follower.poll()
    late.poll()
    for number in range(5):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
        host.poll()
        follower.poll()
    clock.move(BASE_PAUSE + 1)
    host.poll()
    base = host.relay.relaying.archive.base
    assert base is not None
    (after,) = (f"{digest.hex()}.chunk" for digest in base.chunks)
    assert base.place.rev == Rev(1, 6)
    clock.move(BASE_PAUSE + 1)
    follower.poll()  # that its lease has ended
    assert follower.poll().facts == 6
    assert find_mapped(host) == {before.name, after}
    late.poll()
    assert late.poll().position == Rev(1, 6)
    assert find_mapped(host) == {after}
    assert not before.exists()
    for each in (follower, late, host.join()):
        each.poll()
        assert knows(each, "before")
        assert all(knows(each, f"jti-{number}") for number in range(5))


@pytest.mark.proves("F15", "C91")
@pytest.mark.parametrize("lies", [False, True])
def test_a_snapshot_of_another_history_takes_no_place(
    host: RelayHost, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch, *, lies: bool
) -> None:
    issuer.revoke(FactKind.TOKEN, "second")
    host.poll()
    monkeypatch.setattr(feed_archive, "BASE_BYTES", 1)
    facts, digests = list(issuer.facts), list(issuer.digests)

    def fork(response: FetchResponse) -> FetchResponse:
        """The question is answered of one history, and the snapshot that follows of another."""
        issuer.go_back(0)
        issuer.revoke(FactKind.TOKEN, "other")
        issuer.revoke(FactKind.TOKEN, "another")
        issuer.change_response = come_back
        return response

    def come_back(response: FetchResponse) -> FetchResponse:
        """And what leads on from there is a page that does not begin there."""
        if lies and b"manifest" not in response.body:
            issuer.facts, issuer.digests = facts, digests
            page = issuer.page(2, 2)
            issuer.change_answer = lambda answer: answer._replace(snapshot=False, pages=(page,))
        return response

    issuer.change_response = fork
    host.poll()
    assert issuer.count("/feed/snapshot") == 2
    assert knows(host.follower, "before")
    assert not knows(host.follower, "other")


@pytest.mark.proves("C92")
def test_a_relay_with_another_clock_is_not_believed(host: RelayHost) -> None:
    def change(response: FetchResponse) -> FetchResponse:
        headers = dict(response.headers)
        if CLOCK_HEADER in headers:
            headers[CLOCK_HEADER] = "86400.0"
        return response._replace(headers=headers)

    host.change = change
    follower = host.join()
    assert "clock" in (follower.poll().failure or "")
    assert follower.proof.at == NEVER


@pytest.mark.proves("C92")
@pytest.mark.parametrize("told", [None, "", "soon", "nan", "inf", "-inf"])
def test_an_answer_that_names_no_moment_proves_nothing(host: RelayHost, told: str | None) -> None:
    def change(response: FetchResponse) -> FetchResponse:
        headers = dict(response.headers)
        if headers.pop(PROVEN_AT_HEADER, None) is not None and told is not None:
            headers[PROVEN_AT_HEADER] = told
        return response._replace(headers=headers)

    host.change = change
    follower = host.join()
    assert follower.poll().failure is not None
    assert follower.proof.at == NEVER


def test_keys_of_the_feed_change_for_all(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    follower = host.join()
    follower.poll()
    issuer.feed_keys = [feed_key(2), feed_key(3)]
    issuer.lease = "dojang_fl_2"
    issuer.revoke(FactKind.TOKEN, "by the second key")
    for _ in range(3):
        clock.move(BASE_PAUSE + 1)
        host.poll()
        follower.poll()
    assert knows(follower, "by the second key")
    issuer.feed_keys = [feed_key(3), feed_key(4)]
    issuer.lease = "dojang_fl_3"
    issuer.revoke(FactKind.TOKEN, "by the third key")
    for _ in range(3):
        clock.move(BASE_PAUSE + 1)
        host.poll()
        follower.poll()
    assert knows(follower, "by the third key")
    newcomer = host.join()
    newcomer.poll()
    assert knows(newcomer, "by the third key")


def test_an_issuer_without_a_feed_has_none_through_the_relay(
    issuer: ScriptedIssuer, clock: SettableClock, tmp_path: Path
) -> None:
    issuer.offered = False
    host = RelayHost(issuer, tmp_path, clock=clock)
    follower = host.join()
    assert follower.poll().failure is not None  # not known yet
    host.poll()
    follower.poll()
    assert not follower.offered


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("POST", "/feed/join", b"", 400),
        ("POST", "/feed/join", b"name=a%00", 400),
        ("POST", "/feed/join", b"name=a", 200),
        ("POST", "/feed", b"nonce=short", 400),
        (
            "POST",
            "/feed",
            b"nonce=" + b"n" * 22 + b"&epoch=1&head=0&hold=0&digest=" + b"A" * 43,
            401,
        ),
        ("GET", "/feed/snapshot", b"", 401),
        ("GET", "/status", b"", 200),
    ],
)
def test_what_is_asked_amiss_is_refused(
    host: RelayHost, method: str, path: str, body: bytes, status: int
) -> None:
    headers = {FORM[0].decode(): FORM[1].decode(), "authorization": "Bearer dojang_fl_guess"}
    assert host.ask(method, path, body, headers).status == status


def test_the_relay_says_how_it_stands(host: RelayHost) -> None:
    host.join().poll()
    status = json.loads(host.ask("GET", "/status", b"", {}).body)
    assert (status["state"], status["position"], status["facts"]) == ("fresh", [1, 1], 1)
    assert len(status["processes"]) == 1
    assert "dojang_fl" not in json.dumps(status)


@pytest.mark.proves("F6")
def test_other_work_goes_on_while_a_snapshot_is_loaded(
    issuer: ScriptedIssuer, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled_facts, "MOST_FEW", 10)
    monkeypatch.setattr(revocation_table, "ROWS_OF_A_SHARD", 1)
    for number in range(100):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
    host = RelayHost(issuer, tmp_path, clock=clock)
    host.poll()
    turns, turns_at_chunk = 0, []

    def note(chunk: bytes) -> object:
        turns_at_chunk.append(turns)
        return sha256(chunk)

    class InThreads:
        async def send(self, request: FetchRequest) -> FetchResponse:
            return await asyncio.to_thread(host.send, request)

    async def run() -> None:
        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.get_running_loop().create_task(turn())
        follower = host.join()
        while follower.view is None:
            await follower.ask_async(InThreads())
        turning.cancel()

    monkeypatch.setattr(chunk_files, "sha256", note)
    asyncio.run(run())
    assert len(turns_at_chunk) > 50
    assert len(set(turns_at_chunk)) == len(turns_at_chunk)


@pytest.mark.parametrize("address", ["", "unix:", "unix:follow.sock", "/run/follow.sock"])
def test_a_relay_is_named_by_an_absolute_path(address: str) -> None:
    with pytest.raises(ValueError, match="unix:/path"):
        parse_relay(address)


@pytest.mark.proves("V3")
def test_a_relay_is_told_by_answers_which_all_can_be_told(
    host: RelayHost, issuer: ScriptedIssuer
) -> None:
    """Notices end nothing for others: they have to see what is signed."""
    issuer.hold = lambda held: pytest.fail("it takes notices")
    process = host.join()
    process.poll()
    for number in range(3):
        issuer.revoke(FactKind.TOKEN, f"jti-{number}")
        host.follower.ask(Wire(issuer))
        host.relay.tell()
        process.ask(Wire(host))
        assert knows(process, f"jti-{number}")
        assert process.position == host.follower.position == issuer.position
    assert not any("heard" in question for question in issuer.questions)
    assert issuer.questions[-1]["hold"] == "500"
    assert process.status().failures == host.follower.status().failures == 0


@pytest.mark.proves("V3")
def test_news_wakes_every_process_that_waits(
    host: RelayHost, issuer: ScriptedIssuer, clock: SettableClock
) -> None:
    process = host.join()
    process.poll()
    lease = process.exchange._lease
    assert lease is not None
    place = process.exchange.feed.place
    question = {
        "nonce": "n" * 32,
        "epoch": place.rev.epoch,
        "head": place.rev.number,
        "heard": place.rev.number,  # as one over a socket says
        "digest": base64url.encode(place.digest),
        "hold": 20_000,
    }
    headers = (FORM, (b"authorization", f"Bearer {lease.lease}".encode()))
    request = Request("POST", "/feed", b"", headers, urlencode(question).encode(), "unix")

    async def wait_for_news() -> bytes:
        asked = asyncio.create_task(host.relay.question(request))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not asked.done()
        issuer.revoke(FactKind.TOKEN, "news")
        await host.follower.ask_async(Straight(issuer))
        host.relay.tell()
        return (await asyncio.wait_for(asked, 10)).body

    answer = parse_answer(asyncio.run(wait_for_news()))
    assert (answer.rev, len(answer.pages)) == (issuer.position, 1)
