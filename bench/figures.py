"""What is measured, and what it should reach. A figure's number always comes from a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.rounds import Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `target` is a ratio to reach (at least) or, with a unit, a ceiling (at most);
    None stands beside the others for comparison only."""

    name: str
    title: str
    target: float | None = None
    unit: str = "x"

    @property
    def is_ratio(self) -> bool:
        return self.unit == "x"

    def met(self, value: float) -> bool | None:
        if self.target is None:
            return None
        return value >= self.target if self.is_ratio else value <= self.target


@dataclass(slots=True)
class Measured:
    """A figure with what came out: medians with their interval, and what it was made of."""

    figure: Figure
    value: Interval
    rounds: int
    ours: str = ""
    theirs: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        return self.figure.met(self.value.median)


def _verify_figures() -> Iterable[Figure]:
    of_raw = {"ES256": 0.94, "EdDSA": 0.94, "RS256": 0.83}
    of_pyjwt = {"ES256": 1.8, "EdDSA": 1.3, "RS256": 3.3}
    for algorithm, target in of_raw.items():
        name = f"verify-{algorithm.lower()}"
        cold = f"cold verify {algorithm}"
        yield Figure(f"{name}-raw", f"{cold}, [fast] : raw cryptography", target)
        yield Figure(f"{name}-bare-raw", f"{cold}, bare library : raw cryptography")
        yield Figure(f"{name}-local-raw", f"{cold}, LocalVerifier [fast] : raw cryptography")
        yield Figure(f"{name}-pyjwt", f"{cold}, [fast] : PyJWT", of_pyjwt[algorithm])
        yield Figure(f"{name}-joserfc", f"{cold}, [fast] : joserfc")
        yield Figure(f"{name}-fast-jwt", f"{cold}, [fast] : fast-jwt (Node)")
        yield Figure(f"{name}-jose", f"{cold}, [fast] : jose (Node)")
    yield Figure("warm-pyjwt", "warm verify, LocalVerifier : PyJWT cold ES256", 200.0)
    yield Figure("warm-fast-jwt", "warm verify, LocalVerifier : fast-jwt cached (Node)")


def _hybrid_figures() -> Iterable[Figure]:
    busy = "1,000 facts/s, 10^6 held"
    yield Figure("hybrid-warm-idle", "warm HybridVerifier, idle feed : LocalVerifier", 1 / 1.08)
    yield Figure("hybrid-warm-busy", f"warm HybridVerifier, {busy} : LocalVerifier", 1 / 1.15)
    yield Figure("hybrid-cold-idle", "cold HybridVerifier, idle feed : LocalVerifier")
    yield Figure("hybrid-cold-busy", f"cold HybridVerifier, {busy} : LocalVerifier", 1 / 1.03)


def _server_figures() -> Iterable[Figure]:
    peer = "oidc-provider"
    yield Figure("token-es256", f"POST /token, ES256 JWT : {peer}", 4.0)
    yield Figure("token-opaque", f"POST /token, opaque : {peer}", 3.5)
    yield Figure("token-rs256", f"POST /token, RS256 JWT : {peer}", 1.8)
    yield Figure("introspect", f"POST introspection, opaque : {peer}", 6.0)
    yield Figure("jwks", f"GET JWKS : {peer}", 2.8)
    yield Figure("discovery", f"GET discovery : {peer}", 2.8)


def _people_figures() -> Iterable[Figure]:
    peer = "oidc-provider (in memory)"
    yield Figure("code", f"code flow of a signed-in person, RS256 id_token : {peer}", 2.0)
    yield Figure("refresh", f"refresh token spent for its successor : {peer}", 2.0)


def _process_figures() -> Iterable[Figure]:
    yield Figure("start", "start to first token, existing database", 0.30, "s")
    yield Figure("start-peer", "the same, oidc-provider (in memory)", None, "s")
    yield Figure("memory", "resident after 3 s idle", 60.0, "MB")
    yield Figure("memory-peer", "the same, oidc-provider", None, "MB")


def _push_figures() -> Iterable[Figure]:
    together = "1,008 verifiers in 16 processes, a conversation and a view a process"
    apart = "1,008 followers in 16 processes, a conversation and a view each"
    # Name, who is reached; targets: milliseconds, their multiple of a floor, microseconds a page.
    for name, who, milliseconds, floors, page in (
        ("push-10", "10 followers", 2.0, 4.7, 150.0),
        ("push-100", "100 followers", 10.0, 5.4, 150.0),
        ("push-1000", together, 30.0, None, None),
        ("push-1000-apart", apart, 30.0, 2.2, None),
    ):
        yield Figure(name, f"revocation accepted to refused, {who}, p99", milliseconds, "ms")
        yield Figure(f"{name}-floor", "the same : what waking them takes", floors, "×")
        cost = f"processor time a page and follower, {who}"
        yield Figure(f"{name}-page", f"{cost}, beyond an idle one's", page, "µs")
        yield Figure(f"{name}-processor", f"{cost}, in all", None, "µs")


def _view_figures() -> Iterable[Figure]:
    yield Figure("view-bytes", "a revoked token in a view of 10^7", 20.0, "B")
    yield Figure("view-miss", "to look for a token there : to verify ES256, cold", 3.0, "%")
    yield Figure("view-mark", "the same with the tags made first", None, "%")
    yield Figure("view-gap", "an event loop waits while 10^6 facts are mapped", None, "ms")


def _catch_up_figures() -> Iterable[Figure]:
    yield Figure("catch-up", "a follower that missed 10^6 facts is fresh again after", None, "s")
    yield Figure("restart", "1,000 followers are fresh after a restart of the server", 5.0, "s")


def _size_figures() -> Iterable[Figure]:
    sizes = "10^6 clients : 10^3"
    yield Figure("size-introspect", f"POST introspection, opaque, {sizes}", 0.8)
    yield Figure("size-token", f"POST /token, ES256 JWT, {sizes}", 0.8)
    yield Figure("size-bytes", "the database grows by a token issued", 0.0, "B")


def _node_figures() -> Iterable[Figure]:
    yield Figure("node-introspect", "POST introspection, opaque, PostgreSQL : SQLite", 0.85)
    yield Figure("node-token", "POST /token, ES256 JWT, PostgreSQL : SQLite", 0.85)


VERIFY = tuple(_verify_figures())
HYBRID = tuple(_hybrid_figures())
SERVER = tuple(_server_figures())
PEOPLE = tuple(_people_figures())
PROCESS = tuple(_process_figures())
PUSH = tuple(_push_figures())
VIEW = tuple(_view_figures())
CATCH_UP = tuple(_catch_up_figures())
SIZE = tuple(_size_figures())
NODE = tuple(_node_figures())
PLANE = (*PUSH, *CATCH_UP, *VIEW, *SIZE, *NODE)
FIGURES = {figure.name: figure for figure in (*VERIFY, *HYBRID, *SERVER, *PEOPLE, *PROCESS, *PLANE)}


def find_figures(names: Iterable[str]) -> frozenset[str]:
    """The figures that `names` mean: a name or the beginning of some. No names: all of them.

    Raises LookupError for a name that means nothing."""
    chosen: set[str] = set()
    for name in names:
        meant = {known for known in FIGURES if known == name or known.startswith(f"{name}-")}
        if not meant:
            raise LookupError(f"no such figure: {name} (known: {', '.join(FIGURES)})")
        chosen |= meant
    return frozenset(chosen or FIGURES)
