"""What the demo finds out: the object that `dojang demo --json` prints. Its schema is in the
documentation. Times are in the unit their name ends with."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

Strategy: TypeAlias = Literal[
    "local", "introspection", "introspection_cached", "hybrid", "hybrid_pushed"
]
STRATEGIES: Final[tuple[Strategy, ...]] = (
    "local",
    "introspection",
    "introspection_cached",
    "hybrid",
    "hybrid_pushed",
)


class Promise(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something an act shows, and whether it held."""

    act: int
    says: str
    kept: bool


class Setting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the figures depend on. `cache_s`: how long a cached answer of the issuer serves;
    `bound_s`: how old the pushed view of revocations may be."""

    token_lifetime_s: int
    leeway_s: int
    cache_s: float
    bound_s: float
    clients_per_strategy: int
    processors: int


class MachineToMachine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Act 1: statuses, and whom payments saw when orders called it."""

    orders_status: int
    payments_status_same_token: int
    payments_saw_client: str
    payments_saw_scope: str


class Rotated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Act 3: what one strategy answered to good tokens, of the old key and the new."""

    strategy: Strategy
    accepted: int
    refused: int


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Act 3: `rotations` of the signing key under load; `took_over_after_s` is the longest it
    took from the order until the new key signed, which it does when all followers hold it."""

    rotations: int
    took_over_after_s: float
    strategies: list[Rotated]


class Takeback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One revocation under one strategy. `accepted_before` and `slipped_through` count requests
    sent before and after the revocation was accepted; `first_refusal_s` is from its acceptance to
    the first refusal, null where there was none while the load ran; `refused_at_expiry_s` is when
    a strategy that cannot see it refused at last: the token had expired and the leeway was over."""

    strategy: Strategy
    accepted_before: int
    slipped_through: int
    refused: int
    first_refusal_s: float | None
    refused_at_expiry_s: float | None


class Revocation(Struct, kw_only=True, forbid_unknown_fields=True):
    """Act 4: one revocation under load."""

    kind: Literal["token", "client", "key"]
    strategies: list[Takeback]


class Sight(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service knew of a token that it accepted: whom it is about, whom it is for, who calls,
    who acts for whom (latest first), and what may be done."""

    subject: str
    audience: str
    client: str
    actors: list[str]
    scope: str


class Person(Struct, kw_only=True, forbid_unknown_fields=True):
    """Act 2: a person signed in to an app. `claims` are of the id_token; `orders_saw` is the app's
    token, `payments_saw` the one that orders exchanged it for. `orders` and `payments` say what
    either service made of those after the person withdrew the app, and `refresh_error` what the
    server said to the app's refresh token."""

    claims: dict[str, str] = field(default_factory=dict)
    orders_saw: Sight | None = None
    payments_saw: Sight | None = None
    orders: list[Takeback] = field(default_factory=list)
    payments: list[Takeback] = field(default_factory=list)
    refresh_error: str | None = None


class Outage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Act 5: what one strategy answered to a good token while the server was dead."""

    strategy: Strategy
    accepted: int
    refused_401: int
    unavailable_503: int
    other: int


class Restart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Act 5: after SIGKILL. `ready_after_s`: from the start of the new process to its first
    answer; `came_back`: revoked tokens that were accepted again."""

    down_s: float
    ready_after_s: float
    revoked_tokens_tried: int
    came_back: int
    strategies: list[Outage]


class Speed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One strategy alone under load: whole requests to a FastAPI service."""

    strategy: Strategy
    requests_per_s: float
    p50_ms: float
    p99_ms: float


class Report(Struct, kw_only=True, forbid_unknown_fields=True):
    """The whole demo."""

    version: str
    setting: Setting
    ok: bool = False
    seconds: float = 0.0
    machine_to_machine: MachineToMachine | None = None
    person: Person | None = None
    rotation: Rotation | None = None
    revocations: list[Revocation] = field(default_factory=list)
    restart: Restart | None = None
    speed: list[Speed] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
