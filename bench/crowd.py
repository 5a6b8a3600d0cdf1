"""Watchers in processes of their own, told over a pipe what to watch for and asked what they saw.

A process has one watcher or many, as a service has one verifier or many. They share a follower, one
lease, one conversation and one view, as verifiers do; or each has a follower apart, with all of
these its own. What is timed is the moment at which a view refuses a token: every watcher, which is
told when the view knows, looks the token up there and then. Nobody polls.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Event
from typing import Any, NamedTuple

from bench.machine import BenchBroken
from dojang.clock import SYSTEM_CLOCK
from dojang.jose.keys import KeySet
from dojang.oauth.feed import Record
from dojang.oauth.revocation_fact import FactKind, Rev
from dojang.trust.credentials import ClientSecretBasic
from dojang.trust.follower import Follower
from dojang.trust.marks import Marks
from dojang.trust.remote_keys import FixedKeys, KeySource
from dojang.trust.shared_followers import SHARED_FOLLOWERS, Contact

ANSWER_LIMIT = 120.0  # seconds
LOOK_EVERY = 0.02
now = SYSTEM_CLOCK.monotonic
STAGGER = 0.002  # seconds between the first questions of one process


class Place(NamedTuple):
    """Where to follow, and as whom."""

    issuer: str
    client_id: str
    secret: str


class Seen(NamedTuple):
    """What the watchers of one process saw. `refused` has, for each watcher, the moment
    (nanoseconds, monotonic) at which it began to refuse each token, by the token's place."""

    refused: list[dict[int, int]]
    processor: float  # seconds since the last `watch_for`
    questions: int
    failures: int
    facts: int


class _Witness:
    """Stands where a verifier stands and notes when its tokens die."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.keys: KeySource = FixedKeys(KeySet([]))
        self.refused: dict[int, int] = {}
        self._expected: dict[bytes, tuple[int, Marks]] = {}
        self._find_killer: Callable[[Marks], FactKind | None] | None = None
        follower.watch(self)

    def expect(self, tokens: Sequence[Mapping[str, Any]]) -> None:
        view = self.follower.view
        if view is None:
            raise BenchBroken("a follower without a view was asked to watch")
        self.refused = {}
        self._expected = {}
        self._find_killer = view.find_killer
        for place, claims in enumerate(tokens):
            marks = view.mark(Rev(*claims["rev"]), claims)
            if marks.token is None or view.find_killer(marks) is not None:
                raise BenchBroken("a token that is to be revoked does not live")
            self._expected[marks.token] = place, marks

    def evict(self, records: Sequence[Record]) -> None:
        for _, tag, _ in records:
            expected = self._expected.pop(tag, None)  # a page tells it again
            if expected is None or self._find_killer is None:
                continue
            place, marks = expected
            if self._find_killer(marks) is FactKind.TOKEN:
                self.refused[place] = time.monotonic_ns()

    def evict_all(self) -> None:
        """Nothing is timed by a snapshot."""


class Crowd:
    """The parent's end: processes with `each` watchers, who share a follower or have one `apart`,
    all of them fresh."""

    def __init__(
        self, processes: Sequence[tuple[Any, Connection]], *, each: int, apart: bool
    ) -> None:
        self._processes = processes
        self.each = each
        self.followers_each = each if apart else 1

    def __len__(self) -> int:
        return len(self._processes) * self.each

    @property
    def followers(self) -> int:
        """How many conversations there are."""
        return len(self._processes) * self.followers_each

    @property
    def processes(self) -> int:
        return len(self._processes)

    def watch_for(self, tokens: Sequence[Mapping[str, Any]]) -> None:
        """Time the end of these tokens (claims), and count processor time from now on."""
        self._ask("watch", list(tokens))

    def report(self) -> list[Seen]:
        """What each process saw."""
        return [Seen(*answer) for answer in self._ask("report", None)]

    def wait_until_fresh(self, since: float) -> float:
        """When the last view is proven by a question that left after `since` (seconds, boot
        clock)."""
        return max(self._ask("fresh", since))

    def signal(self, number: int) -> None:
        """Send a signal to every process."""
        for process, _ in self._processes:
            os.kill(process.pid, number)

    def ages(self) -> list[float]:
        """The age of every watcher's view, in seconds."""
        return [age for ages in self._ask("ages", None) for age in ages]

    def _ask(self, what: str, value: object) -> list[Any]:
        for _, pipe in self._processes:
            pipe.send((what, value))
        return [_receive(pipe) for _, pipe in self._processes]


@contextmanager
def gather(place: Place, *, processes: int, each: int = 1, apart: bool = False) -> Iterator[Crowd]:
    """`processes` × `each` watchers of `place`, fresh. Raises `BenchBroken`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.crowd"])
    started: list[tuple[Any, Connection]] = []
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, place, each, apart), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        for _, pipe in started:
            _receive(pipe)
        yield Crowd(started, each=each, apart=apart)
    finally:
        for process, pipe in started:
            pipe.close()
            process.terminate()
        for process, _ in started:
            process.join(10)


def _receive(pipe: Connection) -> Any:
    if not pipe.poll(ANSWER_LIMIT):
        raise BenchBroken("a process of followers says nothing")
    try:
        answer = pipe.recv()
    except EOFError:
        raise BenchBroken("a process of followers ended") from None
    if isinstance(answer, str):
        raise BenchBroken(answer)
    return answer


def _find_follower(place: Place, *, apart: bool) -> Follower:
    """As a verifier does that is built with these credentials; or always a new one."""
    credentials = ClientSecretBasic(place.client_id, place.secret)
    if apart:
        return Follower(place.issuer, credentials=credentials)
    return SHARED_FOLLOWERS.find(Contact(issuer=place.issuer, credentials=credentials))


def _serve(pipe: Connection, place: Place, each: int, apart: bool) -> None:
    witnesses = []
    for _ in range(each):
        witnesses.append(_Witness(_find_follower(place, apart=apart)))
        witnesses[-1].follower.look()
        time.sleep(STAGGER)
    began = 0.0
    try:
        _wait_until_fresh(witnesses, now())
        pipe.send(True)
        while True:
            what, value = pipe.recv()
            if what == "watch":
                for witness in witnesses:
                    witness.expect(value)
                began = time.process_time()
                pipe.send(True)
            elif what == "report":
                pipe.send(tuple(_report(witnesses, time.process_time() - began)))
            elif what == "ages":
                pipe.send([now() - witness.follower.proof.at for witness in witnesses])
            else:
                pipe.send(_wait_until_fresh(witnesses, value))
    except EOFError:
        return
    except BenchBroken as error:
        pipe.send(str(error))


def _report(witnesses: Sequence[_Witness], processor: float) -> Seen:
    followers = {id(witness.follower): witness.follower for witness in witnesses}
    statuses = [follower.status() for follower in followers.values()]
    return Seen(
        [witness.refused for witness in witnesses],
        processor,
        sum(status.questions for status in statuses),
        sum(status.failures for status in statuses),
        sum(status.facts for status in statuses),
    )


def _wait_until_fresh(witnesses: Sequence[_Witness], since: float) -> float:
    """The moment at which the last was seen with a proof of a question that left after `since`."""
    pause, end = Event(), now() + ANSWER_LIMIT / 2
    for witness in witnesses:
        while witness.follower.proof.at < since:
            if now() > end:
                status = witness.follower.status()
                raise BenchBroken(f"a follower stays {status.state}: {status.failure}")
            pause.wait(LOOK_EVERY)
    return now()
