"""Claims that should not stand in a signed token: it is encoded, not encrypted, and whoever holds
it or a log of it reads everything (RFC 7519 §12, RFC 8725 §2.9).

Names and values are looked at; what they say is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple


class SensitiveClaim(NamedTuple):
    """Where it stands (`address.street`, `contacts[0]`) and what it seems to be."""

    path: str
    kind: str


_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "a password or secret": frozenset(
        {"password", "passwd", "pwd", "passphrase", "pin", "otp", "secret", "clientsecret"}
        | {"apikey", "accesskey", "secretkey", "privatekey", "credential", "credentials"}
    ),
    "a government identifier": frozenset(
        {"ssn", "socialsecuritynumber", "passport", "passportnumber", "nationalid", "taxid"}
        | {"rrn", "residentregistrationnumber", "driverslicense", "주민등록번호", "여권번호"}
    ),
    "a payment detail": frozenset(
        {"creditcard", "card", "cardnumber", "pan", "cvv", "cvc", "iban", "bankaccount"}
        | {"accountnumber", "계좌번호", "카드번호"}
    ),
    "a contact detail": frozenset(
        {"email", "mail", "phone", "phonenumber", "mobile", "address", "street", "streetaddress"}
        | {"postalcode", "이메일", "전화번호", "주소"}
    ),
    "a personal trait": frozenset(
        {"birthdate", "birthday", "dateofbirth", "dob", "gender", "religion", "ethnicity"}
        | {"health", "diagnosis", "salary", "income", "생년월일"}
    ),
}
_KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names}

_SHAPES: Final = (
    ("an e-mail address", re.compile(r"[^\s@]{1,64}@[^\s@/]{1,255}\.[A-Za-z]{2,}")),
    ("a Korean resident registration number", re.compile(r"\d{6}-?[1-8]\d{6}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*")),
    ("a token", re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*|dojang_[a-z]+_[\w-]{20,}")),
)
_CARD: Final = re.compile(r"\d(?:[ -]?\d){12,18}")
# Who made it, for whom and when: registered claims that are what they are.
_EXEMPT: Final = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "rev"})


def find_sensitive_claims(claims: Mapping[str, Any]) -> list[SensitiveClaim]:
    """Every claim that should not be there, in the order of the token; usually none."""
    return [
        found
        for name, value in claims.items()
        if name not in _EXEMPT
        for found in _search(name, name, value)
    ]


def _search(path: str, name: str, value: Any) -> Iterator[SensitiveClaim]:
    kind = _KIND_OF.get(re.sub(r"[\W_]", "", name).lower())
    if kind is not None and value not in (None, False, True, "", [], {}):
        yield SensitiveClaim(path, kind)
    elif isinstance(value, str):
        kind = _recognise(value)
        if kind is not None:
            yield SensitiveClaim(path, kind)
    elif isinstance(value, Mapping):
        for member, inside in value.items():
            yield from _search(f"{path}.{member}", member, inside)
    elif isinstance(value, list):
        for at, inside in enumerate(value):
            yield from _search(f"{path}[{at}]", "", inside)


def _recognise(value: str) -> str | None:
    for kind, shape in _SHAPES:
        if shape.fullmatch(value):
            return kind
    if _CARD.fullmatch(value) and _passes_luhn([int(digit) for digit in value if digit.isdigit()]):
        return "a payment card number"
    return None


def _passes_luhn(digits: list[int]) -> bool:
    # ISO/IEC 7812-1 Annex B
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
