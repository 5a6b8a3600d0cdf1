"""Why a sign-in, a refresh or a logout is refused. Nothing here holds a token, a code or a claim.

What came back is wrong: `SignInRefused`, `LogoutRefused`. The provider said no: `SignInDenied`, and
`TokenRefused` at its token endpoint. The answer is not known: `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from dojang.jose.errors import JoseError, Reason


class Flaw(StrEnum):
    """The first group is about the answer that a browser brings, the second about a token."""

    MALFORMED_RESPONSE = "malformed_response"
    OTHER_TRANSACTION = "other_transaction"
    TRANSACTION_EXPIRED = "transaction_expired"
    NO_ISSUER = "no_issuer"
    OTHER_ISSUER = "other_issuer"
    NO_CODE = "no_code"
    NO_ID_TOKEN = "no_id_token"

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    UNSUPPORTED_CRITICAL_HEADER = "unsupported_critical_header"
    UNKNOWN_KEY = "unknown_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    MISSING_CLAIM = "missing_claim"
    BAD_CLAIM = "bad_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_PARTY = "wrong_party"
    WRONG_NONCE = "wrong_nonce"
    WRONG_ACCESS_TOKEN = "wrong_access_token"
    WRONG_CODE = "wrong_code"
    SIGNED_IN_TOO_LONG_AGO = "signed_in_too_long_ago"
    WRONG_ACR = "wrong_acr"
    OTHER_PERSON = "other_person"
    NOT_A_LOGOUT = "not_a_logout"


_KNOWN: Final = frozenset(flaw.value for flaw in Flaw)
_OF_REASON: Final[Mapping[Reason, Flaw]] = {
    reason: Flaw(reason.value) for reason in Reason if reason.value in _KNOWN
}


class SignInRefused(Exception):
    """What came back is not the answer to what was asked; nobody is signed in. `flaw` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(str(flaw))
        self.flaw = flaw


class IdTokenRefused(SignInRefused):
    """It came back with an id_token that says nothing (OpenID Connect Core §3.1.3.7)."""


class LogoutRefused(Exception):
    """It is no logout token of this provider for this client. `flaw` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(str(flaw))
        self.flaw = flaw


class SignInDenied(Exception):
    """The provider answered with an error (RFC 6749 §4.1.2.1, RFC 9126 §2.3, OpenID Connect Core
    §3.1.2.6). `error` is its code, such as `access_denied` or `login_required`."""

    def __init__(self, error: str) -> None:
        super().__init__(f"the provider answered: {error}")
        self.error = error


def find_flaw(error: JoseError) -> Flaw:
    """The flaw that a failed verification is."""
    return _OF_REASON.get(error.reason, Flaw.MALFORMED)
