"""What a client may do for people, as an operator registers it (RFC 7591 §2, OpenID Connect
Registration §2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dojang.oauth.claims import SCOPES
from dojang.oauth.id_token import ALGORITHMS
from dojang.oauth.redirects import check_registered_redirect_uri
from dojang.oauth.urls import parse_url
from dojang.server.admin.errors import check_text, invalid, not_found
from dojang.server.model import (
    ApplicationType,
    AuthenticationMethod,
    Profile,
    RefreshRule,
    SignIn,
    SubjectType,
)

if TYPE_CHECKING:
    from dojang.server.provider import Provider

MOST_REDIRECT_URIS: Final = 100
LONGEST_REFRESH: Final = 365 * 86_400  # seconds


class SignInWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `SignIn`; lifetimes are in seconds. `resources` maps resources to the scopes that the
    client may ask people for there."""

    redirect_uris: tuple[str, ...]
    profile: Profile = Profile.OAUTH21
    application_type: ApplicationType = ApplicationType.WEB
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    resources: dict[str, tuple[str, ...]] = {}
    first_party: bool = False
    refresh: RefreshRule = RefreshRule.ROTATING
    refresh_idle: int = 14 * 86_400
    refresh_lifetime: int = 30 * 86_400
    subject_type: SubjectType = SubjectType.PUBLIC
    sector: str | None = None
    id_token_algorithm: str = "RS256"
    userinfo_algorithm: str | None = None
    require_pushed: bool = False
    default_max_age: int | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None


def check_sign_in(
    provider: Provider, wanted: SignInWanted, authentication: AuthenticationMethod
) -> SignIn:
    """What is to be registered. Raises `OperationRefused`."""
    public = authentication is AuthenticationMethod.NONE
    native = wanted.application_type is ApplicationType.NATIVE
    if not 1 <= len(wanted.redirect_uris) <= MOST_REDIRECT_URIS:
        raise invalid(f"redirect_uris: give 1 to {MOST_REDIRECT_URIS}")
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(wanted, name):
            _check(name, partial(check_registered_redirect_uri, uri, native=native))
    for name in ("client_uri", "policy_uri", "tos_uri"):
        uri = getattr(wanted, name)
        if uri is not None:
            _check(name, partial(parse_url, uri))
    if wanted.backchannel_logout_uri is not None:
        _check(
            "backchannel_logout_uri",
            partial(check_outward, provider, wanted.backchannel_logout_uri),
        )
    if public and wanted.profile is Profile.OIDC_BASIC:
        raise invalid("profile: a public client uses PKCE: oauth21")
    if public and wanted.refresh is RefreshRule.FIXED:  # C57
        raise invalid("refresh: a public client's refresh tokens rotate, or it has none")
    _check_lifetimes(wanted)
    _check_scopes(provider, wanted.scopes, wanted.resources)
    if wanted.sector is not None:
        check_text("sector", wanted.sector, most=255)
    return SignIn(
        public=public, **{name: getattr(wanted, name) for name in wanted.__struct_fields__}
    )


def check_outward(provider: Provider, uri: str) -> None:
    """Raises `ValueError` where the server would send nothing to `uri`."""
    try:
        provider.outward.check(uri)
    except ValueError as error:
        raise ValueError(f"{error} (fetch.permitted_networks)") from None


def _check(name: str, rule: Callable[[], object]) -> None:
    try:
        rule()
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None


def _check_lifetimes(wanted: SignInWanted) -> None:
    if not 60 <= wanted.refresh_idle <= wanted.refresh_lifetime <= LONGEST_REFRESH:
        raise invalid(
            "refresh_idle, refresh_lifetime: 60 seconds to a year, and idle no longer than in all"
        )
    if wanted.default_max_age is not None and not 0 <= wanted.default_max_age < 2**31:
        raise invalid("default_max_age: a number of seconds")
    for name in ("id_token_algorithm", "userinfo_algorithm"):
        algorithm = getattr(wanted, name)
        if algorithm is not None and algorithm not in ALGORITHMS:
            raise invalid(f"{name}: must be one of {', '.join(ALGORITHMS)}")


def _check_scopes(
    provider: Provider, scopes: tuple[str, ...], resources: Mapping[str, tuple[str, ...]]
) -> None:
    if not set(scopes) <= set(SCOPES):
        raise invalid(f"scopes: those about a person are {', '.join(SCOPES)}")
    for identifier, wanted in resources.items():
        resource = provider.state.resources.get(identifier)
        if resource is None:
            raise not_found("resource", identifier)
        if not wanted or not set(wanted) <= set(resource.scopes):
            raise invalid(
                f"resources: the scopes at {identifier} must be of {', '.join(resource.scopes)}"
            )
        if set(wanted) & set(SCOPES):
            raise invalid(f"resources: {', '.join(SCOPES)} are about a person, not a resource")
    if not scopes and not resources:
        raise invalid("scopes, resources: give one of the two, or nothing can be asked for")


def find_algorithms(sign_in: SignIn) -> set[str]:
    """What the server must sign with for the client."""
    named = {sign_in.id_token_algorithm, sign_in.userinfo_algorithm}
    return {algorithm for algorithm in named if algorithm is not None}
