"""What a client may do for people, as an operator registers it (RFC 7591 §2, OpenID Connect
Registration §2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct

from dojang.oauth.claims import SCOPES
from dojang.oauth.client_assertion import ALGORITHMS as ASSERTION_ALGORITHMS
from dojang.oauth.id_token import ALGORITHMS, CONTENT_ENCRYPTION, KEY_ENCRYPTION
from dojang.oauth.redirects import ResponseMode, check_registered_redirect_uri
from dojang.oauth.request_object import ALGORITHMS as REQUEST_OBJECT_ALGORITHMS
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
LONGEST_URI: Final = 2048
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
    id_token_encryption: tuple[str, str] | None = None
    userinfo_encryption: tuple[str, str] | None = None
    response_modes: tuple[ResponseMode, ...] = tuple(ResponseMode)
    require_pushed: bool = False
    default_max_age: int | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    frontchannel_logout_uri: str | None = None
    assertion_algorithm: str | None = None
    request_object_algorithm: str | None = None
    require_signed_request_object: bool = False
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None


def check_sign_in(
    provider: Provider, wanted: SignInWanted, authentication: AuthenticationMethod
) -> SignIn:
    """What is to be registered. Raises `OperationRefused`."""
    public = authentication is AuthenticationMethod.NONE
    _check_uris(provider, wanted)
    _check_rules(wanted, public=public)
    _check_lifetimes(wanted)
    _check_algorithms(wanted)
    _check_scopes(provider, wanted.scopes, wanted.resources)
    if wanted.sector is not None:
        check_text("sector", wanted.sector, most=255)
    return SignIn(
        public=public, **{name: getattr(wanted, name) for name in wanted.__struct_fields__}
    )


def _check_uris(provider: Provider, wanted: SignInWanted) -> None:
    native = wanted.application_type is ApplicationType.NATIVE
    if not 1 <= len(wanted.redirect_uris) <= MOST_REDIRECT_URIS:
        raise invalid(f"redirect_uris: give 1 to {MOST_REDIRECT_URIS}")
    if len(wanted.post_logout_redirect_uris) > MOST_REDIRECT_URIS:
        raise invalid(f"post_logout_redirect_uris: give {MOST_REDIRECT_URIS} at most")
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(wanted, name):
            check_uri(name, partial(check_registered_redirect_uri, uri, native=native))
    for name in ("client_uri", "logo_uri", "policy_uri", "tos_uri"):
        uri = getattr(wanted, name)
        if uri is not None:
            check_uri(name, partial(parse_url, uri))
            check_text(name, uri, most=LONGEST_URI)
    told = wanted.backchannel_logout_uri
    if told is not None:
        check_uri("backchannel_logout_uri", partial(check_outward, provider, told))
    if wanted.frontchannel_logout_uri is not None:
        check_uri("frontchannel_logout_uri", partial(check_frontchannel, wanted))


def _check_rules(wanted: SignInWanted, *, public: bool) -> None:
    if not wanted.response_modes:
        raise invalid(f"response_modes: one at least of {', '.join(ResponseMode)}")
    if public and wanted.profile is Profile.OIDC_BASIC:
        raise invalid("profile: a public client uses PKCE: oauth21")
    if public and wanted.refresh is RefreshRule.FIXED:  # C57
        raise invalid("refresh: a public client's refresh tokens rotate, or it has none")


def check_outward(provider: Provider, uri: str) -> None:
    """Raises `ValueError` where the server would send nothing to `uri`."""
    try:
        provider.outward.check(uri)
    except ValueError as error:
        raise ValueError(f"{error} (fetch.permitted_networks)") from None


def check_uri(name: str, rule: Callable[[], object]) -> None:
    """Raises `OperationRefused`, naming the parameter, where `rule` raises `ValueError`."""
    try:
        rule()
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None


def check_frontchannel(wanted: SignInWanted) -> None:
    """Raises `ValueError` unless the address is of the client's own origin (OpenID Connect
    Front-Channel Logout §2): the browser will be sent there out of sight."""
    uri = parse_url(wanted.frontchannel_logout_uri or "")
    own = {urlsplit(each)[:2] for each in wanted.redirect_uris}
    if (uri.scheme, uri.netloc) not in own:
        raise ValueError("has scheme, host and port of a redirect URI")


def _check_lifetimes(wanted: SignInWanted) -> None:
    if not 60 <= wanted.refresh_idle <= wanted.refresh_lifetime <= LONGEST_REFRESH:
        raise invalid(
            "refresh_idle, refresh_lifetime: 60 seconds to a year, and idle no longer than in all"
        )
    if wanted.default_max_age is not None and not 0 <= wanted.default_max_age < 2**31:
        raise invalid("default_max_age: a number of seconds")


def _check_algorithms(wanted: SignInWanted) -> None:
    for name, known in (
        ("id_token_algorithm", ALGORITHMS),
        ("userinfo_algorithm", ALGORITHMS),
        ("assertion_algorithm", sorted(ASSERTION_ALGORITHMS)),
        ("request_object_algorithm", sorted(REQUEST_OBJECT_ALGORITHMS)),
    ):
        algorithm = getattr(wanted, name)
        if algorithm is not None and algorithm not in known:
            raise invalid(f"{name}: must be one of {', '.join(known)}")
    for name in ("id_token_encryption", "userinfo_encryption"):
        wish = getattr(wanted, name)
        if wish is not None and not (wish[0] in KEY_ENCRYPTION and wish[1] in CONTENT_ENCRYPTION):
            raise invalid(
                f"{name}: must be one of {', '.join(KEY_ENCRYPTION)}, and one of "
                f"{', '.join(CONTENT_ENCRYPTION)}"
            )


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
