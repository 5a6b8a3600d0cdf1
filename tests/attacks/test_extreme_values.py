"""Values at the edge of what the language can hold end in a refusal, never in another error."""

from collections.abc import Mapping
from typing import Any

import pytest

from dojang.fetch import FetchRequest, FetchResponse
from dojang.jose import json_object
from dojang.jose.jws import CompactSigner
from dojang.jose.keys import KeySet, SigningKey
from dojang.resource import (
    ClientSecretBasic,
    Expect,
    FixedKeys,
    IntrospectionVerifier,
    LocalVerifier,
    Refusal,
    RefusalReason,
    Verifier,
)

ISSUER = "https://as.example"
KEY = SigningKey.generate("ES256", kid="1")
HUGE = 10**400  # JSON can write it, a float cannot hold it
CLAIMS = {
    "iss": ISSUER,
    "sub": "s",
    "aud": "a",
    "client_id": "c",
    "exp": 4_000_000_000,
    "iat": 1,
    "jti": "j",
}


class Says:
    """An issuer that says `claims` of every token."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._body = json_object.dump({"active": True, **claims})

    def send(self, request: FetchRequest) -> FetchResponse:
        return FetchResponse(200, {}, self._body)


def build_verifier(kind: str, claims: Mapping[str, Any], leeway: float) -> Verifier:
    expect = Expect(issuer=ISSUER, audience="a", algorithms=["ES256"], leeway=leeway)
    if kind == "local":
        return LocalVerifier(expect, keys=FixedKeys(KeySet([KEY.verifying_key()])))
    return IntrospectionVerifier(
        expect,
        credentials=ClientSecretBasic("a", "b"),
        endpoint=f"{ISSUER}/introspect",
        transport=Says(claims),
    )


@pytest.mark.proves("C12")
@pytest.mark.parametrize("kind", ["local", "introspection"])
@pytest.mark.parametrize("change", [{"exp": HUGE}, {"exp": -HUGE}, {"iat": HUGE}, {"nbf": HUGE}])
def test_times_beyond_every_float(kind: str, change: dict[str, int]) -> None:
    claims = CLAIMS | change
    token = CompactSigner(KEY, typ="at+jwt").sign(json_object.dump(claims))
    with pytest.raises(Refusal) as refused:
        build_verifier(kind, claims, 0.5).verify(token)
    assert refused.value.reason is RefusalReason.BAD_CLAIM


@pytest.mark.proves("C7")
@pytest.mark.parametrize("kind", ["local", "introspection"])
@pytest.mark.parametrize("token", ["\udc80", "é", "a.b.\ud800"])
def test_characters_that_no_token_has(kind: str, token: str) -> None:
    with pytest.raises(Refusal) as refused:
        build_verifier(kind, CLAIMS, 5).verify(token)
    assert refused.value.reason is RefusalReason.MALFORMED
