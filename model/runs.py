"""What is asked of the model: configurations that must hold, and weakened ones that must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SAFETY: Final = "S1 S2 S3 S4 L2"
LIVENESS: Final = {"fresh": "L1", "welcome": "L2"}


@dataclass(frozen=True, slots=True)
class Run:
    """One search. `switches` configure the model; `claim` names the formula that must hold at last,
    where there is one. `breaks` are the properties of which one must fail; none for a whole design.
    """

    name: str
    switches: str = ""
    claim: str = ""
    breaks: str = ""
    quick: bool = False

    @property
    def properties(self) -> str:
        """Which of them the run is about."""
        return self.breaks or LIVENESS.get(self.claim, SAFETY)

    @property
    def definitions(self) -> list[str]:
        """`switches` as spin takes them."""
        named = [*self.switches.split(), *(["CALM"] if self.claim else [])]
        return [f"-D{each}" for each in named]


_FORK: Final = "PUT_BACK UNNOTED EPOCHS=0"

WHOLE: Final = (
    Run("nothing happens", quick=True),
    Run("two tokens", "TOKENS=2 REVOCATIONS=1"),
    Run("a bound of two ticks", "BOUND=2"),
    Run("a bad channel", "CHANNEL SLOTS=2"),
    Run("crashes", "CRASH"),
    Run("two nodes", "NODES=2"),
    Run("a restore", "RESTORE"),
    Run("two restores", "RESTORE EPOCHS=2 REVOCATIONS=1"),
    Run("a restore, a bad channel", "RESTORE CHANNEL REVOCATIONS=1", quick=True),
    Run("a lossless failover", "PROMOTE"),
    Run("an old database", "PUT_BACK EPOCHS=0"),
    Run("an old database, mended", "PUT_BACK REVOCATIONS=1"),
    Run("an old database, unnoted", _FORK),
    Run("the same, mended", "PUT_BACK UNNOTED REVOCATIONS=1", quick=True),
    Run("the same on two nodes", f"{_FORK} NODES=2 REVOCATIONS=1"),
    Run("a database of before a restore", "RESTORE PUT_BACK UNNOTED REVOCATIONS=1"),
    Run("a leaked key, a restore", "KEYS TOKENS=2 RESTORE REVOCATIONS=1"),
    Run("a leaked key, the key set out of reach", "KEYS TOKENS=2 UNFETCHED REVOCATIONS=1"),
    Run("calm after a bad channel", "CHANNEL REVOCATIONS=1", claim="fresh"),
    Run("calm after crashes", "CRASH REVOCATIONS=1", claim="welcome"),
    Run("calm after a restore", "RESTORE REVOCATIONS=1", claim="fresh"),
    Run("calm after a restore", "RESTORE REVOCATIONS=1", claim="welcome"),
    Run("calm after an old database", f"{_FORK} REVOCATIONS=1", claim="fresh"),
    Run("calm after an old database", f"{_FORK} REVOCATIONS=1", claim="welcome"),
)


def _break(switch: str, switches: str, breaks: str, *, claim: str = "", quick: bool = False) -> Run:
    return Run(switch, f"{switches} BROKEN_{switch}", claim, breaks, quick)


BROKEN: Final = (
    _break("REV_AFTER_STATE", "", "S1 S3", quick=True),
    _break("BARRIER", "", "S1 S3", quick=True),
    _break("PROVEN_FIRST", "", "S1", quick=True),
    _break("LOOKUP_FIRST", "", "S1", quick=True),
    _break("NONCE", "CHANNEL", "S1", quick=True),
    _break("ASKED_AT", "CHANNEL", "S1", quick=True),
    _break("EVERYTHING", "RESTORE REVOCATIONS=1", "S1 S3", quick=True),
    _break("EPOCH_TWICE", "RESTORE EPOCHS=2 REVOCATIONS=1", "S1 S3"),
    _break("EPOCH_IGNORED", "RESTORE REVOCATIONS=1", "S1 S3 L2"),
    _break("GENERATION", "RESTORE REVOCATIONS=1", "S1 S3"),
    _break("OLD_DROPPED", "PROMOTE", "S2", quick=True),
    _break("DIGEST", _FORK, "S4", quick=True),
    _break("FORK_HIDDEN", _FORK, "S4"),
    _break("GOING_BACK", f"{_FORK} REVOCATIONS=1", "S4", quick=True),
    _break("EPOCH_BACK", "RESTORE PUT_BACK UNNOTED REVOCATIONS=1", "S4"),
    _break("WITNESS", f"{_FORK} REVOCATIONS=1", "S3"),
    _break("WITNESS", f"{_FORK} REVOCATIONS=1", "L1", claim="fresh"),
    _break("WITNESS_KEYS", "RESTORE PUT_BACK UNNOTED REVOCATIONS=1", "S3"),
    _break("STOP_ALONE", f"{_FORK} NODES=2 REVOCATIONS=1", "S3"),
    _break("STOPPED_FEED", "PUT_BACK EPOCHS=0 REVOCATIONS=1", "S1"),
    _break("NOTED_LATE", "PUT_BACK EPOCHS=0 REVOCATIONS=1", "S3"),
    _break("NODE_MEMORY", _FORK, "S3"),
    _break("STALE_UNSEEN", f"{_FORK} REVOCATIONS=1", "S2"),
    _break("KEY_BY_REV", "KEYS TOKENS=2 UNFETCHED REVOCATIONS=1", "S1"),
    _break("KEYS_KEPT", "KEYS TOKENS=2 RESTORE REVOCATIONS=1", "S1 S3"),
    _break("KEYS_APART", "KEYS TOKENS=2 RESTORE REVOCATIONS=1", "S1"),
    _break("FEED_KEYS", "RESTORE REVOCATIONS=1", "L1", claim="fresh"),
)
