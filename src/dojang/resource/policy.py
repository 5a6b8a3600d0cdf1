"""What each route demands of a token, as data: it can be loaded, shown and replaced at run time.

Empty means no: a rule that demands nothing is refused unless it says so in words, and a path
without a rule is closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from dojang.oauth.scopes import check_scope_name
from dojang.resource.errors import Demand, Refusal, RefusalReason
from dojang.resource.staleness import WhenStale, check_staleness
from dojang.resource.verified import VerifiedToken

_SLASHES: Final = re.compile(r"[/\\]+")
_UNTIDY: Final = re.compile(r"//|/\.\.?(?:/|$)|[\x00-\x1f\x7f\\]")
_DROPPED: Final = re.compile(r"[\x01-\x1f\x7f]")  # the WHATWG's URL parser leaves some out
_END: Final = re.compile(r"[?#\x00].*", re.DOTALL)
_METHOD: Final = re.compile(r"[A-Z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one route demands: every one of `scopes`, one of `any_scope`, one of `roles`, one of
    `acr` (RFC 9470), a sign-in at most `max_age` seconds ago, and revocation known as of at most
    `staleness` seconds ago (0: the issuer is asked each time); `when_stale` is what happens where
    it is not. `authenticated` says that any verified token will do.

    Raises `ValueError` where nothing is demanded, or a scope cannot be one.
    """

    scopes: tuple[str, ...] = ()
    any_scope: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    acr: tuple[str, ...] = ()
    max_age: int | None = None
    staleness: float | None = None
    when_stale: WhenStale | None = None
    authenticated: bool = False

    def __post_init__(self) -> None:
        for name in ("scopes", "any_scope", "roles", "acr"):
            values = getattr(self, name)
            if isinstance(values, str):
                raise ValueError(f"{name} is a list of texts, not one text")  # noqa: TRY004
            object.__setattr__(self, name, tuple(values))
        for name in (*self.scopes, *self.any_scope, *self.acr):
            check_scope_name(name)  # acr_values are written alike
        if self.max_age is not None and self.max_age < 0:
            raise ValueError("max_age is not negative")
        check_staleness(self.staleness)
        if self.when_stale is not None:
            object.__setattr__(self, "when_stale", WhenStale(self.when_stale))
        if not (self.scopes or self.any_scope or self.roles or self.authenticated):
            raise ValueError("a rule demands scopes or roles, or says authenticated = true")


def check_rule(rule: Rule, token: VerifiedToken, *, now: float) -> None:
    """Scopes → roles → how and when the subject signed in. `now` is in seconds since 1970.

    Raises `Refusal`; it names what would have been enough.
    """
    scopes = token.scopes
    if not scopes.issuperset(rule.scopes) or (rule.any_scope and scopes.isdisjoint(rule.any_scope)):
        demand = Demand(scopes=(*rule.scopes, *rule.any_scope))
        raise Refusal(RefusalReason.INSUFFICIENT_SCOPE, demand=demand)
    if rule.roles and token.roles.isdisjoint(rule.roles):
        raise Refusal(RefusalReason.INSUFFICIENT_ROLE)
    if rule.acr and token.acr not in rule.acr:
        raise _step_up(rule)
    if rule.max_age is not None:
        signed_in = token.auth_time
        if signed_in is None or now > signed_in + rule.max_age:
            raise _step_up(rule)


def _step_up(rule: Rule) -> Refusal:
    demand = Demand(acr_values=rule.acr, max_age=rule.max_age)
    return Refusal(RefusalReason.INSUFFICIENT_AUTHENTICATION, demand=demand)


def check_freshness(rule: Rule, freshness: float | None) -> None:
    """Raises `ValueError` where a verifier of this `freshness` cannot keep what a rule says of
    staleness: better at the start than never."""
    if freshness is None and (rule.staleness is not None or rule.when_stale is not None):
        raise ValueError("staleness needs introspection or a hybrid: a local check has none")


@dataclass(frozen=True, slots=True)
class Route:
    """A method (None: any), a path template and its rule (None: open to all). `{name}` stands for
    one segment; `{name:path}` at the end for all the rest."""

    method: str | None
    path: str
    rule: Rule | None


class _Compiled(NamedTuple):
    rank: tuple[int, ...]
    pattern: re.Pattern[str]
    route: Route


class Policy:
    """Routes, and the `protect`ed path prefixes they are in; other paths are left alone.

    What lies under a prefix and matches no route is closed. Raises `ValueError` for a template
    that is malformed, a route outside of the prefixes, or two routes that match the same.
    """

    def __init__(self, routes: Iterable[Route], *, protect: Iterable[str] = ("/",)) -> None:
        self.routes = tuple(routes)
        self.protect = tuple(protect)
        if not self.protect or not all(prefix.startswith("/") for prefix in self.protect):
            raise ValueError("protect names the paths to protect; each begins with a slash")
        compiled = [_compile(route) for route in self.routes]
        seen: set[tuple[str | None, str]] = set()
        for each in compiled:
            if not self.covers(each.route.path):
                raise ValueError(f"{each.route.path} is outside of the protected paths")
            key = (each.route.method, each.pattern.pattern)
            if key in seen:
                raise ValueError(f"{each.route.path} stands twice")
            seen.add(key)
        self._compiled = sorted(compiled, key=lambda each: each.rank)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Policy:
        """A policy from TOML or JSON: `protect`, and `route` tables with `path`, `method`, and
        either `public = true` or the members of `Rule`. Raises `ValueError`."""
        unknown = data.keys() - {"protect", "route"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        routes = [_parse_route(dict(table)) for table in data.get("route", ())]
        return cls(routes, protect=data.get("protect", ("/",)))

    def covers(self, path: str) -> bool:
        """Whether a path is protected, also where a sloppy reader would take it for one that is:
        with doubled slashes, dots, another case, a second encoding, or the end of a path in it."""
        plain = _normalize(path)
        ended = _normalize(_END.sub("", unquote(unquote(path))))
        for prefix in self.protect:
            start = _normalize(prefix).rstrip("/")
            if f"{plain}/".startswith(f"{start}/") or f"{ended}/".startswith(f"{start}/"):
                return True
            if prefix == path or path.startswith(prefix.rstrip("/") + "/"):
                return True
        return False

    def find(self, method: str, path: str) -> Route:
        """The route of a request; HEAD is a GET. Raises `Refusal(NO_RULE)`, also for a path that
        someone behind might tidy up into another."""
        if _UNTIDY.search(path) is None:
            wanted = (None, method, "GET" if method == "HEAD" else method)
            for _, pattern, route in self._compiled:
                if route.method in wanted and pattern.fullmatch(path) is not None:
                    return route
        raise Refusal(RefusalReason.NO_RULE)


def _normalize(path: str) -> str:
    segments: list[str] = []
    for segment in _SLASHES.split(_DROPPED.sub("", unquote(unquote(path)).lower())):
        name = segment.partition(";")[0].strip()
        if name == ".." and segments:
            segments.pop()
        elif name not in ("", ".", ".."):
            segments.append(name)
    return "/" + "/".join(segments)


def _compile(route: Route) -> _Compiled:
    if route.method is not None and _METHOD.fullmatch(route.method) is None:
        raise ValueError("a method is in capitals")
    if not route.path.startswith("/"):
        raise ValueError("a path begins with a slash")
    words: list[str] = []
    rank: list[int] = []
    segments = route.path[1:].split("/")
    for index, segment in enumerate(segments):
        if not segment.startswith("{"):
            if "{" in segment or "}" in segment:
                raise ValueError(f"{route.path}: braces hold a whole segment")
            words.append(re.escape(segment))
            rank.append(0)
        elif segment.endswith(":path}") and index == len(segments) - 1:
            words.append(".*")
            rank.append(2)
        elif segment.endswith("}") and ":" not in segment:
            words.append("[^/]+")
            rank.append(1)
        else:
            raise ValueError(f"{route.path}: braces hold a name, or name:path at the end")
    # Literal segments win over templates, and a method over any.
    rank.append(0 if route.method is not None else 1)
    return _Compiled(tuple(rank), re.compile("/" + "/".join(words), re.DOTALL), route)


def _parse_route(table: dict[str, Any]) -> Route:
    path = table.pop("path", None)
    method = table.pop("method", None)
    public = table.pop("public", False)
    if not isinstance(path, str) or not isinstance(method, str | None):
        raise ValueError("a route has a path, and a method or none")  # noqa: TRY004
    if public is True:
        if table:
            raise ValueError(f"{path} is public, so it demands nothing")
        return Route(method, path, None)
    try:
        return Route(method, path, Rule(**table))
    except TypeError:
        raise ValueError(f"{path}: unknown demand") from None
