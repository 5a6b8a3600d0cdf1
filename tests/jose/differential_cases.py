"""The inputs of the differential test: each is one token, or one key, with a name."""

import random
from typing import Any

from dojang.jose import base64url
from dojang.jose.jws import CompactSigner
from dojang.jose.keys import SigningKey
from tests.jose.material import (
    ASYMMETRIC,
    AUDIENCE,
    CLAIMS,
    ISSUER,
    STORED,
    SYMMETRIC,
    craft,
    header_of,
    key_for,
    sign_parts,
    token_of,
    write,
)

LATER = 4_102_444_800
GOOD = CLAIMS | {"exp": LATER}
KEY = SigningKey.from_jwk(STORED["rsa"])
"""RS256 signs the same bytes the same way, so every input here is one fixed string."""

MUTATIONS = 400
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def build_tokens() -> dict[str, str]:
    cases = {"good": token_of(KEY, GOOD), "good-list": claims(aud=["x", AUDIENCE])}
    cases |= _headers() | _claims() | _payloads() | _shapes()
    return cases | {f"mutation-{n}": mutate(cases["good"], n) for n in range(MUTATIONS)}


def claims(**members: Any) -> str:
    return token_of(KEY, {k: v for k, v in (GOOD | members).items() if v != "absent"})


def mutate(token: str, number: int) -> str:
    """One to three changes of one character each, within the alphabet or outside it."""
    rng = random.Random(number)
    characters = list(token)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(characters))
        kind = rng.randrange(4)
        if kind == 0:
            characters[at] = rng.choice(ALPHABET)
        elif kind == 1:
            del characters[at]
        elif kind == 2:
            characters.insert(at, rng.choice(ALPHABET + ".=+/ \n?"))
        else:
            other = rng.randrange(len(characters))
            characters[at], characters[other] = characters[other], characters[at]
    return "".join(characters)


def _headers() -> dict[str, str]:
    nameless = header_of(KEY)
    del nameless["kid"]
    changed: dict[str, dict[str, Any] | bytes] = {
        "alg-lower": header_of(KEY, alg="rs256"),
        "alg-other": header_of(KEY, alg="RS384"),
        "alg-none": header_of(KEY, alg="none"),
        "alg-list": header_of(KEY, alg=["RS256"]),
        "kid-other": header_of(KEY, kid="other"),
        "kid-absent": nameless,
        "kid-number": header_of(KEY, kid=7),
        "kid-long": header_of(KEY, kid="k" * 129),
        "typ-other": header_of(KEY, typ="JWT"),
        "typ-number": header_of(KEY, typ=7),
        "crit-unknown": header_of(KEY, crit=["x"], x=1),
        "crit-empty": header_of(KEY, crit=[]),
        "crit-b64-true": header_of(KEY, crit=["b64"], b64=True),
        "b64-false": header_of(KEY, b64=False),
        "jwk": header_of(KEY, jwk=KEY.public_jwk()),
        "duplicate-alg": write(header_of(KEY))[:-1] + b',"alg":"RS256"}',
        "header-spaces": b" " + write(header_of(KEY)) + b"\n",
        "header-nan": write(header_of(KEY))[:-1] + b',"x":NaN}',
        "header-deep": write(header_of(KEY))[:-1] + b',"x":' + b"[" * 9 + b"]" * 9 + b"}",
        "header-surrogate": write(header_of(KEY))[:-1] + b',"x":"\\ud800"}',
        "header-bom": b"\xef\xbb\xbf" + write(header_of(KEY)),
        "header-utf16": write(header_of(KEY)).decode().encode("utf-16-le"),
    }
    return {f"header-{name}": craft(KEY, header, GOOD) for name, header in changed.items()}


def _claims() -> dict[str, str]:
    changed: dict[str, dict[str, Any]] = {
        "iss-absent": {"iss": "absent"},
        "iss-other": {"iss": ISSUER + "/"},
        "iss-list": {"iss": [ISSUER]},
        "aud-absent": {"aud": "absent"},
        "aud-other": {"aud": "other"},
        "aud-number-among": {"aud": [AUDIENCE, 1]},
        "aud-empty": {"aud": []},
        "aud-object": {"aud": {AUDIENCE: 1}},
        "exp-absent": {"exp": "absent"},
        "exp-past": {"exp": 1},
        "exp-string": {"exp": str(LATER)},
        "exp-bool": {"exp": True},
        "exp-null": {"exp": None},
        "exp-float": {"exp": LATER + 0.5},
        "exp-huge": {"exp": 10**30},
        "nbf-future": {"nbf": LATER},
        "nbf-string": {"nbf": "1"},
        "nbf-bool": {"nbf": True},
        "nbf-null": {"nbf": None},
        "iat-future": {"iat": LATER},
        "iat-string": {"iat": "1"},
        "iat-bool": {"iat": True},
        "iat-null": {"iat": None},
        "sub-number": {"sub": 7},
        "jti-number": {"jti": 7},
    }
    return {f"claim-{name}": claims(**members) for name, members in changed.items()}


def _payloads() -> dict[str, str]:
    good = write(GOOD)
    changed = {
        "duplicate-exp": good[:-1] + b',"exp":4102444801}',
        "duplicate-nested": good[:-1] + b',"x":{"a":1,"a":2}}',
        "exp-infinite": good.replace(b"4102444800", b"1e999"),
        "exp-nan": good.replace(b"4102444800", b"NaN"),
        "exp-exponent": good.replace(b"4102444800", b"4.1024448e9"),
        "spaces": b"\n " + good + b" ",
        "surrogate": good[:-1] + b',"x":"\\ud800"}',
        "latin-1": good[:-1] + b',"x":"\xe9"}',
        "bom": b"\xef\xbb\xbf" + good,
        "utf-16": good.decode().encode("utf-16-le"),
        "deep": good[:-1] + b',"x":' + b"[" * 8 + b"]" * 8 + b"}",
        "list": b"[" + good + b"]",
        "empty": b"",
        "big": good[:-1] + b',"x":"' + b"x" * 7000 + b'"}',
    }
    return {f"payload-{name}": token_of(KEY, payload) for name, payload in changed.items()}


def _shapes() -> dict[str, str]:
    header, payload, signature = token_of(KEY, GOOD).split(".")
    bits = ALPHABET[ALPHABET.index(signature[-1]) + 1]
    other = key_for("RS256", "k2")
    return {
        "shape-padding": f"{header}.{payload}.{signature}==",
        "shape-signature-bits": f"{header}.{payload}.{signature[:-1]}{bits}",
        "shape-newline": f"{header}.{payload}.{signature}\n",
        "shape-leading-space": f" {header}.{payload}.{signature}",
        "shape-space-inside": f"{header}.{payload}. {signature}",
        "shape-bang-inside": f"{header}.{payload}.{signature[:9]}!{signature[9:]}",
        "shape-standard-alphabet": f"{header}.{payload}."
        + signature.replace("-", "+").replace("_", "/"),
        "shape-signed-padding": sign_parts(
            KEY, base64url.encode(write(header_of(KEY)) + b" ") + "=", payload
        ),
        "shape-two-segments": f"{header}.{payload}",
        "shape-four-segments": f"{header}.{payload}.{signature}.",
        "shape-empty-signature": f"{header}.{payload}.",
        "shape-zero-before-signature": f"{header}.{payload}."
        + base64url.encode(b"\0" + base64url.decode(signature)),
        "shape-other-key": craft(other, header_of(KEY), GOOD),
        "shape-json": f'{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}',
    }


def build_keys() -> dict[str, tuple[dict[str, Any], str, str]]:
    """Name to JWK, algorithm, and a token that is good under it where there can be one."""
    cases: dict[str, tuple[dict[str, Any], str, str]] = {}
    for algorithm in (*ASYMMETRIC, *SYMMETRIC):
        key = key_for(algorithm)
        jwk = key.private_jwk() if algorithm in SYMMETRIC else key.public_jwk()
        cases[algorithm] = (jwk, algorithm, CompactSigner(key, typ="at+jwt").sign(write(GOOD)))
    for name, base, members in _key_changes():
        jwk, algorithm, token = cases[base]
        changed = {k: v for k, v in (jwk | members).items() if v != "absent"}
        cases[f"{base}-{name}"] = (changed, algorithm, token)
    for name, token in STORED["tokens"].items():
        cases[name] = (STORED[name], "RS256", token)
    return cases


def _key_changes() -> list[tuple[str, str, dict[str, Any]]]:
    zero = base64url.encode(b"\0" + base64url.decode(key_for("RS256").public_jwk()["n"]))
    return [
        ("without-alg", "RS256", {"alg": "absent"}),
        ("alg-other", "RS256", {"alg": "PS256"}),
        ("alg-unknown", "RS256", {"alg": "RS1"}),
        ("use-enc", "RS256", {"use": "enc"}),
        ("use-absent", "RS256", {"use": "absent"}),
        ("key-ops-sign", "RS256", {"use": "absent", "key_ops": ["sign"]}),
        ("key-ops-verify", "RS256", {"use": "absent", "key_ops": ["verify"]}),
        ("key-ops-twice", "RS256", {"use": "absent", "key_ops": ["verify", "verify"]}),
        ("leading-zero", "RS256", {"n": zero}),
        ("padded", "RS256", {"e": "AQAB===="}),
        ("kid-number", "RS256", {"kid": 7}),
        ("kid-absent", "RS256", {"kid": "absent"}),
        ("without-alg", "ES256", {"alg": "absent"}),
        ("alg-ES384", "ES256", {"alg": "ES384"}),
        ("off-curve", "ES256", {"x": key_for("ES256").public_jwk()["y"]}),
        ("curve-other", "ES256", {"crv": "P-384"}),
        ("use-enc", "ES256", {"use": "enc"}),
        ("use-enc", "EdDSA", {"use": "enc"}),
        ("short", "EdDSA", {"x": "AAAA"}),
        ("without-alg", "EdDSA", {"alg": "absent"}),
        ("key-of-1-byte", "HS256", {"k": "eA"}),
        ("use-enc", "HS256", {"use": "enc"}),
    ]
