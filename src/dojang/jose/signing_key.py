"""Keys that sign: made here, or read back from a private JWK."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dojang.jose import base64url
from dojang.jose.algorithms import ALGORITHMS
from dojang.jose.errors import InvalidKey, JoseMisuse, Reason
from dojang.jose.jwk import check_key_operations, parse_octets, parse_unsigned
from dojang.jose.key_policy import MAX_RSA_BITS, MIN_RSA_BITS
from dojang.jose.signatures import CURVES, PrivateKey, Sign, build_sign
from dojang.jose.verifying_key import VerifyingKey, parse_public_jwk, parse_symmetric_jwk

_RSA_MEMBERS = ("d", "p", "q", "dp", "dq", "qi")


class SigningKey:
    """A private key, or an HMAC secret, bound to one algorithm and one kid."""

    __slots__ = ("_private", "_sign", "_verifying", "algorithm", "kid")

    def __init__(
        self,
        algorithm: str,
        kid: str,
        *,
        key: PrivateKey | bytes,
        private: Mapping[str, str],
        verifying: VerifyingKey,
    ) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._private = dict(private)
        self._verifying = verifying
        self._sign: Sign = build_sign(algorithm, key)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, algorithm={self.algorithm!r})"

    @classmethod
    def generate(
        cls, algorithm: str, kid: str | None = None, *, rsa_bits: int = MIN_RSA_BITS
    ) -> SigningKey:
        """Make a key for `algorithm`; without `kid` its thumbprint (HMAC: a random kid) names it.

        Raises `JoseMisuse` for an unknown algorithm or a size off the policy.
        """
        row = ALGORITHMS.get(algorithm)
        if row is None:
            raise JoseMisuse("unknown algorithm")
        jwk: dict[str, Any] = {"kty": row.kty, "alg": algorithm}
        if row.kty == "RSA":
            jwk |= _generate_rsa(rsa_bits)
        elif row.kty == "EC":
            jwk |= _generate_ec(row.curve)
        elif row.kty == "OKP":
            jwk |= _generate_okp()
        else:
            jwk["k"] = base64url.encode(secrets.token_bytes(64))
        if kid is not None:
            jwk["kid"] = kid
        return cls.from_jwk(jwk)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, unchecked_rsa: bool = False) -> SigningKey:
        """Read a private JWK that names its `alg`; both halves are checked to belong together.

        `unchecked_rsa` leaves that out for an RSA key, where it takes 20 ms: for what
        `private_jwk` wrote and a seal has kept. Raises `InvalidKey`.
        """
        if "alg" not in jwk:
            raise InvalidKey(Reason.BAD_KEY, "private JWK names no alg")
        check_key_operations(jwk, "sign")
        names = _RSA_MEMBERS if jwk.get("kty") == "RSA" else ("d",)
        public = {name: value for name, value in jwk.items() if name not in {*names, "key_ops"}}
        key: PrivateKey | bytes
        if jwk.get("kty") == "oct":
            verifying, names = parse_symmetric_jwk(public), ("k",)
            key, default_kid = parse_octets(jwk, "k"), secrets.token_urlsafe(12)
        else:
            verifying = parse_public_jwk(public)
            private = _parse_private(jwk, unchecked_rsa=unchecked_rsa)
            key, default_kid = private, verifying.thumbprint
        (algorithm,) = verifying.algorithms
        verifying.kid = kid = verifying.kid or default_kid
        secret = {name: jwk[name] for name in names}
        return cls(algorithm, kid, key=key, private=secret, verifying=verifying)

    def sign(self, signing_input: bytes) -> bytes:
        """The JWS signature (RFC 7515 §5.1 step 5)."""
        return self._sign(signing_input)

    def verifying_key(self) -> VerifyingKey:
        return self._verifying

    def public_jwk(self) -> dict[str, Any]:
        """The JWK to publish. Raises `JoseMisuse` for a symmetric key."""
        return self._verifying.public_jwk()

    def private_jwk(self) -> dict[str, Any]:
        """Everything, secret members too: to be sealed before it is stored."""
        members: dict[str, Any] = {"alg": self.algorithm, "kid": self.kid, "use": "sig"}
        return self._verifying.members | self._private | members


def _generate_rsa(bits: int) -> dict[str, str]:
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise JoseMisuse("RSA keys have 2048 to 8192 bits")
    numbers = rsa.generate_private_key(65537, bits).private_numbers()
    return {
        name: _unsigned(value)
        for name, value in (
            ("n", numbers.public_numbers.n),
            ("e", numbers.public_numbers.e),
            ("d", numbers.d),
            ("p", numbers.p),
            ("q", numbers.q),
            ("dp", numbers.dmp1),
            ("dq", numbers.dmq1),
            ("qi", numbers.iqmp),
        )
    }


def _generate_ec(name: str) -> dict[str, str]:
    curve = CURVES[name]
    numbers = ec.generate_private_key(curve.library).private_numbers()
    x, y, d = (
        base64url.encode(value.to_bytes(curve.width, "big"))
        for value in (numbers.public_numbers.x, numbers.public_numbers.y, numbers.private_value)
    )
    return {"crv": name, "x": x, "y": y, "d": d}


def _generate_okp() -> dict[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    return {
        "crv": "Ed25519",
        "x": base64url.encode(key.public_key().public_bytes_raw()),
        "d": base64url.encode(key.private_bytes_raw()),
    }


def _unsigned(value: int) -> str:
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _parse_private(jwk: Mapping[str, Any], *, unchecked_rsa: bool) -> PrivateKey:
    try:
        if jwk["kty"] == "RSA":
            return _parse_rsa_private(jwk, unchecked=unchecked_rsa)
        if jwk["kty"] == "EC":
            return _parse_ec_private(jwk)
        private = ed25519.Ed25519PrivateKey.from_private_bytes(parse_octets(jwk, "d"))
    except ValueError:
        raise InvalidKey(Reason.BAD_KEY, "private members are not a key") from None
    if private.public_key().public_bytes_raw() != parse_octets(jwk, "x"):
        raise InvalidKey(Reason.BAD_KEY, "private and public members differ")
    return private


def _parse_rsa_private(jwk: Mapping[str, Any], *, unchecked: bool) -> rsa.RSAPrivateKey:
    if "oth" in jwk:
        raise InvalidKey(Reason.BAD_KEY, "RSA keys of more than two primes are not supported")
    d, p, q, dp, dq, qi = (parse_unsigned(jwk, name) for name in _RSA_MEMBERS)
    public = rsa.RSAPublicNumbers(parse_unsigned(jwk, "e"), parse_unsigned(jwk, "n"))
    numbers = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=unchecked)


def _parse_ec_private(jwk: Mapping[str, Any]) -> ec.EllipticCurvePrivateKey:
    curve = CURVES[jwk["crv"]]
    d = parse_octets(jwk, "d")
    if len(d) != curve.width:
        raise InvalidKey(Reason.BAD_KEY, "d is not of the curve's width")
    x, y = (int.from_bytes(parse_octets(jwk, name), "big") for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, curve.library)
    return ec.EllipticCurvePrivateNumbers(int.from_bytes(d, "big"), public).private_key()
