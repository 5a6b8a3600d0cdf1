"""What clients that register themselves may become. The operator says it, and no request has a say
in it (RFC 7591 §5)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dojang.server.model import Profile, Resource


class RegistrationPolicy(Struct, frozen=True, kw_only=True):
    """`open_to_everyone`: no initial access token is asked for, and `hourly_limit` clients an hour
    are all that register. `scopes` are those about people, `resources` the scopes at resources that
    such a client may ask people for."""

    open_to_everyone: bool = False
    hourly_limit: int = 20
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    resources: dict[str, tuple[str, ...]] = {}
    profile: Profile = Profile.OAUTH21

    def find_resources(self, known: Mapping[str, Resource]) -> dict[str, tuple[str, ...]]:
        """`resources`, as far as they are there now."""
        found = {
            name: tuple(scope for scope in scopes if scope in known[name].scopes)
            for name, scopes in self.resources.items()
            if name in known
        }
        return {name: scopes for name, scopes in found.items() if scopes}
