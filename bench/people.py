"""The figures of clients that act for people: one person signed in at ours and at the peer, with
the forms that each shows; then code flows in that session, and refresh tokens spent one for the
next."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from bench.endpoints import Side, processor_ratio
from bench.figures import PEOPLE, Figure, Measured
from bench.load import Call, Load, run_wrk
from bench.machine import BenchBroken, processor_seconds
from bench.rounds import alternate, ratio
from bench.servers import CALLBACK, PERSON, AuthorizationServer
from dojang.oauth.pkce import build_challenge

SCRIPT = Path(__file__).resolve().parent / "lua" / "people.lua"
VERIFIER = "v" * 64
# The peer's memory forgets what was not used among its last 1,000 entries: with more connections,
# one that waits for long finds its refresh token gone.
AT_ONCE = 16
TOKENS = AT_ONCE + 8  # refresh tokens in turn: more than there are connections


class SignedIn:
    """A person signed in at a server, who has allowed its client `web` everything it asks for."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server
        self._client = httpx.Client(base_url=server.origin, timeout=30, trust_env=False)
        self._ask(prompt="consent")

    def close(self) -> None:
        self._client.close()

    @property
    def cookie(self) -> str:
        return "; ".join(f"{each.name}={each.value}" for each in self._client.cookies.jar)

    def build_target(self, **more: str) -> str:
        wanted = {
            "client_id": self.server.web[0],
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid offline_access",
            "code_challenge": build_challenge(VERIFIER),
            "code_challenge_method": "S256",
            **more,
        }
        return f"{self.server.paths.authorization}?{urlencode(wanted)}"

    @property
    def redeem(self) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }

    def take_refresh_token(self) -> str:
        """From a code flow of its own."""
        answer = self._client.post(
            self.server.paths.token,
            data={**self.redeem, "code": self._ask()},
            auth=self.server.web,
        )
        if answer.status_code != 200 or "refresh_token" not in answer.json():
            raise BenchBroken(f"{self.server.name}: no refresh token: {answer.text[:300]}")
        token: str = answer.json()["refresh_token"]
        return token

    def _ask(self, **more: str) -> str:
        """A code, whatever forms are in the way."""
        answer = self._client.get(self.build_target(**more))
        for _ in range(20):
            if answer.is_redirect:
                goal = answer.headers["location"]
                if goal.startswith(CALLBACK):
                    return _read_code(goal)
                answer = self._client.get(answer.url.join(goal))
                continue
            answer = self._fill_in(answer)
        raise BenchBroken(f"{self.server.name}: the sign-in never ends")

    def _fill_in(self, page: httpx.Response) -> httpx.Response:
        form = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        if page.status_code != 200 or form is None:
            raise BenchBroken(f"{self.server.name}: {page.status_code} {page.text[:300]}")
        fields = {}
        for tag in re.findall(r"<input[^>]*>", page.text):
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name:
                fields[name[1]] = unescape(value[1]) if value else ""
        for name in fields.keys() & PERSON.keys():
            fields[name] = PERSON[name]
        fields.setdefault("action", "sign_in" if "password" in fields else "allow")
        return self._client.post(page.url.join(unescape(form[1])), data=fields)


def _read_code(location: str) -> str:
    parameters = dict(parse_qsl(urlsplit(location).query))
    if "code" not in parameters:
        raise BenchBroken(f"no code: {parameters}")
    return parameters["code"]


def measure_people(
    wanted: frozenset[str],
    servers: Sequence[AuthorizationServer],
    *,
    rounds: int,
    seconds: int,
    warm_up_seconds: int,
    folder: Path,
) -> Iterable[Measured]:
    """Measures the wanted figures; `servers` are ours and the peer, both running."""
    if not wanted & {figure.name for figure in PEOPLE}:
        return
    people = [SignedIn(server) for server in servers]
    try:
        for figure in PEOPLE:
            if figure.name in wanted:
                yield _compare(
                    figure,
                    people,
                    rounds=rounds,
                    seconds=seconds,
                    warm_up_seconds=warm_up_seconds,
                    folder=folder,
                )
    finally:
        for person in people:
            person.close()


def _compare(
    figure: Figure,
    people: Sequence[SignedIn],
    *,
    rounds: int,
    seconds: int,
    warm_up_seconds: int,
    folder: Path,
) -> Measured:
    sides: dict[str, Side] = defaultdict(Side)
    for person in people:  # unmeasured: Node compiles for seconds
        _put_load(person, _write(figure, person, folder), seconds=warm_up_seconds)
    for number, person in alternate(people, rounds):
        said = _write(figure, person, folder)
        pid = person.server.process.pid
        before = processor_seconds(pid)
        load = _put_load(person, said, seconds=seconds)
        sides[person.server.name].add(number, load, processor_seconds(pid) - before)
    ours, theirs = (sides[person.server.name] for person in people)
    by_processor = processor_ratio(ours, theirs)
    return Measured(
        figure,
        ratio(ours.rates, theirs.rates),
        rounds,
        ours=ours.describe(per_core=False),
        theirs=theirs.describe(per_core=False),
        detail={
            **{person.server.name: sides[person.server.name].summary() for person in people},
            "processor_ratio": asdict(by_processor),
        },
    )


def _put_load(person: SignedIn, said: Path, *, seconds: int) -> Load:
    return run_wrk(person.server.origin, SCRIPT, said, seconds=seconds, connections=AT_ONCE)


def _write(figure: Figure, person: SignedIn, folder: Path) -> Path:
    """What the load generator is told."""
    server = person.server
    lines = [
        ("token", server.paths.token),
        ("authorization", Call(server.paths.token, (), server.web).authorization),
    ]
    if figure.name == "refresh":
        lines += [("refresh", person.take_refresh_token()) for _ in range(TOKENS)]
    else:
        lines += [
            ("authorize", person.build_target()),
            ("cookie", person.cookie),
            ("redeem", urlencode(person.redeem)),
        ]
    said = folder / "people.txt"
    said.write_text("".join(f"{name}\t{value}\n" for name, value in lines))
    return said
