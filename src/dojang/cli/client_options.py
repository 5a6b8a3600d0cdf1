"""What the command line says of a client: one table of options, for `client add` and `client
update`, and where each goes in the parameters of the operations."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from dojang.cli.errors import Failure
from dojang.cli.exchanges import EXCHANGE_HELP, parse_exchanges
from dojang.jose import json_object
from dojang.jose.errors import InvalidToken
from dojang.oauth.redirects import ResponseMode
from dojang.server.model import (
    ApplicationType,
    AuthenticationMethod,
    Profile,
    RefreshRule,
    SubjectType,
)

MAX_BYTES: Final = 65_536
STDIN: Final = Path("-")


class ClientOption(NamedTuple):
    """`--flag`, of which `read` makes the member at `into` (`sign_in.…`: of `sign_in`)."""

    flag: str
    into: str
    kind: Any
    help: str
    metavar: str | None = None
    read: Callable[[Any], Any] = lambda value: value

    @property
    def variable(self) -> str:
        """As a parameter in Python."""
        return self.flag.replace("-", "_")

    def build_parameter(self) -> inspect.Parameter:
        """As typer reads it: None where it is not given."""
        names = [f"--{self.flag}"]
        if self.kind is bool:
            names = [f"--{self.flag}/--no-{self.flag}"]
        option = typer.Option(*names, metavar=self.metavar, help=self.help, show_default=False)
        return inspect.Parameter(
            self.variable,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[self.kind | None, option],
        )


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object in a file; `-` for standard input. Raises `Failure`."""
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if path == STDIN else path.read_bytes()
        return json_object.parse(content, max_bytes=MAX_BYTES)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except InvalidToken:
        what = "standard input" if path == STDIN else path
        raise Failure(f"{what} is not a JSON object") from None


def _read_rights(option: str, texts: Sequence[str]) -> dict[str, list[str]]:
    rights: dict[str, list[str]] = {}
    for text in texts:
        resource, sign, scopes = text.rpartition("=")
        if not sign or not resource or not scopes.strip(", "):
            raise Failure(
                f"{option} {text}: write URI=SCOPE[,SCOPE], for example "
                "https://orders.example=orders:read"
            )
        rights.setdefault(resource, []).extend(scopes.replace(",", " ").split())
    return rights


def _read_grants(texts: Sequence[str]) -> list[dict[str, Any]]:
    rights = _read_rights("--grant", texts)
    return [{"resource": name, "scopes": scopes} for name, scopes in rights.items()]


def _read_encryption(text: str) -> list[str]:
    return text.split(":")


_URI: Final = "URI"
_SECONDS: Final = "SECONDS"
OPTIONS: Final = (
    ClientOption("metadata", "metadata", Path, "Client metadata (RFC 7591) as JSON; - for standard "
                 "input. Other options go before what is in it.", "FILE", read_document),
    ClientOption("name", "name", str, "For people."),
    ClientOption("authentication", "authentication", AuthenticationMethod,
                 "How it proves who it is (default: client_secret_basic)."),
    ClientOption("jwks", "jwks", Path, "Its public keys, for what it signs and what is encrypted "
                 "to it (a JWK Set).", "FILE", read_document),
    ClientOption("jwks-uri", "jwks_uri", str, "Where its public keys lie, instead of --jwks.",
                 _URI),
    ClientOption("grant", "grants", list[str], "A resource and the scopes it may have there, with "
                 "commas between; repeatable.", "URI=SCOPES", _read_grants),
    ClientOption("exchange", "exchanges", list[str], EXCHANGE_HELP, "URI=SCOPES", parse_exchanges),
    ClientOption("redirect-uri", "sign_in.redirect_uris", list[str], "People sign in to it, and "
                 "their browsers come back here; repeatable.", _URI),
    ClientOption("ask", "sign_in.resources", list[str], "A resource and the scopes it may ask "
                 "people for there; repeatable.", "URI=SCOPES", partial(_read_rights, "--ask")),
    ClientOption("scope", "sign_in.scopes", list[str], "What about people themselves it may ask "
                 "for (default: openid profile email); repeatable.", "SCOPE"),
    ClientOption("first-party", "sign_in.first_party", bool,
                 "It is your own: people are not asked."),
    ClientOption("profile", "sign_in.profile", Profile, "oauth21: PKCE always (default). "
                 "oidc-basic: for clients that know none."),
    ClientOption("application", "sign_in.application_type", ApplicationType,
                 "native: it runs on people's own devices (default: web)."),
    ClientOption("refresh", "sign_in.refresh", RefreshRule,
                 "What becomes of a refresh token that is used (default: rotating)."),
    ClientOption("refresh-idle", "sign_in.refresh_idle", int,
                 "For how long one lives without use (default: 1209600).", _SECONDS),
    ClientOption("refresh-lifetime", "sign_in.refresh_lifetime", int,
                 "For how long one lives in all (default: 2592000).", _SECONDS),
    ClientOption("subject", "sign_in.subject_type", SubjectType,
                 "pairwise: it knows people by names of its own (default: public)."),
    ClientOption("sector", "sign_in.sector", str,
                 "pairwise, and the same names as all others of this host.", "HOST"),
    ClientOption("response-mode", "sign_in.response_modes", list[ResponseMode],
                 "How it is answered (default: either way); repeatable.", "query|form_post"),
    ClientOption("id-token-algorithm", "sign_in.id_token_algorithm", str,
                 "What its id_tokens are signed with (default: RS256).", "ALG"),
    ClientOption("id-token-encryption", "sign_in.id_token_encryption", str,
                 "Its id_tokens are encrypted to a key of its own.", "ALG:ENC", _read_encryption),
    ClientOption("userinfo-algorithm", "sign_in.userinfo_algorithm", str,
                 "What userinfo is signed with (default: it is JSON).", "ALG"),
    ClientOption("userinfo-encryption", "sign_in.userinfo_encryption", str,
                 "Userinfo is encrypted to a key of its own.", "ALG:ENC", _read_encryption),
    ClientOption("assertion-algorithm", "sign_in.assertion_algorithm", str,
                 "The one that it signs client assertions with (default: any).", "ALG"),
    ClientOption("request-object-algorithm", "sign_in.request_object_algorithm", str,
                 "The one that it signs its requests with (default: any).", "ALG"),
    ClientOption("require-signed-request-object", "sign_in.require_signed_request_object", bool,
                 "It signs what it asks for (RFC 9101)."),
    ClientOption("require-pushed", "sign_in.require_pushed", bool,
                 "It pushes what it asks for (RFC 9126)."),
    ClientOption("default-max-age", "sign_in.default_max_age", int,
                 "People have signed in so long ago at most, where it asks for nothing else.",
                 _SECONDS),
    ClientOption("post-logout-redirect-uri", "sign_in.post_logout_redirect_uris", list[str],
                 "Where browsers go after signing out; repeatable.", _URI),
    ClientOption("backchannel-logout-uri", "sign_in.backchannel_logout_uri", str,
                 "Where it is told that a session ended.", _URI),
    ClientOption("frontchannel-logout-uri", "sign_in.frontchannel_logout_uri", str,
                 "What browsers open out of sight when they sign out.", _URI),
    ClientOption("client-uri", "sign_in.client_uri", str, "Its page for people.", _URI),
    ClientOption("logo-uri", "sign_in.logo_uri", str, "Its picture.", _URI),
    ClientOption("policy-uri", "sign_in.policy_uri", str, "What it does with data.", _URI),
    ClientOption("tos-uri", "sign_in.tos_uri", str, "Its terms of service.", _URI),
)  # fmt: skip
UNSET_NAMES: Final = {each.flag: each.into for each in OPTIONS if each.flag != "metadata"} | {
    "sign-in": "sign_in"
}


def take_client_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every option of the table; what they say it is given as `asked`, the
    parameters of the operation."""
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "asked"
    ]
    parameters = [*own, *(each.build_parameter() for each in OPTIONS)]

    def run(**given: Any) -> None:
        options = {each: given.pop(each.variable) for each in OPTIONS}
        asked: dict[str, Any] = {}
        for option, value in options.items():
            if value is not None and value != []:
                put(asked, option.into, option.read(value))
        command(**given, asked=asked)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    # Typer reads its options from here (PEP 362); the type of a function has no such member.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def put(asked: dict[str, Any], into: str, value: object) -> None:
    """Name a member. Raises `Failure` where `sign_in` is both taken away and said."""
    outer, dot, inner = into.partition(".")
    if not dot:
        asked[into] = value
        return
    sign_in = asked.setdefault(outer, {})
    if sign_in is None:
        raise Failure("--unset sign-in takes away all of how people sign in: say nothing of it")
    sign_in[inner] = value


def unset(asked: dict[str, Any], names: Sequence[str]) -> None:
    """Name members as if nobody had ever named them. Raises `Failure`."""
    for name in names:
        into = UNSET_NAMES.get(name.removeprefix("--"))
        if into is None:
            raise Failure(f"--unset {name}: must be one of {', '.join(UNSET_NAMES)}")
        outer, _, inner = into.partition(".")
        said = asked.get(outer) or {}
        if (inner in said) if inner else (into in asked):
            raise Failure(f"--unset {name}: it is said besides; choose")
        put(asked, into, None)
