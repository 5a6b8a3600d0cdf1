from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from dojang.server.model import Profile
from dojang.server.registration_policy import RegistrationPolicy
from dojang.testing import Issuer, SettableClock
from tests.conformance.guide import SUITE
from tests.conformance.suite import AFTER_LOGOUT, CALLBACK, Suite
from tests.server.front_door import NOW
from tests.server.people.world import World
from tests.web.pages.visitor import Visitor

ALL_SCOPES: Final = ("openid", "profile", "email", "address", "phone", "offline_access")
CLAIMS: Final[Mapping[str, Any]] = {
    "name": "Buffy Summers",
    "given_name": "Buffy",
    "family_name": "Summers",
    "middle_name": "Anne",
    "nickname": "Buff",
    "preferred_username": "buffy",
    "profile": "https://buffy.example/",
    "picture": "https://buffy.example/picture.png",
    "website": "https://buffy.example/",
    "gender": "female",
    "birthdate": "1981-01-19",
    "zoneinfo": "America/Los_Angeles",
    "locale": "en-US",
    "updated_at": 1_700_000_000,
    "email_verified": True,
    "phone_number": "+1 310 555 0100",
    "phone_number_verified": True,
    "address": {"formatted": "1630 Revello Drive\nSunnydale", "country": "US"},
}
CLIENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "conformance": {},
    "conformance-2": {},
    "conformance-post": {"authentication": "client_secret_post"},
    "conformance-back": {"backchannel_logout_uri": f"{SUITE}/backchannel_logout"},
    "conformance-front": {"frontchannel_logout_uri": f"{SUITE}/frontchannel_logout"},
}


REGISTRATION: Final = RegistrationPolicy(
    open_to_everyone=True, hourly_limit=1000, scopes=ALL_SCOPES, profile=Profile.OIDC_BASIC
)


class InProcess:
    """The real routes, and a clock that a module waits on."""

    def __init__(self) -> None:
        self.world: Final = World(
            Issuer("https://issuer.test", clock=SettableClock(NOW), registration=REGISTRATION)
        )
        self.url: Final = self.world.issuer.url
        self.transport: Final = self.world.issuer.transport
        self.secrets: Final[dict[str, str]] = {}
        for client_id, settings in CLIENTS.items():
            self.add_client(client_id, **settings)
        self.world.add_user("buffy", **CLAIMS)

    def add_client(self, client_id: str, **settings: Any) -> None:
        wanted = {
            "redirect_uris": (CALLBACK,),
            "post_logout_redirect_uris": (AFTER_LOGOUT,),
            "scopes": ALL_SCOPES,
            "resources": {},
            "profile": "oidc-basic",
            "id_token_algorithm": "RS256",
            **settings,
        }
        self.world.add_client(client_id, **wanted)
        self.secrets[client_id] = self.world.issuer.credentials(client_id).secret

    @property
    def now(self) -> int:
        return self.world.now

    def wait(self, seconds: int) -> None:
        clock = self.world.issuer.clock
        clock.move_to(clock.now() + seconds)

    def browse(self) -> Visitor:
        return Visitor(self.world.issuer)


@pytest.fixture(scope="package")
def server() -> InProcess:
    """One for all modules, as the suite has it."""
    return InProcess()


Begin = Callable[[str], Suite]


@pytest.fixture
def begin(server: InProcess) -> Begin:
    return lambda module: Suite(server, module)


@pytest.fixture(params=[False, True], ids=["query", "form_post"])
def either_way(server: InProcess, request: pytest.FixtureRequest) -> Begin:
    """For modules of the Basic and of the Form Post plan."""
    return lambda module: Suite(server, module, form_post=request.param)
