"""The Python contenders of the verify figures, driven line by line (see worker.py).

Runs in the peers' environment, alone on its core. A contender checks the signature, the algorithm,
iss, aud and exp of every token it is given; `raw` is the bare signature check, which none can beat.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dojang.resource import Follower, HybridVerifier
    from dojang.resource.local import LocalVerifier

Check = Callable[[str], object]
Prepared = Callable[[Sequence[str]], Callable[[], None]]
SCOPE = "orders:read orders:write"


def _over(check: Check) -> Prepared:
    def prepare(tokens: Sequence[str]) -> Callable[[], None]:
        def run() -> None:
            for token in tokens:
                check(token)

        return run

    return prepare


def build_raw(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """`public_key.verify` on arguments that are ready: no parsing, no claims."""
    import jwt
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    public = jwt.PyJWK(jwk, algorithm=algorithm).key
    rest = {
        "ES256": (ec.ECDSA(hashes.SHA256()),),
        "EdDSA": (),
        "RS256": (padding.PKCS1v15(), hashes.SHA256()),
    }[algorithm]

    def prepare(tokens: Sequence[str]) -> Callable[[], None]:
        ready = []
        for token in tokens:
            signing_input, _, segment = token.rpartition(".")
            signature = base64.urlsafe_b64decode(segment + "==")
            if algorithm == "ES256":
                r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
                signature = encode_dss_signature(r, s)
            ready.append((signature, signing_input.encode()))
        verify = public.verify

        def run() -> None:
            for signature, data in ready:
                verify(signature, data, *rest)

        return run

    return prepare


def build_dojang(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    from dojang.jose.jwt import JwtVerifier, check_claims
    from dojang.jose.keys import KeySet

    keys = KeySet.parse({"keys": [jwk]})
    verify = JwtVerifier(keys, algorithms=[algorithm], types=["at+jwt"]).verify
    now = time.time

    def check(token: str) -> None:
        check_claims(verify(token), issuer=issuer, audience=audience, now=int(now()))

    return _over(check)


def build_local(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """As a service verifies, on tokens it sees for the first time: a new verifier a round."""

    def prepare(tokens: Sequence[str]) -> Callable[[], None]:
        verify = _build_local_verifier(algorithm, jwk, issuer, audience).verify
        return _over(verify)(tokens)

    return prepare


def build_warm(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """As a service verifies, on tokens it has seen."""
    verifier = _build_local_verifier(algorithm, jwk, issuer, audience)

    def prepare(tokens: Sequence[str]) -> Callable[[], None]:
        for token in tokens:
            verifier.verify(token)
        return _over(verifier.verify)([_fresh(token) for token in tokens])

    return prepare


def build_lasting(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """As `local`, by one verifier that lasts, on tokens it sees for the first time."""
    return _over(_build_local_verifier(algorithm, jwk, issuer, audience).verify)


def build_hybrid(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """As `lasting`, and asked of the view that the feed at FEEDER fills."""
    return _over(_build_hybrid_verifier(algorithm, jwk, audience, _find_follower(issuer)).verify)


def build_hybrid_warm(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    """As `warm`, and asked of the view that the feed at FEEDER fills."""
    verifier = _build_hybrid_verifier(algorithm, jwk, audience, _find_follower(issuer))

    def prepare(tokens: Sequence[str]) -> Callable[[], None]:
        for token in tokens:
            verifier.verify(token)
        return _over(verifier.verify)([_fresh(token) for token in tokens])

    return prepare


@cache
def _find_follower(issuer: str) -> Follower:
    """One for the process, that has learned all there is."""
    from dojang.resource import ClientSecretBasic, FeedState, Follower

    feeder = json.loads(os.environ["FEEDER"])
    follower = Follower(
        issuer,
        credentials=ClientSecretBasic(feeder["client_id"], feeder["secret"]),
        fetch_from=f"http://{feeder['address']}",
    )
    follower.look()
    while follower.status().state is not FeedState.FRESH:
        time.sleep(0.01)
    return follower


def _build_hybrid_verifier(
    algorithm: str, jwk: dict[str, Any], audience: str, follower: Follower
) -> HybridVerifier:
    """It refuses where the view is too old: no request is decided by anything else unseen. The
    bound is wide, for a machine that is busy with something else must not end the bench."""
    from dojang.resource import ClientSecretBasic, HybridVerifier, IntrospectionVerifier, WhenStale

    local = _build_local_verifier(algorithm, jwk, follower.issuer, audience)
    asking = IntrospectionVerifier(local.expect, credentials=ClientSecretBasic("nobody", "nothing"))
    return HybridVerifier(
        local=local,
        introspection=asking,
        follower=follower,
        staleness=30,
        when_stale=WhenStale.REFUSE,
    )


def _build_local_verifier(
    algorithm: str, jwk: dict[str, Any], issuer: str, audience: str
) -> LocalVerifier:
    from dojang.jose.keys import KeySet
    from dojang.resource.expect import Expect
    from dojang.resource.local import LocalVerifier
    from dojang.trust.remote_keys import FixedKeys

    expect = Expect(issuer=issuer, audience=audience, algorithms=[algorithm])
    return LocalVerifier(expect, keys=FixedKeys(KeySet.parse({"keys": [jwk]})))


def build_pyjwt(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    import jwt

    key = jwt.PyJWK(jwk, algorithm=algorithm).key
    decode, algorithms = jwt.decode, [algorithm]
    options: Any = {"require": ["exp", "iss", "aud"]}

    def check(token: str) -> None:
        decode(token, key, algorithms=algorithms, issuer=issuer, audience=audience, options=options)

    return _over(check)


def build_joserfc(algorithm: str, jwk: dict[str, Any], issuer: str, audience: str) -> Prepared:
    import warnings

    from joserfc import jwt
    from joserfc.jwk import import_key

    warnings.simplefilter("ignore")  # it prefers the name Ed25519 to EdDSA
    key = import_key(jwk)
    algorithms = [algorithm]
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )

    def check(token: str) -> None:
        registry.validate(jwt.decode(token, key, algorithms=algorithms).claims)

    return _over(check)


BUILD = {
    "raw": build_raw,
    "dojang": build_dojang,
    "local": build_local,
    "warm": build_warm,
    "lasting": build_lasting,
    "hybrid": build_hybrid,
    "hybrid-warm": build_hybrid_warm,
    "pyjwt": build_pyjwt,
    "joserfc": build_joserfc,
}


def _fresh(token: str) -> str:
    """An equal string that is another object, whose hash is not known yet."""
    return (token + " ")[:-1]


def serve(file: Path) -> None:
    """Answers requests {contender, algorithm, first, count, repeat} with processor
    seconds a token."""
    document = json.loads(file.read_text())
    prepared: dict[tuple[str, str], Prepared] = {}
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        pool = document["pools"][asked["algorithm"]]
        name = (asked["contender"], asked["algorithm"])
        if name not in prepared:
            build = BUILD[asked["contender"]]
            prepared[name] = build(
                asked["algorithm"], pool["jwk"], document["issuer"], document["audience"]
            )
        chosen = pool["tokens"][asked["first"] : asked["first"] + asked["count"]]
        run = prepared[name]([_fresh(token) for token in chosen for _ in range(asked["repeat"])])
        gc.collect()
        began = time.process_time()
        run()
        spent = time.process_time() - began
        print(spent / (len(chosen) * asked["repeat"]), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
