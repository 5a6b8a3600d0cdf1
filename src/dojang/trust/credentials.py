"""How software of ours proves who it is at an authorization server (RFC 6749 §2.3, RFC 7523 §2.2).

None of these shows its secret in its repr.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from dojang.oauth.client_assertion import ASSERTION_TYPE

_ASSERTION_LIFE = 60  # seconds


class Credentials(Protocol):
    """Something to authenticate a form with."""

    @property
    def client_id(self) -> str: ...

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        """Add the proof to a request to `issuer`; `now` is in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class ClientSecretBasic:
    """`client_secret_basic`."""

    client_id: str
    secret: str = field(repr=False)

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"  # RFC 6749 §2.3.1
        headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()


@dataclass(frozen=True, slots=True)
class ClientSecretPost:
    """`client_secret_post`."""

    client_id: str
    secret: str = field(repr=False)

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        form["client_id"] = self.client_id
        form["client_secret"] = self.secret


@dataclass(frozen=True, slots=True)
class PublicClient:
    """`none`: a client that keeps no secret and only says its name (RFC 6749 §3.2.1)."""

    client_id: str

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        form["client_id"] = self.client_id


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """`private_key_jwt`: each request carries an assertion of its own, good for a minute."""

    client_id: str
    key: SigningKey = field(repr=False)

    def authenticate(
        self, form: dict[str, str], headers: dict[str, str], *, issuer: str, now: float
    ) -> None:
        at = int(now)
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,  # draft-ietf-oauth-rfc7523bis: the issuer and nothing else
            "iat": at,
            "exp": at + _ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(24),
        }
        signer = CompactSigner(self.key, typ="client-authentication+jwt")
        form["client_id"] = self.client_id
        form["client_assertion_type"] = ASSERTION_TYPE
        form["client_assertion"] = sign_jwt(claims, signer)


def build_form(form: dict[str, str]) -> bytes:
    """The body of a form request."""
    return urlencode(form).encode()
