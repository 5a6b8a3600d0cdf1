"""Verifiers of one process that follow as one client follow together, and no others do."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dojang.jose.keys import KeySet, SigningKey
from dojang.oauth.revocation_fact import FactKind
from dojang.resource import (
    ClientSecretBasic,
    ClientSecretPost,
    Credentials,
    Expect,
    FeedState,
    FixedKeys,
    Follower,
    Hybrid,
    HybridVerifier,
    Introspection,
    Local,
    PrivateKeyJwt,
    Refusal,
    RefusalReason,
    WhenStale,
)
from dojang.resource import verifier as verifier_module
from dojang.testing import SettableClock
from dojang.trust.shared_followers import Contact, SharedFollowers
from tests.scripted_issuer import AUDIENCE, ScriptedIssuer

PATIENCE = 20  # seconds until a test gives up on something that does not happen


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedFollowers:
    """None of other tests."""
    found = SharedFollowers()
    monkeypatch.setattr(verifier_module, "SHARED_FOLLOWERS", found)
    return found


@pytest.fixture
def issuer() -> ScriptedIssuer:
    return ScriptedIssuer(clock=SettableClock())


@pytest.fixture
def verifiers(issuer: ScriptedIssuer) -> Iterator[list[HybridVerifier]]:
    """Three, and what each was built with is its own."""
    built = [build(issuer) for _ in range(3)]
    yield built
    for each in built:
        follower_of(each).close()


def secret() -> ClientSecretBasic:
    return ClientSecretBasic("orders", "secret")


def expect(issuer: ScriptedIssuer, **changes: Any) -> Expect:
    return Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"], **changes)


def build(issuer: ScriptedIssuer, **settings: Any) -> HybridVerifier:
    asking = {"credentials": secret(), "transport": issuer} | settings.pop("asking", {})
    local = settings.pop("local", None) or Local(transport=issuer)
    introspection = Introspection(**asking)
    return Hybrid(introspection=introspection, local=local, **settings).build(expect(issuer))


def follower_of(verifier: HybridVerifier) -> Follower:
    follower = verifier.follower
    assert follower is not None
    return follower


def until(happened: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


def follow(verifiers: list[HybridVerifier]) -> None:
    """Have all of them follow, until they are fresh."""
    for each in verifiers:
        each.ready()
    followers = [follower_of(each) for each in verifiers]
    until(lambda: all(each.status().state is FeedState.FRESH for each in followers))


@pytest.mark.proves("V3")
def test_verifiers_of_one_client_have_one_conversation_and_one_view(
    issuer: ScriptedIssuer, verifiers: list[HybridVerifier]
) -> None:
    issuer.revoke(FactKind.TOKEN, "before")
    follow(verifiers)
    assert len(issuer.joins) == 1
    assert issuer.count("/feed/snapshot") <= 2  # of one follower: for its keys, and to begin with
    assert len({id(follower_of(each).view) for each in verifiers}) == 1
    with pytest.raises(Refusal) as refusal:
        verifiers[2].verify(issuer.token(jti="before", rev=[1, 0]))
    assert refusal.value.reason is RefusalReason.REVOKED


@pytest.mark.proves("V3")
def test_each_takes_out_what_a_fact_ends_and_counts_for_itself(
    issuer: ScriptedIssuer, verifiers: list[HybridVerifier]
) -> None:
    follow(verifiers)
    token = issuer.token(jti="its-own")
    for number, each in enumerate(verifiers, 2):
        for _ in range(number):
            each.verify(token, staleness=60)
    issuer.revoke(FactKind.TOKEN, "its-own")
    until(lambda: follower_of(verifiers[0]).position == issuer.position)
    for each in verifiers:
        with pytest.raises(Refusal) as refusal:
            each.verify(token, staleness=60)
        assert refusal.value.reason is RefusalReason.REVOKED
    verifiers[1].verify(issuer.token(rev=None))
    statuses = [each.feed_status() for each in verifiers]
    assert [each and (each.decided, each.asked) for each in statuses] == [(2, 0), (3, 1), (4, 0)]


@pytest.mark.proves("V3", "C92")
def test_the_smallest_bound_of_all_is_in_force(issuer: ScriptedIssuer) -> None:
    wide, narrow, usual = (build(issuer, staleness=bound) for bound in (30, 0.3, 2))
    follow([wide])
    until(lambda: issuer.questions[-1]["hold"] == "100")
    narrow.need(0.15)
    until(lambda: issuer.questions[-1]["hold"] == "50")
    assert len({id(follower_of(each)) for each in (wide, narrow, usual)}) == 1
    follower_of(wide).close()


@dataclass(frozen=True)
class Signer:
    """Credentials of a service's own. Two are equal, whatever they sign with."""

    client_id: str = "orders"
    secret: str = field(default="secret", compare=False)

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        headers["Authorization"] = self.secret


class Likeness(ClientSecretBasic):
    """Says that it is every other client."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientSecretBasic)

    def __hash__(self) -> int:
        return 0


class Unhashable(Signer):
    # The way Python has it to be unhashable, which is no override that types allow.
    __hash__ = None  # type: ignore[assignment]


class Source:
    """Every source is like every other."""

    def token(self) -> str:
        return "token"

    async def token_async(self) -> str:
        return "token"

    def discard(self, token: str) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source)

    def __hash__(self) -> int:
        return 0


KEY, SIGNER, UNHASHABLE, SOURCE = SigningKey.generate("ES256"), Signer(), Unhashable(), Source()
DOOR = "http://127.0.0.1:8001"
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "secret": ({}, {"credentials": ClientSecretBasic("orders", "another")}),
    "client": ({}, {"credentials": ClientSecretBasic("payments", "secret")}),
    "way": ({}, {"credentials": ClientSecretPost("orders", "secret")}),
    "likeness": ({}, {"credentials": Likeness("orders", "another")}),
    "likenesses": (
        {"credentials": Likeness("orders", "secret")},
        {"credentials": Likeness("orders", "another")},
    ),
    "key": (
        {"credentials": PrivateKeyJwt("orders", KEY)},
        {"credentials": PrivateKeyJwt("orders", SigningKey.generate("ES256"))},
    ),
    "signer": ({"credentials": SIGNER}, {"credentials": Signer(secret="another")}),
    "source": (
        {"credentials": None, "source": SOURCE},
        {"credentials": None, "source": Source()},
    ),
    "source and secret": ({}, {"credentials": None, "source": SOURCE}),
    "door": ({}, {"fetch_from": DOOR}),
    "doors": ({"fetch_from": DOOR}, {"fetch_from": "http://127.0.0.1:8002"}),
    "transport": ({}, {"transport": ScriptedIssuer(clock=SettableClock())}),
    "clock": ({"clock": SettableClock()}, {"clock": SettableClock()}),
}
SAME: dict[str, dict[str, Any]] = {
    "secret": {},
    "posted": {"credentials": ClientSecretPost("orders", "secret")},
    "key": {"credentials": PrivateKeyJwt("orders", KEY)},
    "signer": {"credentials": SIGNER},
    "unhashable": {"credentials": UNHASHABLE},
    "source": {"credentials": None, "source": SOURCE},
    "door": {"fetch_from": DOOR},
}


@pytest.mark.proves("V3")
@pytest.mark.parametrize("one, other", OTHERS.values(), ids=OTHERS)
def test_whoever_differs_in_anything_follows_alone(
    issuer: ScriptedIssuer, one: dict[str, Any], other: dict[str, Any]
) -> None:
    verifiers = [build(issuer, asking=each) for each in (one, other, one, other)]
    # A clock of the caller's is always alone.
    alone = 4 if "clock" in one else 2
    assert len({id(follower_of(each)) for each in verifiers}) == alone


@pytest.mark.proves("V3")
@pytest.mark.parametrize("asking", SAME.values(), ids=SAME)
def test_whoever_is_the_same_follows_together(
    issuer: ScriptedIssuer, asking: dict[str, Any]
) -> None:
    credentials = asking.get("credentials")
    again = dict(asking)
    if isinstance(credentials, (ClientSecretPost, PrivateKeyJwt)):
        again["credentials"] = replace(credentials)
    one, other = build(issuer, asking=asking), build(issuer, asking=again)
    assert follower_of(one) is follower_of(other)


@pytest.mark.proves("V3")
def test_two_clients_prove_each_who_they_are(issuer: ScriptedIssuer) -> None:
    verifiers = [
        build(issuer, asking={"credentials": each})
        for each in (secret(), ClientSecretBasic("orders", "another"), secret())
    ]
    follow(verifiers)
    assert len({headers["Authorization"] for _, headers in issuer.joins}) == 2
    assert len(issuer.joins) == 2
    for each in verifiers:
        follower_of(each).close()


@pytest.mark.proves("V3")
def test_at_one_host_whoever_follows_the_same_socket_does_so_together(
    issuer: ScriptedIssuer,
) -> None:
    sockets = ["unix:/run/a.sock", "unix:/run/b.sock", "unix:/run/a.sock", True]
    # Who they are makes no difference behind a socket.
    one, other, again, straight = (
        build(issuer, follow=each, asking={"credentials": ClientSecretBasic("orders", str(number))})
        for number, each in enumerate(sockets)
    )
    assert follower_of(one) is follower_of(again)
    assert len({id(follower_of(each)) for each in (one, other, straight)}) == 3


@pytest.mark.proves("V3")
def test_a_follower_that_was_given_is_not_shared_with_others(issuer: ScriptedIssuer) -> None:
    given = Follower(issuer.url, credentials=secret(), transport=issuer)
    verifiers = [build(issuer, follow=each) for each in (given, True, given, False)]
    followers = [each.follower for each in verifiers]
    assert followers == [given, followers[1], given, None]
    assert followers[1] is not given


@pytest.mark.proves("V3")
def test_the_follower_goes_with_the_last_of_them(
    issuer: ScriptedIssuer, shared: SharedFollowers
) -> None:
    before = set(threading.enumerate())
    verifiers = [build(issuer) for _ in range(3)]
    follow(verifiers)
    assert len(shared) == 1
    del verifiers[:2]
    gc.collect()
    proven_at = follower_of(verifiers[0]).proof.at
    until(lambda: follower_of(verifiers[0]).proof.at > proven_at)
    verifiers.clear()
    gc.collect()
    until(lambda: not len(shared))
    until(lambda: not [each for each in find_threads() if each not in before])
    follow([build(issuer)])
    assert len(issuer.joins) == 2


def find_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "dojang-feed"]


def test_nothing_is_kept_of_those_that_went(
    issuer: ScriptedIssuer, shared: SharedFollowers
) -> None:
    for number in range(1000):
        credentials = ClientSecretBasic(f"client-{number}", "secret")
        verifier = build(issuer, asking={"credentials": credentials, "transport": None})
        assert len(shared) == 1
        del verifier
    gc.collect()
    assert len(shared) == 0


class Service(Source):
    """A source of tokens that holds the verifier it is for."""

    verifier: HybridVerifier | None = None


def test_a_source_that_holds_its_verifier_is_forgotten_with_it(
    issuer: ScriptedIssuer, shared: SharedFollowers
) -> None:
    service = Service()
    service.verifier = build(issuer, asking={"credentials": None, "source": service})
    assert len(shared) == 1
    del service
    gc.collect()
    assert len(shared) == 0


@pytest.mark.proves("V3")
def test_threads_that_build_at_once_get_one_follower(
    issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Follower.__init__

    def begin_slowly(self: Follower, *arguments: Any, **settings: Any) -> None:
        time.sleep(0.02)
        begin(self, *arguments, **settings)

    monkeypatch.setattr(Follower, "__init__", begin_slowly)
    together = threading.Barrier(16)
    built: list[HybridVerifier] = []

    def run() -> None:
        together.wait()
        built.append(build(issuer))

    threads = [threading.Thread(target=run) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({id(follower_of(each)) for each in built}) == 1


@pytest.mark.proves("V3")
def test_a_closed_follower_is_closed_for_all_and_given_to_nobody(issuer: ScriptedIssuer) -> None:
    verifiers = [build(issuer, when_stale=WhenStale.ASK) for _ in range(2)]
    follow(verifiers)
    follower_of(verifiers[0]).close()
    proven_at = follower_of(verifiers[1]).proof.at
    assert verifiers[1].ready()
    late = build(issuer)
    assert follower_of(late) is not follower_of(verifiers[1])
    follow([late])
    assert follower_of(verifiers[1]).proof.at == proven_at
    assert len(issuer.joins) == 2
    follower_of(late).close()


@pytest.mark.proves("C96")
def test_keys_of_one_that_are_given_by_hand_leave_the_others_theirs(issuer: ScriptedIssuer) -> None:
    kept = FixedKeys(KeySet([issuer.key.verifying_key()]))
    fixed = build(issuer, local=Local(keys=kept))
    remote = build(issuer)
    follow([fixed, remote])
    until(lambda: issuer.questions[-1].get("kids") == "access-1")
    second = SigningKey.generate("ES256", "access-2")
    issuer.published = [issuer.key, second]
    issuer.keys_digest = "keys-2"
    token = issuer.token(key=second)
    asked = len(issuer.questions)
    until(lambda: len(issuer.questions) > asked + 2)
    assert remote.verify(token).client_id == "machine"
    with pytest.raises(Refusal):
        fixed.verify(token)
    assert issuer.questions[-1]["kids"] == "access-1"
    del fixed
    gc.collect()
    until(lambda: issuer.questions[-1]["kids"] == "access-1 access-2")
    follower_of(remote).close()


@pytest.mark.proves("C117")
def test_whom_to_follow_shows_no_secret() -> None:
    @dataclass(frozen=True)
    class Talkative(Signer):
        secret: str = "a-secret"

    credentials: Credentials = Talkative()
    contact = Contact(issuer="https://issuer.test", credentials=credentials)
    assert "a-secret" in repr(credentials)
    assert "a-secret" not in f"{contact!r} {contact}"
    assert "a-secret" not in repr(SharedFollowers().find(contact))


SCRIPT = """
import os, signal, sys, time
from dojang.resource import ClientSecretBasic, Expect, Hybrid, Introspection, Local
from dojang.testing import SettableClock
from dojang.trust.shared_followers import SHARED_FOLLOWERS
from tests.scripted_issuer import AUDIENCE, ScriptedIssuer

def until(happened):
    ends = time.monotonic() + 15
    while not happened():
        if time.monotonic() > ends:
            os._exit(2)
        time.sleep(0.005)

def build():
    asking = Introspection(credentials=ClientSecretBasic("a", "b"), transport=issuer)
    expect = Expect(issuer=issuer.url, audience=AUDIENCE, algorithms=["ES256"])
    return Hybrid(introspection=asking, local=Local(transport=issuer)).build(expect)

issuer = ScriptedIssuer(clock=SettableClock())
before = build()
before.follower.look()
until(lambda: before.follower.status().age is not None)
lock = SHARED_FOLLOWERS._lock
lock.acquire()                         # as by a thread that builds while another one forks
child = os.fork()
if child:
    lock.release()
proven_at = before.follower.proof.at
if child == 0:
    signal.alarm(8)
    after = build()                    # its own copy of the issuer
    if after.follower is not before.follower:
        os._exit(4)
    after.follower.look()
    until(lambda: before.follower.proof.at > proven_at)
    os._exit(0 if len(issuer.joins) == 2 else 3)  # as a follower of its own
until(lambda: before.follower.proof.at > proven_at)
_, status = os.waitpid(child, 0)
before.follower.close()
sys.exit(os.waitstatus_to_exitcode(status) or len(issuer.joins) != 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.proves("V3")
def test_verifiers_of_a_forked_child_share_a_follower_of_its_own() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path.cwd(),
    )
    assert (run.returncode, run.stderr) == (0, "")
