"""RFC 7520, RFC 7797 and RFC 8037 examples: verified where our policy allows, else refused for
the reason stated."""

import json
from typing import Any

import pytest

from dojang.jose import base64url
from dojang.jose.errors import InvalidKey, InvalidToken, JoseError, JoseMisuse, Reason
from dojang.jose.jwe import decrypt_compact, encrypt_compact
from dojang.jose.jws import CompactSigner, CompactVerifier
from dojang.jose.keys import KeySet, SigningKey, parse_public_jwk, parse_symmetric_jwk
from tests.vectors.source import rfc7520

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}

SIGNED = [
    "jws__4_1.rsa_v15_signature",
    "jws__4_2.rsa-pss_signature",
    "jws__4_3.ecdsa_signature",
    "jws__4_4.hmac-sha2_integrity_protection",
    "curve25519__jws",
]
SIGNED_AS_JSON_ONLY = [
    "jws__4_6.protecting_specific_header_fields",
    "jws__4_7.protecting_content_only",
    "jws__4_8.multiple_signatures",
    "rfc7797__4.2.hmac-sha2_b64_false",
]
ENCRYPTED = [
    "jwe__5_2.key_encryption_using_rsa-oaep_with_aes-gcm",
    "jwe__5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm",
    "jwe__5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2",
    "jwe__5_6.direct_encryption_using_aes-gcm",
    "jwe__5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2",
    "jwe__5_8.key_wrap_using_aes-keywrap_with_aes-gcm",
    "curve25519__ecdh-es",
]
ENCRYPTED_AS_JSON_ONLY = [
    "jwe__5_10.including_additional_authentication_data",
    "jwe__5_11.protecting_specific_header_fields",
    "jwe__5_12.protecting_content_only",
    "jwe__5_13.encrypting_to_multiple_recipients",
]


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in PRIVATE}


def key_set(jwk: dict[str, Any]) -> KeySet:
    if jwk["kty"] == "oct":
        return KeySet([parse_symmetric_jwk(jwk)])
    return KeySet([parse_public_jwk(public(jwk))])


def verifier(jwk: dict[str, Any], algorithm: str, typ: str | None = None) -> CompactVerifier:
    return CompactVerifier(key_set(jwk), algorithms=[algorithm], types=[typ])


@pytest.mark.proves("K1")
@pytest.mark.parametrize("name", SIGNED)
def test_compact_signatures_verify(name: str) -> None:
    example = rfc7520(name)
    given = example["input"]
    signed = verifier(given["key"], given["alg"]).verify(example["output"]["compact"])
    assert signed.payload == given["payload"].encode()
    assert signed.header == example["signing"]["protected"]


@pytest.mark.parametrize("name", SIGNED)
def test_we_sign_the_same_payload_with_the_same_key(name: str) -> None:
    example = rfc7520(name)
    given = example["input"]
    key = SigningKey.from_jwk(given["key"] | {"alg": given["alg"]})
    token = CompactSigner(key, typ=None).sign(given["payload"].encode())
    ours = CompactVerifier(KeySet([key.verifying_key()]), algorithms=[key.algorithm], types=[None])
    assert ours.verify(token).payload == given["payload"].encode()
    reproducible = example.get("reproducible") and "kid" in example["signing"]["protected"]
    assert not reproducible or token == example["output"]["compact"]


@pytest.mark.proves("C8")
@pytest.mark.parametrize("name", [*SIGNED_AS_JSON_ONLY, "jws__4_5.signature_with_detached_content"])
@pytest.mark.parametrize("form", ["json", "json_flat"])
def test_json_serialisation_is_refused(name: str, form: str) -> None:
    example = rfc7520(name)
    key = example["input"]["key"]
    if form not in example["output"]:
        form = "json"
    keys = key_set(key[0] if isinstance(key, list) else key)
    algorithms = set().union(*(found.algorithms for found in keys.keys))
    with pytest.raises(InvalidToken) as refusal:
        CompactVerifier(keys, algorithms=algorithms, types=[None]).verify(
            json.dumps(example["output"][form])
        )
    assert refusal.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "name", ["jws__4_6.protecting_specific_header_fields", "jws__4_8.multiple_signatures"]
)
def test_what_json_serialisation_protected_verifies_when_written_compactly(name: str) -> None:
    example = rfc7520(name)
    given, output = example["input"], example["output"]["json"]
    key = given["key"][0] if isinstance(given["key"], list) else given["key"]
    algorithm = given["alg"][0] if isinstance(given["alg"], list) else given["alg"]
    part = output["signatures"][0]
    token = f"{part['protected']}.{output['payload']}.{part['signature']}"
    assert verifier(key, algorithm).verify(token).payload == given["payload"].encode()


def test_a_detached_payload_is_no_token_and_verifies_once_attached() -> None:
    example = rfc7520("jws__4_5.signature_with_detached_content")
    given, compact = example["input"], example["output"]["json_flat"]
    attached = base64url.encode(given["payload"].encode())
    check = verifier(given["key"], "HS256")
    token = f"{compact['protected']}.{attached}.{compact['signature']}"
    assert check.verify(token).payload == given["payload"].encode()
    with pytest.raises(InvalidToken) as refusal:
        check.verify(f"{compact['protected']}..{compact['signature']}")
    assert refusal.value.reason is Reason.BAD_SIGNATURE


@pytest.mark.proves("C6")
def test_unencoded_payloads_are_refused() -> None:
    example = rfc7520("rfc7797__hmac-sha2_b64_false")
    key = example["input"]["key"]
    header = base64url.encode(b'{"alg":"HS256","b64":false,"crit":["b64"]}')
    payload = base64url.encode(example["input"]["payload"].encode())
    with pytest.raises(InvalidToken) as refusal:
        verifier(key, "HS256").verify(f"{header}.{payload}.{example['signing']['sig']}")
    assert refusal.value.reason is Reason.UNSUPPORTED_CRITICAL_HEADER
    with pytest.raises(InvalidToken):
        verifier(key, "HS256").verify(example["output"]["compact"])


@pytest.mark.parametrize("name", ENCRYPTED)
def test_compact_encryptions_open(name: str) -> None:
    example = rfc7520(name)
    given = example["input"]
    opened = decrypt_compact(
        example["output"]["compact"],
        given["key"],
        algorithm=given["alg"],
        encryption=given["enc"],
    )
    assert opened.plaintext == given["plaintext"].encode()
    assert opened.header == example["encrypting_content"]["protected"]


@pytest.mark.parametrize("name", ENCRYPTED)
def test_we_encrypt_the_same_plaintext_for_the_same_key(name: str) -> None:
    given = rfc7520(name)["input"]
    how = {"algorithm": given["alg"], "encryption": given["enc"]}
    token = encrypt_compact(given["plaintext"].encode(), public(given["key"]), **how)
    assert decrypt_compact(token, given["key"], **how).plaintext == given["plaintext"].encode()


@pytest.mark.proves("C8")
@pytest.mark.parametrize("name", ENCRYPTED_AS_JSON_ONLY)
def test_encryptions_in_json_serialisation_are_refused(name: str) -> None:
    example = rfc7520(name)
    key = example["input"]["key"]
    key = key[2] if isinstance(key, list) else key
    with pytest.raises(InvalidToken) as refusal:
        decrypt_compact(
            json.dumps(example["output"]["json"]),
            key,
            algorithm=key["alg"],
            encryption="A128CBC-HS256",
        )
    assert refusal.value.reason in {Reason.MALFORMED, Reason.TOO_LARGE}


@pytest.mark.proves("C19")
def test_rsa1_5_cannot_be_configured_and_is_refused() -> None:
    example = rfc7520("jwe__5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2")
    given, token = example["input"], example["output"]["compact"]
    with pytest.raises(JoseMisuse):
        decrypt_compact(token, given["key"], algorithm="RSA1_5", encryption=given["enc"])
    with pytest.raises(InvalidToken) as refusal:
        decrypt_compact(token, given["key"], algorithm="RSA-OAEP", encryption=given["enc"])
    assert refusal.value.reason is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.proves("C19")
def test_password_based_encryption_opens_only_when_configured_and_bounded() -> None:
    example = rfc7520("jwe__5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2")
    given, token = example["input"], example["output"]["compact"]
    key = {"kty": "oct", "k": base64url.encode(given["pwd"].encode())}
    how: Any = {"algorithm": given["alg"], "encryption": given["enc"]}
    opened = decrypt_compact(token, key, iterations=4096, **how)
    assert opened.plaintext == given["plaintext"].encode()
    with pytest.raises(JoseMisuse):
        decrypt_compact(token, key, **how)
    with pytest.raises(InvalidToken) as refusal:
        decrypt_compact(token, key, iterations=4095, **how)
    assert refusal.value.reason is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.proves("C19")
def test_compressed_content_is_refused() -> None:
    example = rfc7520("jwe__5_9.compressed_content")
    given = example["input"]
    with pytest.raises(InvalidToken) as refusal:
        decrypt_compact(
            example["output"]["compact"],
            given["key"],
            algorithm=given["alg"],
            encryption=given["enc"],
        )
    assert refusal.value.reason is Reason.COMPRESSION_NOT_ALLOWED


def test_a_signature_nested_in_an_encryption() -> None:
    example = rfc7520("6.nesting_signatures_and_encryption")
    sign, encrypt = example["sign"], example["encrypt"]
    given = encrypt["input"]
    opened = decrypt_compact(
        encrypt["output"]["compact"],
        given["key"],
        algorithm=given["alg"],
        encryption=given["enc"],
    )
    token = opened.plaintext.decode()
    assert token == sign["output"]["compact"]
    signed = verifier(sign["input"]["key"], "PS256", "JWT").verify(token)
    assert signed.payload == sign["input"]["payload"].encode()


@pytest.mark.parametrize(
    "name, fits",
    [
        ("jwk__3_1.ec_public_key", {"ES512"}),
        ("jwk__3_3.rsa_public_key", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ],
)
def test_public_keys_load(name: str, fits: set[str]) -> None:
    assert parse_public_jwk(rfc7520(name)).algorithms == fits


@pytest.mark.parametrize("name", ["jwk__3_2.ec_private_key", "jwk__3_4.rsa_private_key"])
def test_private_keys_are_no_public_keys(name: str) -> None:
    jwk = rfc7520(name)
    with pytest.raises(InvalidKey):
        parse_public_jwk(jwk)
    algorithm = "ES512" if jwk["kty"] == "EC" else "RS256"
    restored = SigningKey.from_jwk(jwk | {"alg": algorithm}).private_jwk()
    assert {name: restored[name] for name in jwk} == jwk


def test_symmetric_keys_load_only_for_signing() -> None:
    mac = rfc7520("jwk__3_5.symmetric_key_mac_computation")
    assert parse_symmetric_jwk(mac).algorithms == {"HS256"}
    with pytest.raises(JoseError):
        parse_symmetric_jwk(rfc7520("jwk__3_6.symmetric_key_encryption"))
