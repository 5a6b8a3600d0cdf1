"""What a client calls a person: the same name as every other, or one of its own sector (OpenID
Connect Core §8). A name is never given to anybody else: account ids are random, and never reused.
"""

from __future__ import annotations

import hmac
from typing import Final

from dojang.jose import base64url
from dojang.server.model import Client, SubjectType

_PAIRWISE_KEY: Final = b"dojang pairwise key"


class Subjects:
    """Names people by a key that only the server has."""

    __slots__ = ("_key",)

    def __init__(self, encryption_key: bytes) -> None:
        """`encryption_key` is the key-encryption key: the names last as long as it does."""
        self._key = hmac.digest(encryption_key, _PAIRWISE_KEY, "sha256")

    def name(self, account_id: str, client: Client) -> str:
        """The `sub` of the person for `client`."""
        sign_in = client.sign_in
        if sign_in is None or sign_in.subject_type is SubjectType.PUBLIC:
            return account_id
        sector = sign_in.sector or client.client_id
        digest = hmac.digest(self._key, f"{sector}\n{account_id}".encode(), "sha256")
        return base64url.encode(digest)
