import json
from math import prod
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dojang.jose import base64url
from dojang.jose.errors import InvalidKey, InvalidToken, JoseMisuse, Reason, UnknownKey
from dojang.jose.keys import (
    ALGORITHMS,
    KeySet,
    SigningKey,
    parse_public_jwk,
    parse_symmetric_jwk,
)
from tests.jose.material import ASYMMETRIC, STORED, SYMMETRIC, key_for, key_set

RSA = key_for("RS256").public_jwk()
EC = key_for("ES256").public_jwk()
OKP = key_for("EdDSA").public_jwk()


def refuse(jwk: dict[str, Any]) -> Reason:
    with pytest.raises(InvalidKey) as refusal:
        parse_public_jwk(jwk)
    return refusal.value.reason


def number(value: int) -> str:
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_private_jwk_restores_the_key(algorithm: str) -> None:
    key = key_for(algorithm)
    restored = SigningKey.from_jwk(json.loads(json.dumps(key.private_jwk())))
    assert restored.private_jwk() == key.private_jwk()
    key.verifying_key().verifier(algorithm)(restored.sign(b"x"), b"x")


@pytest.mark.proves("C95")
@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_public_jwk_has_no_private_member(algorithm: str) -> None:
    key = key_for(algorithm)
    public = key.public_jwk()
    assert public.keys() <= {"kty", "crv", "x", "y", "n", "e", "alg", "kid", "use"}
    assert public["alg"] == algorithm
    assert parse_public_jwk(public).algorithms == {algorithm}
    assert parse_public_jwk(public).public_jwk() == public


@pytest.mark.proves("C95")
@pytest.mark.parametrize("algorithm", SYMMETRIC)
def test_a_secret_is_never_published(algorithm: str) -> None:
    with pytest.raises(JoseMisuse):
        key_for(algorithm).public_jwk()
    parsed = KeySet.parse({"keys": [key_for(algorithm).private_jwk(), EC]})
    assert parsed.kids == {EC["kid"]}
    assert [entry.position for entry in parsed.skipped] == [0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_key_shows_its_secret(algorithm: str) -> None:
    key = key_for(algorithm)
    secret = key.private_jwk()["k" if algorithm in SYMMETRIC else "d"]
    for shown in (repr(key), repr(key.verifying_key()), repr(key_set(key))):
        assert secret not in shown


def test_the_thumbprint_of_rfc_7638_section_3_1() -> None:
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS"
        "oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR"
        "0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhA"
        "I4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
    }
    thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert parse_public_jwk(jwk).thumbprint == thumbprint


@pytest.mark.proves("C3")
@pytest.mark.parametrize(
    "jwk, algorithms",
    [
        (RSA, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (EC, {"ES256"}),
        (OKP, {"EdDSA", "Ed25519"}),
    ],
)
def test_a_key_without_alg_serves_what_its_type_and_curve_can(
    jwk: dict[str, Any], algorithms: set[str]
) -> None:
    key = parse_public_jwk(without(jwk, "alg", "use", "kid"))
    assert key.algorithms == algorithms
    assert key.kid is None
    for name in ALGORITHMS.keys() - algorithms:
        with pytest.raises(JoseMisuse):
            key.verifier(name)


@pytest.mark.proves("C3")
@pytest.mark.parametrize("jwk", [RSA, EC, OKP], ids=["RSA", "EC", "OKP"])
@pytest.mark.parametrize(
    "members",
    [
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"alg": "none"},
        {"alg": "rs256"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"use": "enc"},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": ["sign"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"key_ops": ["verify", "verify"]},
        {"key_ops": ["verify", 1]},
        {"key_ops": [["verify"]]},
        {"kty": "oct"},
        {"kty": "rsa"},
        {"kty": None},
        {"kty": ["RSA"]},
    ],
    ids=str,
)
def test_what_disagrees_refuses_the_key(jwk: dict[str, Any], members: dict[str, Any]) -> None:
    assert refuse(jwk | members) is Reason.BAD_KEY


@pytest.mark.proves("C3")
@pytest.mark.parametrize("jwk", [RSA, EC, OKP], ids=["RSA", "EC", "OKP"])
def test_what_agrees_is_accepted(jwk: dict[str, Any]) -> None:
    assert parse_public_jwk(jwk | {"use": "sig", "key_ops": ["verify"]}).algorithms
    assert parse_public_jwk(without(jwk, "use") | {"key_ops": ["sign", "verify"]}).algorithms


@pytest.mark.proves("C95", "C3")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_public_jwk_with_a_private_member_is_refused(member: str) -> None:
    for jwk in (RSA, EC, OKP):
        assert refuse(jwk | {member: "AQ"}) is Reason.BAD_KEY


@pytest.mark.proves("C16")
def test_rsa_sizes() -> None:
    assert refuse(STORED["small_rsa"]) is Reason.WEAK_KEY
    modulus = int.from_bytes(base64url.decode(RSA["n"]), "big")
    assert refuse(RSA | {"n": number(modulus >> 1 | 1)}) is Reason.WEAK_KEY
    assert refuse(RSA | {"n": number((1 << 8192) + 1)}) is Reason.WEAK_KEY
    assert refuse(RSA | {"n": number(modulus - 1)}) is Reason.WEAK_KEY
    with pytest.raises(JoseMisuse):
        SigningKey.generate("RS256", rsa_bits=1024)


@pytest.mark.proves("C16")
def test_rsa_exponents() -> None:
    assert refuse(STORED["small_exponent"]) is Reason.WEAK_KEY
    for exponent in (1, 3, 65535, 65536, 65538, (1 << 256) + 1):
        assert refuse(RSA | {"e": number(exponent)}) is Reason.WEAK_KEY


@pytest.mark.proves("C16")
def test_the_roca_fingerprint() -> None:
    primes = [n for n in range(3, 168) if all(n % d for d in range(2, n))]
    product = prod(primes) * 2
    base = pow(65537, 4711, product)
    modulus = base + product * ((1 << 2047) // product + 12345)
    assert modulus.bit_length() == 2048
    assert refuse(RSA | {"n": number(modulus)}) is Reason.WEAK_KEY
    with pytest.raises(InvalidKey, match="ROCA"):
        parse_public_jwk(RSA | {"n": number(modulus)})


@pytest.mark.proves("C16")
@pytest.mark.parametrize("curve", ["P-224", "P-192", "secp256k1", "p-256", "", None, 1, ["P-256"]])
def test_curves_off_the_list(curve: object) -> None:
    assert refuse(without(EC, "alg") | {"crv": curve}) is Reason.BAD_KEY
    assert refuse(without(OKP, "alg") | {"crv": curve or "Ed448"}) is Reason.BAD_KEY


@pytest.mark.proves("C16")
def test_points_off_the_curve() -> None:
    x, y = (int.from_bytes(base64url.decode(EC[name]), "big") for name in ("x", "y"))
    for name, value in (("x", x ^ 1), ("y", y ^ 1), ("x", 0), ("y", 0)):
        encoded = base64url.encode(value.to_bytes(32, "big"))
        assert refuse(EC | {name: encoded}) is Reason.BAD_KEY
    assert refuse(EC | {"x": EC["y"], "y": EC["x"]}) is Reason.BAD_KEY


@pytest.mark.proves("C16")
def test_coordinates_have_the_width_of_the_curve() -> None:
    x = base64url.decode(EC["x"])
    assert refuse(EC | {"x": base64url.encode(b"\0" + x)}) is Reason.BAD_KEY
    short = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    while short.x >> 248:
        short = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    full = {"kty": "EC", "crv": "P-256", "y": base64url.encode(short.y.to_bytes(32, "big"))}
    assert parse_public_jwk(full | {"x": base64url.encode(short.x.to_bytes(32, "big"))}).algorithms
    assert refuse(full | {"x": base64url.encode(short.x.to_bytes(31, "big"))}) is Reason.BAD_KEY


@pytest.mark.proves("C16")
@pytest.mark.parametrize(
    "y",
    [
        0,
        1,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    ],
)
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_ed25519_points_of_small_order(y: int, sign: int) -> None:
    x = base64url.encode((y | sign).to_bytes(32, "little"))
    assert refuse(OKP | {"x": x}) is Reason.WEAK_KEY


@pytest.mark.parametrize("name", ["n", "e"])
@pytest.mark.parametrize("value", [None, 1, "", "AQAB=", "AAEAAQ", "A", "!", "AAAA"])
def test_numbers_are_minimal_base64url(name: str, value: object) -> None:
    assert refuse(RSA | {name: value}) is Reason.BAD_KEY


@pytest.mark.proves("C16")
@pytest.mark.parametrize("algorithm, size", [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_hmac_keys_are_as_long_as_the_hash(algorithm: str, size: int) -> None:
    def jwk(length: int) -> dict[str, str]:
        return {"kty": "oct", "alg": algorithm, "k": base64url.encode(b"x" * length)}

    assert parse_symmetric_jwk(jwk(size)).algorithms == {algorithm}
    for length in (0, 1, size - 1, 1025):
        with pytest.raises(InvalidKey) as refusal:
            parse_symmetric_jwk(jwk(length))
        assert refusal.value.reason is Reason.WEAK_KEY


@pytest.mark.proves("C4", "C119")
def test_a_symmetric_key_is_an_opt_in_by_name() -> None:
    secret = key_for("HS256").private_jwk()
    assert refuse(secret) is Reason.BAD_KEY
    with pytest.raises(InvalidKey):
        parse_symmetric_jwk(without(secret, "alg"))
    with pytest.raises(InvalidKey):
        parse_symmetric_jwk(EC)
    with pytest.raises(InvalidKey):
        KeySet.parse_symmetric({"keys": [secret, EC]})
    assert KeySet.parse_symmetric({"keys": [secret]}).symmetric


@pytest.mark.proves("C20")
@pytest.mark.parametrize("kid", ["", "x" * 129, 1, None, ["k"]])
def test_a_kid_is_a_short_string(kid: object) -> None:
    assert refuse(EC | {"kid": kid}) is Reason.BAD_KEY


@pytest.mark.proves("K2")
def test_select_finds_exactly_one_key() -> None:
    first, second, rsa = key_for("ES256"), key_for("ES256", "k2"), key_for("RS256", "k3")
    keys = key_set(first, second, rsa)
    assert keys.kids == {"k1", "k2", "k3"}
    assert keys.select("ES256", "k2").kid == "k2"
    assert keys.select("RS256", None).kid == "k3"
    for algorithm, kid, reason in (
        ("ES256", None, Reason.AMBIGUOUS_KEY),
        ("RS256", "k1", Reason.ALGORITHM_NOT_ALLOWED),
        ("ES256", "k4", Reason.UNKNOWN_KEY),
        ("ES384", None, Reason.UNKNOWN_KEY),
    ):
        with pytest.raises(InvalidToken) as refusal:
            keys.select(algorithm, kid)
        assert refusal.value.reason is reason
        assert isinstance(refusal.value, UnknownKey) == (reason is Reason.UNKNOWN_KEY)


@pytest.mark.proves("K2")
def test_two_keys_of_one_kid_are_ambiguous() -> None:
    twin = SigningKey.generate("ES256", "k1")
    with pytest.raises(InvalidToken) as refusal:
        key_set(key_for("ES256"), twin).select("ES256", "k1")
    assert refusal.value.reason is Reason.AMBIGUOUS_KEY


@pytest.mark.proves("C99")
def test_a_bad_entry_is_skipped_and_named() -> None:
    entries = [EC | {"kid": "good"}, EC | {"use": "enc"}, STORED["small_rsa"], 7, {}, RSA]
    parsed = KeySet.parse(json.dumps({"keys": entries, "x": 1}).encode())
    assert [key.kid for key in parsed.keys] == ["good", RSA["kid"]]
    assert [(entry.position, entry.reason) for entry in parsed.skipped] == [
        (1, Reason.BAD_KEY),
        (2, Reason.WEAK_KEY),
        (3, Reason.BAD_KEY),
        (4, Reason.BAD_KEY),
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":[' + b",".join([b"{}"] * 257) + b"]}",
        b'{"keys":[],"x":"' + b"x" * 262_144 + b'"}',
    ],
    ids=range(8),
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidKey):
        KeySet.parse(document)


@pytest.mark.parametrize(
    "change",
    [
        {"d": base64url.encode(b"\1" * 32)},
        {"d": base64url.encode(b"\1" * 31)},
        {"d": None},
        {"d": ""},
        {"alg": "ES384"},
        {"key_ops": ["verify"]},
        {"kid": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_halves_that_do_not_belong_together(algorithm: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        SigningKey.from_jwk(key_for(algorithm).private_jwk() | change)


def test_a_private_jwk_names_its_algorithm() -> None:
    with pytest.raises(InvalidKey):
        SigningKey.from_jwk(without(key_for("RS256").private_jwk(), "alg"))
    with pytest.raises(InvalidKey):
        SigningKey.from_jwk(key_for("RS256").private_jwk() | {"oth": []})


def test_a_generated_key_is_named_by_its_thumbprint() -> None:
    key = SigningKey.generate("ES256")
    assert key.kid == key.verifying_key().thumbprint == key.public_jwk()["kid"]
    secret = SigningKey.generate("HS256")
    assert secret.kid != secret.verifying_key().thumbprint
    assert secret.kid not in {SigningKey.generate("HS256").kid, ""}
