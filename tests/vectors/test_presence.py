import os

import pytest

from tests.vectors.source import DIRECTORY

FILES = [
    "wycheproof/json_web_signature_test.json",
    "wycheproof/json_web_key_test.json",
    "wycheproof/json_web_crypto_test.json",
    "wycheproof/json_web_encryption_test.json",
    "rfc7520/jws__4_1.rsa_v15_signature.json",
]


@pytest.mark.parametrize("name", FILES)
def test_the_vectors_are_here_wherever_results_count(name: str) -> None:
    if not (DIRECTORY / name).exists():
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: set DOJANG_VECTORS")
        pytest.skip("vectors are not here: set DOJANG_VECTORS")
