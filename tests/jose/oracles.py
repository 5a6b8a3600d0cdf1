"""Three other libraries, each asked the same question: is this token good under this key?"""

import json
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt as pyjwt

from tests.jose.material import AUDIENCE, ISSUER

Jwk = Mapping[str, Any]
Oracle = Callable[[str, Jwk, str], Any]


def ask_pyjwt(token: str, jwk: Jwk, algorithm: str) -> Any:
    key = pyjwt.PyJWK(dict(jwk), algorithm=algorithm)
    return pyjwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": ["exp"], "enforce_minimum_key_length": True},
    )


def ask_joserfc(token: str, jwk: Jwk, algorithm: str) -> Any:
    key = joserfc.jwk.import_key(dict(jwk))
    decoded = joserfc.jwt.decode(token, key, algorithms=[algorithm])
    joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    ).validate(decoded.claims)
    return decoded.claims


def ask_jwcrypto(token: str, jwk: Jwk, algorithm: str) -> Any:
    key = jwcrypto.jwk.JWK(**jwk)
    decoded = jwcrypto.jwt.JWT(
        jwt=token,
        key=key,
        algs=[algorithm],
        expected_type="JWS",
        check_claims={"iss": ISSUER, "aud": AUDIENCE, "exp": None},
    )
    return json.loads(decoded.claims)


ORACLES: dict[str, Oracle] = {
    f"{name} {version(name)}": ask
    for name, ask in (
        ("pyjwt", ask_pyjwt),
        ("joserfc", ask_joserfc),
        ("jwcrypto", ask_jwcrypto),
    )
}


def accepts(oracle: Oracle, token: str, jwk: Jwk, algorithm: str) -> bool:
    """Whether it says yes; whatever it raises is a no, and so is a warning about its own input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            oracle(token, jwk, algorithm)
        except Exception:  # noqa: BLE001 - each library has its own ways to say no
            return False
    return True
