import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from dojang.jose import base64url
from dojang.jose.errors import (
    InvalidKey,
    InvalidToken,
    JoseMisuse,
    JoseUnavailable,
    Reason,
    UnknownKey,
)
from dojang.jose.jwe import (
    CONTENT_ALGORITHMS,
    KEY_ALGORITHMS,
    PASSWORD_ALGORITHMS,
    decrypt_compact,
    encrypt_compact,
)
from tests.jose.material import STORED, key_for, write

SIZES = {"A128": 16, "A192": 24, "A256": 32}
CONTENT_SIZES = {
    "A128GCM": 16,
    "A192GCM": 24,
    "A256GCM": 32,
    "A128CBC-HS256": 32,
    "A192CBC-HS384": 48,
    "A256CBC-HS512": 64,
}


def octets(length: int) -> dict[str, Any]:
    return {"kty": "oct", "k": base64url.encode(b"k" * length)}


def material(algorithm: str, encryption: str = "A256GCM") -> dict[str, Any]:
    if algorithm.startswith("RSA"):
        jwk = key_for("RS256").private_jwk()
    elif algorithm.startswith("ECDH"):
        jwk = key_for("ES256").private_jwk()
    elif algorithm == "dir":
        jwk = octets(CONTENT_SIZES[encryption])
    else:
        jwk = octets(SIZES.get(algorithm[:4], 20))
    return {name: value for name, value in jwk.items() if name not in {"alg", "use", "kid"}}


def refuse(token: str, key: dict[str, Any], algorithm: str = "A256KW", **how: Any) -> Reason:
    with pytest.raises(InvalidToken) as refusal:
        decrypt_compact(token, key, algorithm=algorithm, encryption="A256GCM", **how)
    return refusal.value.reason


def encrypt(algorithm: str = "A256KW", **how: Any) -> str:
    return encrypt_compact(
        b"secret", material(algorithm), algorithm=algorithm, encryption="A256GCM", **how
    )


def with_header(token: str, **members: Any) -> str:
    """The token under a header with more members; no tag fits it any more."""
    _, _, rest = token.partition(".")
    return f"{base64url.encode(write({'alg': 'A256KW', 'enc': 'A256GCM'} | members))}.{rest}"


@pytest.mark.parametrize("algorithm", sorted(KEY_ALGORITHMS))
@pytest.mark.parametrize("encryption", sorted(CONTENT_ALGORITHMS))
def test_every_algorithm_encrypts_and_decrypts(algorithm: str, encryption: str) -> None:
    key = material(algorithm, encryption)
    how: Any = {"algorithm": algorithm, "encryption": encryption}
    token = encrypt_compact(b"secret", key, extra={"cty": "JWT"}, **how)
    opened = decrypt_compact(token, key, **how)
    assert opened.plaintext == b"secret"
    assert opened.header["cty"] == "JWT"


@pytest.mark.proves("C19")
@pytest.mark.parametrize("algorithm", sorted(PASSWORD_ALGORITHMS))
def test_passwords_are_an_opt_in_with_a_bound(algorithm: str) -> None:
    token, key = encrypt(algorithm, iterations=2000), material(algorithm)
    how: Any = {"algorithm": algorithm, "encryption": "A256GCM"}
    assert decrypt_compact(token, key, iterations=2000, **how).plaintext == b"secret"
    assert decrypt_compact(token, key, iterations=1000, **how).plaintext == b"secret"
    strong = encrypt(algorithm, iterations=2001)
    assert refuse(strong, key, algorithm, iterations=1000) is Reason.ALGORITHM_NOT_ALLOWED
    for count in (999, 2001, 10**9, True, 1e3, "1000", None):
        forged = with_header(token, alg=algorithm, p2c=count, p2s="c2FsdHNhbHQ")
        assert refuse(forged, key, algorithm, iterations=1000) is Reason.ALGORITHM_NOT_ALLOWED
    for iterations in (None, 999):
        with pytest.raises(JoseMisuse):
            decrypt_compact(token, key, iterations=iterations, **how)
    with pytest.raises(InvalidKey):
        decrypt_compact(token, octets(11), iterations=1000, **how)


@pytest.mark.proves("C19")
@pytest.mark.parametrize("algorithm", ["RSA1_5", "none", "", "rsa-oaep"])
def test_what_is_not_in_the_table_cannot_be_configured(algorithm: str) -> None:
    with pytest.raises(JoseMisuse):
        decrypt_compact("", {}, algorithm=algorithm, encryption="A256GCM")
    with pytest.raises(JoseMisuse):
        decrypt_compact("", {}, algorithm="A256KW", encryption=algorithm)


@pytest.mark.proves("C19")
@pytest.mark.parametrize("zip_", ["DEF", None, ""])
def test_compression_is_refused_before_anything_is_decrypted(zip_: object) -> None:
    forged = with_header(encrypt(), zip=zip_)
    assert refuse(forged, material("A256KW")) is Reason.COMPRESSION_NOT_ALLOWED


@pytest.mark.proves("C19")
@pytest.mark.parametrize(
    "members",
    [
        {"alg": "RSA1_5"},
        {"alg": "dir"},
        {"alg": "a256kw"},
        {"alg": None},
        {"enc": "A128GCM"},
        {"enc": None},
    ],
    ids=str,
)
def test_the_algorithms_are_the_configured_ones(members: dict[str, Any]) -> None:
    forged = with_header(encrypt(), **members)
    assert refuse(forged, material("A256KW")) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.proves("C6")
def test_critical_headers_are_refused() -> None:
    forged = with_header(encrypt(), crit=["exp"], exp=1)
    assert refuse(forged, material("A256KW")) is Reason.UNSUPPORTED_CRITICAL_HEADER


def point(**members: Any) -> dict[str, Any]:
    jwk = key_for("ES256", "peer").public_jwk()
    return {name: jwk[name] for name in ("kty", "crv", "x", "y")} | members


@pytest.mark.proves("C18")
@pytest.mark.parametrize(
    "epk",
    [
        point(x=point()["y"]),
        point(y=base64url.encode(bytes(32))),
        point(x=base64url.encode(bytes(32)), y=base64url.encode(bytes(32))),
        point(x=point()["x"] + "AA"),
        point(crv="P-384"),
        point(kty="OKP"),
        point(d="AQ"),
        key_for("ES384").public_jwk(),
        {"kty": "OKP", "crv": "X25519", "x": base64url.encode(b"\1" * 32)},
        {},
        None,
        "point",
        [],
    ],
    ids=range(13),
)
def test_a_peers_point_is_on_our_curve(epk: object) -> None:
    token = with_header(encrypt("ECDH-ES+A256KW"), alg="ECDH-ES+A256KW", epk=epk)
    assert refuse(token, material("ECDH-ES+A256KW"), "ECDH-ES+A256KW") is Reason.BAD_KEY


@pytest.mark.proves("C18")
@pytest.mark.parametrize("x", [bytes(32), b"\1" + bytes(31)])
def test_an_x25519_point_of_small_order_decrypts_nothing(x: bytes) -> None:
    private = x25519.X25519PrivateKey.generate()
    key = {
        "kty": "OKP",
        "crv": "X25519",
        "x": base64url.encode(private.public_key().public_bytes_raw()),
        "d": base64url.encode(private.private_bytes_raw()),
    }
    how: Any = {"algorithm": "ECDH-ES", "encryption": "A256GCM"}
    token = encrypt_compact(b"secret", key, **how)
    assert decrypt_compact(token, key, **how).plaintext == b"secret"
    epk = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(x)}
    assert refuse(with_header(token, alg="ECDH-ES", epk=epk), key, "ECDH-ES")
    short = epk | {"x": base64url.encode(x[1:])}
    forged = with_header(token, alg="ECDH-ES", epk=short)
    assert refuse(forged, key, "ECDH-ES") is Reason.BAD_KEY


@pytest.mark.proves("C8", "C7", "C9")
def test_five_canonical_segments() -> None:
    token, key = encrypt(), material("A256KW")
    for damaged in (
        "",
        "....",
        token + ".",
        token.rpartition(".")[0],
        token + "=",
        token.replace(".", ".é", 1),
        "{" + token,
    ):
        assert refuse(damaged, key) is Reason.MALFORMED
    assert refuse(token + "A" * 16_384, key) is Reason.TOO_LARGE
    assert refuse(encrypt("dir").replace("..", ".AAAA.", 1), key, "dir") is Reason.MALFORMED


@pytest.mark.parametrize("segment", [1, 2, 3, 4])
def test_every_segment_counts(segment: int) -> None:
    segments = encrypt().split(".")
    data = bytearray(base64url.decode(segments[segment]))
    data[0] ^= 1
    segments[segment] = base64url.encode(bytes(data))
    assert refuse(".".join(segments), material("A256KW")) is Reason.BAD_ENCRYPTION
    segments[segment] = base64url.encode(bytes(data[:-1]))
    assert refuse(".".join(segments), material("A256KW")) is Reason.BAD_ENCRYPTION


def test_a_token_for_another_key_is_an_unknown_key() -> None:
    token = encrypt_compact(
        b"secret", material("A256KW") | {"kid": "a"}, algorithm="A256KW", encryption="A256GCM"
    )
    assert refuse(token, material("A256KW") | {"kid": "b"}) is Reason.UNKNOWN_KEY
    with pytest.raises(UnknownKey):
        decrypt_compact(
            token, material("A256KW") | {"kid": "b"}, algorithm="A256KW", encryption="A256GCM"
        )
    how: Any = {"algorithm": "A256KW", "encryption": "A256GCM"}
    assert decrypt_compact(token, material("A256KW"), **how).header["kid"] == "a"


@pytest.mark.proves("C3", "C16")
@pytest.mark.parametrize(
    "algorithm, key",
    [
        ("A256KW", octets(16)),
        ("A256KW", octets(33)),
        ("A256KW", material("RSA-OAEP")),
        ("A256KW", octets(32) | {"alg": "A256GCMKW"}),
        ("A256KW", octets(32) | {"alg": None}),
        ("A256KW", octets(32) | {"use": "sig"}),
        ("A256KW", octets(32) | {"key_ops": ["verify"]}),
        ("A256KW", {"kty": "oct", "k": 7}),
        ("A256KW", {"kty": None}),
        ("A256KW", {}),
        ("dir", octets(16)),
        ("dir", octets(32) | {"alg": "A128GCM"}),
        ("RSA-OAEP", STORED["small_rsa"]),
        ("RSA-OAEP", STORED["small_exponent"]),
        ("RSA-OAEP", material("ECDH-ES")),
        ("ECDH-ES", material("RSA-OAEP")),
        ("ECDH-ES", material("ECDH-ES") | {"crv": "secp256k1"}),
        ("ECDH-ES", {"kty": "OKP", "crv": "X25519", "x": "AQ"}),
        ("ECDH-ES", key_for("EdDSA").private_jwk() | {"alg": "ECDH-ES", "use": "enc"}),
    ],
)
def test_keys_fit_the_algorithm_and_the_policy(algorithm: str, key: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        encrypt_compact(b"secret", key, algorithm=algorithm, encryption="A256GCM")


def test_extra_header_members_replace_nothing() -> None:
    for name in ("alg", "enc", "zip", "kid", "epk", "p2c"):
        with pytest.raises(JoseMisuse):
            encrypt(extra={name: "x"})


def test_without_joserfc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    token = encrypt()
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(JoseUnavailable, match="dojang"):
        decrypt_compact(token, material("A256KW"), algorithm="A256KW", encryption="A256GCM")
