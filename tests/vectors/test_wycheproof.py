"""Project Wycheproof's four JOSE files. What we answer differently is listed one by one."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from dojang.jose.errors import JoseError, Reason
from dojang.jose.jwe import Decrypted, decrypt_compact
from dojang.jose.jws import CompactVerifier, SignedPayload
from dojang.jose.keys import KeySet
from tests.vectors.source import Vector, load, wycheproof

REFUSED_THOUGH_VALID = {
    346: "the key says alg PS256, the token PS384: a key serves the one algorithm it names",
    347: "the key says alg ES521, which no RFC defines: such a key is not loaded",
    350: "as 346, with key_ops",
    351: "as 347, with key_ops",
    372: "the header has a '?' in it: a character outside the alphabet refuses the token",
    373: "as 372, in the payload",
}
ACCEPTED_THOUGH_INVALID = {
    367: "letter for letter the valid vector 357; the padding it means to show was lost",
    370: "as 367",
}
REFUSED_ENCRYPTIONS = {
    **dict.fromkeys((100, 101, 102, 103, 104, 105, 112, 128), "RSA1_5 does not exist here"),
    135: "zip does not exist here",
}


def vectors(name: str) -> list[Vector]:
    parameters = wycheproof(f"json_web_{name}_test.json")
    if parameters[0].marks:
        pytest.skip("vectors are not here")
    return [parameter.values[0] for parameter in parameters]


def key_document(group: dict[str, Any]) -> dict[str, Any]:
    key = group.get("public") or group["private"]
    return key if "keys" in key else {"keys": [key]}


def verify(group: dict[str, Any], token: Any) -> SignedPayload:
    """Symmetric keys are an opt-in of the caller's, so the group's key types decide for it."""
    document = key_document(group)
    symmetric = all(key["kty"] == "oct" for key in document["keys"])
    keys = KeySet.parse_symmetric(document) if symmetric else KeySet.parse(document)
    if not keys:
        raise JoseError(keys.skipped[0].reason, keys.skipped[0].detail)
    algorithms = frozenset().union(*(key.algorithms for key in keys.keys))
    verifier = CompactVerifier(keys, algorithms=algorithms, types=[None])
    return verifier.verify(token if isinstance(token, str) else json.dumps(token))


def decrypt(group: dict[str, Any], test: dict[str, Any]) -> Decrypted:
    key, token = group["private"], test["jwe"]
    algorithm = "dir" if key["alg"] == "A128GCM" else key["alg"]
    if algorithm == "RSA1_5":
        algorithm = "RSA-OAEP"
    token = token if isinstance(token, str) else json.dumps(token)
    return decrypt_compact(token, key, algorithm=algorithm, encryption=test["enc"])


@pytest.mark.proves("C2", "C3", "C5", "C7", "C8", "C9", "C17", "K1")
@pytest.mark.parametrize("vector", wycheproof("json_web_signature_test.json"))
def test_signatures(vector: Vector) -> None:
    group, test = vector
    expected = test["result"] == "valid"
    if test["tcId"] in REFUSED_THOUGH_VALID or test["tcId"] in ACCEPTED_THOUGH_INVALID:
        expected = not expected
    if expected:
        verify(group, test["jws"])
    else:
        with pytest.raises(JoseError):
            verify(group, test["jws"])


def test_the_exceptions_contradict_their_vectors() -> None:
    results = {test["tcId"]: test for _, test in vectors("signature")}
    assert all(results[number]["result"] == "valid" for number in REFUSED_THOUGH_VALID)
    assert all(results[number]["result"] == "invalid" for number in ACCEPTED_THOUGH_INVALID)
    assert all(results[number]["jws"] == results[357]["jws"] for number in ACCEPTED_THOUGH_INVALID)


@pytest.mark.proves("C3", "C4", "C16", "K2")
@pytest.mark.parametrize("vector", wycheproof("json_web_key_test.json"))
def test_keys(vector: Vector) -> None:
    group, test = vector
    if test["result"] == "valid":
        verify(group, test["jws"])
    else:
        with pytest.raises(JoseError):
            verify(group, test["jws"])


@pytest.mark.proves("C18", "C19")
@pytest.mark.parametrize("vector", wycheproof("json_web_encryption_test.json"))
def test_encryption(vector: Vector) -> None:
    group, test = vector
    if test["tcId"] in REFUSED_ENCRYPTIONS or test["result"] == "invalid":
        with pytest.raises(JoseError):
            decrypt(group, test)
    else:
        assert decrypt(group, test).plaintext.hex() == test["pt"]


@pytest.mark.proves("C19")
def test_compressed_plaintext_is_refused_for_its_compression() -> None:
    group, test = next(vector for vector in vectors("encryption") if vector[1]["tcId"] == 135)
    with pytest.raises(JoseError) as refusal:
        decrypt(group, test)
    assert refusal.value.reason is Reason.COMPRESSION_NOT_ALLOWED


@pytest.mark.parametrize("vector", wycheproof("json_web_crypto_test.json"))
def test_crypto(vector: Vector) -> None:
    group, test = vector
    # The file leaves the content encryption to the header; ours is configured.
    encryption = "A128CBC-HS256" if group["comment"] == "jwe_ec" else "A256CBC-HS512"
    refused = pytest.raises(JoseError) if test["result"] == "invalid" else nullcontext()
    with refused:
        if "jws" in test:
            verify(group, test["jws"])
        else:
            decrypt(group, test | {"enc": encryption})


def test_every_vector_of_the_four_files_runs() -> None:
    counts = {"signature": 401, "key": 26, "crypto": 83, "encryption": 139}
    for name, count in counts.items():
        assert len(vectors(name)) == count
        assert load(f"wycheproof/json_web_{name}_test.json")["numberOfTests"] == count
