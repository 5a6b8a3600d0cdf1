"""Run by the bare install: verify a good token and refuse it for another audience."""

import sys
import time

from dojang.client import PublicClient, RelyingParty
from dojang.integrations.bff import Bff, SealKey, SealRing, SessionsInOneProcess
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import KeySet, SigningKey
from dojang.resource.errors import Refusal
from dojang.resource.expect import Expect
from dojang.resource.local import LocalVerifier
from dojang.trust.remote_keys import FixedKeys

for name in ("msgspec", "pybase64", "httpx", "joserfc", "uvicorn"):
    assert name not in sys.modules, name

ISSUER = "https://issuer.example"
key = SigningKey.generate("ES256")
now = int(time.time())
claims = {
    "iss": ISSUER,
    "sub": "someone",
    "aud": "https://orders.example",
    "client_id": "someone",
    "iat": now,
    "exp": now + 60,
    "jti": "1",
}
token = sign_jwt(claims, CompactSigner(key, typ="at+jwt"))


def verify(audience: str) -> str:
    expect = Expect(issuer=ISSUER, audience=audience, algorithms=["ES256"])
    verifier = LocalVerifier(expect, keys=FixedKeys(KeySet([key.verifying_key()])))
    return verifier.verify(token).subject


party = RelyingParty(
    issuer=ISSUER,
    credentials=PublicClient("app"),
    redirect_uri="https://app.example/callback",
)
assert party.issuer == ISSUER
Bff(party, ring=SealRing(SealKey.generate()), sessions=SessionsInOneProcess())

assert verify("https://orders.example") == "someone"
print("verified")
try:
    verify("https://payments.example")
except Refusal as refusal:
    print(refusal.reason)
