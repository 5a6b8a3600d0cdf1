"""One function a parser: any bytes in, a result or our own typed error out."""

from collections.abc import Callable
from typing import Any

from dojang.jose import base64url, json_object
from dojang.jose.errors import JoseError
from dojang.jose.jwe import decrypt_compact, encrypt_compact
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import check_claims
from dojang.jose.keys import KeySet, SigningKey, parse_public_jwk, parse_symmetric_jwk
from dojang.jose.seal import SealKey, SealRing
from tests.jose.material import AUDIENCE, CLAIMS, ISSUER, NOW, compact, jwt, key_for, write

Target = Callable[[bytes], object]

KEYS = [key_for(algorithm, algorithm) for algorithm in ("ES256", "RS256", "EdDSA", "PS256")]
COMPACT = compact(*KEYS)
JWT = jwt(*KEYS)
SEAL = SealKey.from_bytes("seal", bytes(32))
RING = SealRing(SEAL)
WRAPPING: dict[str, Any] = {"kty": "oct", "k": base64url.encode(bytes(32))}
AGREEMENT = {
    name: value
    for name, value in key_for("ES256").private_jwk().items()
    if name not in {"alg", "use", "kid"}
}


def verify_jws(data: bytes) -> object:
    return COMPACT.verify(data.decode("utf-8", "surrogateescape"))


def verify_jwt(data: bytes) -> object:
    signed = JWT.verify(data.decode("utf-8", "surrogateescape"))
    check_claims(signed, issuer=ISSUER, audience=AUDIENCE, now=NOW)
    return signed


def verify_signed_payload(data: bytes) -> object:
    """The payload reader behind a good signature, as a hostile issuer would meet it."""
    return verify_jwt(CompactSigner(KEYS[0], typ="at+jwt").sign(data).encode())


def verify_header(data: bytes) -> object:
    """The header reader, whatever the rest of the token is."""
    return COMPACT.verify(base64url.encode(data) + ".e30.AAAA")


def decrypt(data: bytes) -> object:
    token = data.decode("utf-8", "surrogateescape")
    key, algorithm = (AGREEMENT, "ECDH-ES") if len(data) % 2 else (WRAPPING, "A256KW")
    return decrypt_compact(token, key, algorithm=algorithm, encryption="A256GCM")


TARGETS: dict[str, Target] = {
    "base64url": base64url.decode,
    "json_object": json_object.parse,
    "jwk": lambda data: parse_public_jwk(json_object.parse(data)),
    "symmetric_jwk": lambda data: parse_symmetric_jwk(json_object.parse(data)),
    "private_jwk": lambda data: SigningKey.from_jwk(json_object.parse(data)),
    "key_set": KeySet.parse,
    "compact_jws": verify_jws,
    "header": verify_header,
    "jwt": verify_jwt,
    "signed_payload": verify_signed_payload,
    "seal": lambda data: RING.open(data, b""),
    "jwe": decrypt,
}


def read(target: Target, data: bytes) -> object:
    """Run a target; only `JoseError` may come out, and it is an answer."""
    try:
        return target(data)
    except JoseError as refusal:
        return refusal.reason


def _tokens() -> list[bytes]:
    return [CompactSigner(key, typ="at+jwt").sign(write(CLAIMS)).encode() for key in KEYS]


def _encrypted() -> list[bytes]:
    how: Any = {"encryption": "A256GCM"}
    return [
        encrypt_compact(b"secret", WRAPPING, algorithm="A256KW", **how).encode(),
        encrypt_compact(b"secret", AGREEMENT, algorithm="ECDH-ES", **how).encode(),
    ]


PUBLIC = [write(key.public_jwk()) for key in KEYS]
HEADERS = [write({"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}) for key in KEYS]

SEEDS: dict[str, list[bytes]] = {
    "base64url": [b"", b"QUJD", b"QUJDRA", b"-_-_"],
    "json_object": [write(CLAIMS), b'{"a":[{"b":"\\ud83d\\ude00"}],"c":-1.5e-3}'],
    "jwk": PUBLIC,
    "symmetric_jwk": [write(key_for("HS256").private_jwk())],
    "private_jwk": [write(key.private_jwk()) for key in KEYS],
    "key_set": [b'{"keys":[' + b",".join(PUBLIC) + b"]}", b'{"keys":[]}'],
    "compact_jws": _tokens(),
    "header": HEADERS,
    "jwt": _tokens(),
    "signed_payload": [write(CLAIMS), write(CLAIMS | {"aud": [AUDIENCE], "nbf": NOW})],
    "seal": [SEAL.seal(b"plaintext", b"")],
    "jwe": _encrypted(),
}
