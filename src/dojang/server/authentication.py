"""Client authentication (RFC 6749 §2.3): the registered method, one method, one answer.

An unknown client, a disabled one, a wrong secret and a wrong method look the same to the peer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from dojang.oauth.client_assertion import (
    ALGORITHMS,
    ASSERTION_TYPE,
    AssertionRefused,
    CheckedAssertion,
)
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.oauth.http import Request, parse_basic
from dojang.server.client_keys import JwkSet, NoClientKeys
from dojang.server.model import AuditEvent, AuthenticationMethod, Client
from dojang.trust.client_auth import (
    is_secret,
    read_assertion_subject,
    verify_client_assertion,
)

if TYPE_CHECKING:
    from dojang.server.provider import Provider

NO_SECRET: Final = (bytes(32),)  # no presented secret has this digest


class PresentedCredentials(NamedTuple):
    """What a request says of its client; nothing is proven."""

    method: AuthenticationMethod
    client_id: str
    proof: str


class AuthenticatedClient(NamedTuple):
    """A client that proved who it is and is enabled, as of the barrier."""

    client: Client


def parse_credentials(request: Request, form: Mapping[str, str]) -> PresentedCredentials:
    """The one way in which a request authenticates its client (RFC 6749 §2.3).

    Raises `OAuthError`: `invalid_request` for two ways at once, `invalid_client` for none.
    """
    header = request.header(b"authorization")
    secret = form.get("client_secret")
    assertion = form.get("client_assertion")
    check_single_method(header, secret, assertion)
    named = form.get("client_id")
    if header is not None:
        client_id, proof = parse_basic(header)
        method = AuthenticationMethod.BASIC
    elif secret is not None and named is not None:
        client_id, proof, method = named, secret, AuthenticationMethod.POST
    elif assertion is not None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _refused("assertion_type")
        client_id, proof = read_assertion_subject(assertion) or "", assertion
        method = AuthenticationMethod.PRIVATE_KEY_JWT
    elif named is not None:
        client_id, proof, method = named, "", AuthenticationMethod.NONE
    else:
        raise _refused("no_credentials")
    if named is not None and named != client_id:
        raise _refused("client_id_differs")
    # RFC 6749 Appendix A.1: the store is not asked about what no client can be called.
    if not (client_id.isascii() and client_id.isprintable()):
        raise _refused("unknown_client")
    return PresentedCredentials(method, client_id, proof)


def check_single_method(*presented: object) -> None:
    """Raises `OAuthError(INVALID_REQUEST)` where more than one is not None (RFC 6749 §2.3)."""
    if presented.count(None) < len(presented) - 1:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST,
            "The client authenticates in more than one way.",
            reason="two_authentication_methods",
        )


async def authenticate_client(
    provider: Provider, request: Request, form: Mapping[str, str], *, now: int
) -> AuthenticatedClient:
    """The client of a request, proven. The barrier was reached before.

    Raises `OAuthError` (`invalid_client`, `invalid_request`) and `Unavailable`.
    """
    presented = parse_credentials(request, form)
    client = await provider.state.find_client(presented.client_id)
    if presented.method is AuthenticationMethod.PRIVATE_KEY_JWT:
        await _consume_assertion(provider, client, presented, now=now)
    elif presented.method is not AuthenticationMethod.NONE:
        digests = [
            secret.digest
            for secret in (client.secrets if client else ())
            if secret.expires_at is None or now < secret.expires_at
        ]
        if not is_secret(presented.proof, digests or NO_SECRET):
            raise _refused("wrong_secret" if client else "unknown_client")
    if client is None:
        raise _refused("unknown_client")
    if client.authentication is not presented.method:
        raise _refused("wrong_method")
    if not client.enabled:
        raise _refused("client_disabled")
    return AuthenticatedClient(client)


async def _consume_assertion(
    provider: Provider, client: Client | None, presented: PresentedCredentials, *, now: int
) -> None:
    if client is None:
        raise _refused("no_client_keys")
    try:
        checked = await _verify_assertion(provider, client, presented.proof, now=now)
    except (AssertionRefused, NoClientKeys) as error:
        raise _refused(error.reason) from error
    # RFC 7523 §3: a jti is spent once, on whichever node it is shown.
    key = sha256(f"{client.client_id}\n{checked.jti}".encode()).digest()
    consume = partial(provider.store.consume_once, until=checked.expires_at, now=now)
    if not await consume(key):
        if await consume(b"replayed" + key):  # recorded once, however often it is shown
            await provider.store.commit([_build_replay_event(client.client_id, now)])
        raise _refused("assertion_replayed")


async def _verify_assertion(
    provider: Provider, client: Client, assertion: str, *, now: int
) -> CheckedAssertion:
    """Under the keys of the client; where it has others by now, under those."""
    named = client.sign_in.assertion_algorithm if client.sign_in else None

    def verify(keys: JwkSet) -> CheckedAssertion:
        return verify_client_assertion(
            assertion,
            client_id=client.client_id,
            jwks=keys,
            issuer=provider.issuer,
            now=now,
            algorithms=ALGORITHMS if named is None else (named,),
        )

    return await provider.client_keys.try_keys(client, verify)


def _build_replay_event(client_id: str, now: int) -> AuditEvent:
    return AuditEvent(
        at=now,
        actor=client_id,
        action="client.authenticate",
        target=client_id,
        outcome="refused",
        detail={"reason": "assertion_replayed"},
    )


def _refused(reason: str) -> OAuthError:
    return OAuthError(
        ErrorCode.INVALID_CLIENT, "The client could not be authenticated.", reason=reason
    )
