"""Those who are told of facts while their questions are held: each fact in one line, made once for
all of them but for its proof, and one question more for it, of somebody who has it signed.

One fact is told at once. Of a stream of them each line takes several: what a line costs those who
read it is not to grow into what they have for their own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from dojang.oauth.feed import MOST_RECORDS
from dojang.oauth.feed_notices import (
    MEDIA_TYPE,
    MOST_NOTICE_BYTES,
    build_line,
    build_notice,
)
from dojang.oauth.http import NO_STORE
from dojang.oauth.revocation_fact import Rev
from dojang.trust.feed_holds import Holds

if TYPE_CHECKING:
    from hashlib import blake2b

    from dojang.oauth.http import Channel
    from dojang.server.fact_log import FactLog, LoggedFact
    from dojang.server.state import State

MOST_TOLD: Final = 4 * MOST_RECORDS  # facts at once; who lacks more is answered
TOLD_IN_A_TURN: Final = 16
EASY_RATE: Final = 100.0  # facts a second that are told one by one
MOST_EASY: Final = 64  # facts
GATHERING: Final = 0.1  # seconds from one line to the next, of a dense stream
SIGNED_WITHIN: Final = 0.25  # seconds, until one of those who were told is answered

# Buffering servers between (nginx) are asked to pass parts on as they come.
HEADERS: Final = (
    (b"content-type", MEDIA_TYPE.encode()),
    *NO_STORE,
    (b"x-accel-buffering", b"no"),
)


class Listener:
    """A held question that is told of facts, each with a proof that begins as `proofs` do. `begun`
    says that it was, `ended` that it is to be answered."""

    __slots__ = ("_channel", "_left", "_proofs", "begun", "ended")

    def __init__(self, channel: Channel, proofs: blake2b) -> None:
        self.begun = self.ended = False
        self._channel = channel
        self._proofs = proofs
        self._left = MOST_NOTICE_BYTES

    def tell(self, notices: Sequence[bytes]) -> bool:
        """Whether it can be told more."""
        if self.ended:
            return False
        lines = b"".join(build_line(notice, self._proofs) + b"\n" for notice in notices)
        self._channel.send(HEADERS, lines)
        self.begun = True
        self._left -= len(lines)
        return self._left > 0


class Notices:
    """The listeners of one node. All of them have been told of the facts up to one position.
    `move_shared_end` has those who are answered next answered with all that is known."""

    def __init__(
        self,
        state: State,
        monotonic: Callable[[], float],
        move_shared_end: Callable[[], None],
    ) -> None:
        self._state = state
        self._monotonic = monotonic
        self._move_shared_end = move_shared_end
        self._holds = Holds()
        self._listeners: dict[str, Listener] = {}
        self._told = Rev(0, 0)
        self._easy = float(MOST_EASY)
        self._counted_at = 0.0
        self._later: asyncio.TimerHandle | None = None
        self._signing: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._holds)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which somebody listens."""
        return self._holds.loop

    async def listen(
        self, follower_id: str, listener: Listener, heard: int, *, seconds: float
    ) -> None:
        """Tell `listener` of the facts after `heard`, then of later ones, for `seconds` or until
        it is to be answered."""
        log = self._state.facts
        end, _ = log.last
        if not self._listeners:
            self._told = end
        missed = find_facts(log, Rev(end.epoch, heard))
        if missed is None or (missed and not listener.tell(_build_notices(missed))):
            return
        self._listeners[follower_id] = listener
        if missed:
            self._have_signed_soon()
        try:
            await self._holds.wait(follower_id, seconds)
        finally:
            listener.ended = True
            if self._listeners.get(follower_id) is listener:
                del self._listeners[follower_id]

    def tell(self) -> None:
        """Tell all of what they have not heard of, now or soon."""
        log = self._state.facts
        if not self._listeners or self._told == log.last[0]:
            return
        facts = find_facts(log, self._told)
        if facts is None:
            self.release()
        elif self._is_time(len(facts)):
            self._told = log.last[0]
            _tell_in_turns(iter(list(self._listeners.items())), _build_notices(facts), self.wake)
            self._have_signed_soon()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(GATHERING, self._tell_late)

    def wake(self, follower_id: str) -> None:
        """Answer one, with all that is known."""
        if follower_id in self._listeners:
            self._move_shared_end()
            self._holds.wake(follower_id)

    def release(self) -> None:
        """Answer all of them."""
        self._listeners = {}
        self._move_shared_end()
        self._holds.release()

    def close(self) -> None:
        """Answer all of them, and let nobody listen from now on."""
        self.release()
        self._holds.close()
        for timer in (self._later, self._signing):
            if timer is not None:
                timer.cancel()

    def _have_signed_soon(self) -> None:
        """What was told is to be signed in somebody's hand, who can show it to a server that has
        lost it."""
        if self._signing is None:
            loop = asyncio.get_running_loop()
            self._signing = loop.call_later(SIGNED_WITHIN, self._have_signed)

    def _have_signed(self) -> None:
        """Answer who waits the longest."""
        self._signing = None
        longest = next(iter(self._listeners), None)
        if longest is not None:
            self.wake(longest)

    def _tell_late(self) -> None:
        self._later = None
        self._easy = max(self._easy, 1.0)
        self.tell()

    def _is_time(self, facts: int) -> bool:
        """Whether to tell so many facts now."""
        if self._later is not None:
            return False
        now = self._monotonic()
        self._easy = min(MOST_EASY, self._easy + (now - self._counted_at) * EASY_RATE)
        self._counted_at = now
        if self._easy < 1.0:
            return False
        self._easy = max(0.0, self._easy - facts)
        return True


def find_facts(log: FactLog, after: Rev) -> Sequence[LoggedFact] | None:
    """The facts after a position; None where they are too many to be told, or not known here."""
    end, _ = log.last
    digest = log.digest_at(after)
    if digest is None or end.number - after.number > MOST_TOLD:
        return None
    return log.find_after(after, digest)


def _build_notices(facts: Sequence[LoggedFact]) -> list[bytes]:
    return [
        build_notice(
            facts[begin].rev, (fact.record for fact in facts[begin : begin + MOST_RECORDS])
        )
        for begin in range(0, len(facts), MOST_RECORDS)
    ]


def _tell_in_turns(
    listeners: Iterator[tuple[str, Listener]],
    notices: Sequence[bytes],
    end: Callable[[str], None],
) -> None:
    """A few in each turn of the loop: the first lines leave while the others are made, and who asks
    for something else waits for none of it."""
    told = None
    for told in islice(listeners, TOLD_IN_A_TURN):
        if not told[1].ended and not told[1].tell(notices):
            end(told[0])
    if told is not None:
        asyncio.get_running_loop().call_soon(_tell_in_turns, listeners, notices, end)
