"""What is said of people, for the eyes of one client alone: encrypted to its own public key, after
it was signed (OpenID Connect Core §10.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dojang.jose.errors import InvalidKey
from dojang.jose.jwe import encrypt_compact
from dojang.jose.jwe_keys import find_encryption_algorithms
from dojang.jose.jwk import parse_kid
from dojang.oauth.errors import ErrorCode, OAuthError
from dojang.server.client_keys import JwkSet, NoClientKeys
from dojang.server.model import Client

if TYPE_CHECKING:
    from dojang.server.provider import Provider

_MATERIAL: Final = ("kty", "n", "e", "crv", "x", "y", "kid")


class Encryptor(NamedTuple):
    """Encrypts to one public key: `algorithm` and `encryption` are `alg` and `enc` (RFC 7516)."""

    key: Mapping[str, Any]
    algorithm: str
    encryption: str

    def encrypt(self, said: bytes, *, is_jwt: bool) -> str:
        """`said` as a compact JWE. `is_jwt`: it is a JWT itself (RFC 7519 §5.2).

        Raises `OAuthError(UNAUTHORIZED_CLIENT)` for a key that fits and is none."""
        try:
            return encrypt_compact(
                said,
                self.key,
                algorithm=self.algorithm,
                encryption=self.encryption,
                extra={"cty": "JWT"} if is_jwt else None,
            )
        except InvalidKey as error:
            raise _refuse(self.algorithm, "bad_encryption_key") from error


async def find_encryptor(
    provider: Provider, client: Client, wanted: tuple[str, str] | None
) -> Encryptor | None:
    """How to encrypt to `client`; None where it wants nothing encrypted.

    Raises `OAuthError(UNAUTHORIZED_CLIENT)` where it wants that and has no key for it.
    """
    if wanted is None:
        return None
    algorithm, encryption = wanted
    try:
        key = find_encryption_key(await provider.client_keys.load(client), algorithm)
    except NoClientKeys as error:
        raise _refuse(algorithm, error.reason) from error
    if key is None:
        raise _refuse(algorithm, "no_encryption_key")
    return Encryptor(key, algorithm, encryption)


def find_encryption_key(keys: JwkSet, algorithm: str) -> dict[str, Any] | None:
    """The first key of a set that one may encrypt to, best one that is for nothing else."""
    entries = keys.get("keys")
    fitting = [
        entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and _fits(entry, algorithm)
    ]
    fitting.sort(key=lambda entry: entry.get("use") != "enc")
    return {name: fitting[0][name] for name in _MATERIAL if name in fitting[0]} if fitting else None


def _fits(entry: Mapping[str, Any], algorithm: str) -> bool:
    try:
        parse_kid(entry)
    except InvalidKey:
        return False
    return algorithm in find_encryption_algorithms(entry)


def _refuse(algorithm: str, reason: str) -> OAuthError:
    return OAuthError(
        ErrorCode.UNAUTHORIZED_CLIENT,
        f"The client has no public key to encrypt to with {algorithm}.",
        reason=reason,
    )
