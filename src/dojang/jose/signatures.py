"""Signatures over bytes: from a library key to a function bound to one algorithm.

A verify function takes (signature, signing input), returns nothing and raises
`cryptography.exceptions.InvalidSignature`. A sign function takes the signing input.
JOSE writes ECDSA signatures as r‖s of fixed width (RFC 7518 §3.4), the library as DER.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from dojang.jose.algorithms import ALGORITHMS, Algorithm

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Verify = Callable[[bytes, bytes], None]
Sign = Callable[[bytes], bytes]


class Curve(NamedTuple):
    """A curve of the allow-list; `width` is the octets of a coordinate, of r and of s."""

    library: ec.EllipticCurve
    width: int
    order: int


# SP 800-186 §3.2.1
CURVES = {
    "P-256": Curve(
        ec.SECP256R1(),
        32,
        0xFFFFFFFF00000000_FFFFFFFFFFFFFFFF_BCE6FAADA7179E84_F3B9CAC2FC632551,
    ),
    "P-384": Curve(
        ec.SECP384R1(),
        48,
        (1 << 384) - 0x389CB27E0BC8D220_A7E5F24DB74F58851313E695333AD68D,
    ),
    "P-521": Curve(
        ec.SECP521R1(),
        66,
        (1 << 521) - 0x5AE79787C40D06994_8033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
}

_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
# hashlib costs less a call than the library's own hash, so messages are hashed before it.
_DIGESTS = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_PREHASHED = {name: utils.Prehashed(algorithm) for name, algorithm in _HASHES.items()}


def _padding(row: Algorithm) -> padding.PKCS1v15 | padding.PSS:
    if row.scheme == "pkcs1":
        return padding.PKCS1v15()
    # RFC 7518 §3.5: MGF1 with the same hash, salt as long as the hash.
    digest = _HASHES[row.hash_name]
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)


def build_verify(algorithm: str, key: PublicKey | bytes) -> Verify:
    """Bind a public key, or a secret for HMAC, to one algorithm it fits."""
    row = ALGORITHMS[algorithm]
    if isinstance(key, bytes):
        return _build_hmac_verify(row, key)
    if isinstance(key, rsa.RSAPublicKey):
        return _build_rsa_verify(row, key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _build_ecdsa_verify(row, key)
    return key.verify


def build_sign(algorithm: str, key: PrivateKey | bytes) -> Sign:
    """Bind a private key, or a secret for HMAC, to one algorithm it fits."""
    row = ALGORITHMS[algorithm]
    if isinstance(key, bytes):
        secret, name = key, row.hash_name
        return lambda signing_input: hmac.digest(secret, signing_input, name)
    if isinstance(key, rsa.RSAPrivateKey):
        return _build_rsa_sign(row, key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _build_ecdsa_sign(row, key)
    return key.sign


def _build_hmac_verify(row: Algorithm, secret: bytes) -> Verify:
    name = row.hash_name

    def verify(signature: bytes, signing_input: bytes) -> None:
        if not hmac.compare_digest(hmac.digest(secret, signing_input, name), signature):
            raise InvalidSignature

    return verify


def _build_rsa_verify(row: Algorithm, key: rsa.RSAPublicKey) -> Verify:
    rsa_verify, scheme, prehashed = key.verify, _padding(row), _PREHASHED[row.hash_name]
    digest = _DIGESTS[row.hash_name]

    def verify(signature: bytes, signing_input: bytes) -> None:
        rsa_verify(signature, digest(signing_input).digest(), scheme, prehashed)

    return verify


def _build_rsa_sign(row: Algorithm, key: rsa.RSAPrivateKey) -> Sign:
    rsa_sign, scheme, prehashed = key.sign, _padding(row), _PREHASHED[row.hash_name]
    digest = _DIGESTS[row.hash_name]

    def sign(signing_input: bytes) -> bytes:
        return rsa_sign(digest(signing_input).digest(), scheme, prehashed)

    return sign


def _build_ecdsa_verify(row: Algorithm, key: ec.EllipticCurvePublicKey) -> Verify:
    curve = CURVES[row.curve]
    ecdsa_verify, ecdsa = key.verify, ec.ECDSA(_PREHASHED[row.hash_name])
    digest = _DIGESTS[row.hash_name]
    width, end = curve.width, curve.order.to_bytes(curve.width, "big")
    frames = [[_der_frame(width, pad_r, pad_s) for pad_s in (0, 1)] for pad_r in (0, 1)]

    def verify(signature: bytes, signing_input: bytes) -> None:
        r, s = signature[:width], signature[width:]
        # Strings of one width sort as the numbers they spell.
        if len(s) != width or r >= end or s >= end:
            raise InvalidSignature
        r_first, s_first = r[0], s[0]
        if r_first and s_first:
            der = frames[r_first > 0x7F][s_first > 0x7F] % (r, s)
        else:
            der = _der_integer(r) + _der_integer(s)
            der = _der_head(0x30, len(der)) + der
        ecdsa_verify(der, digest(signing_input).digest(), ecdsa)

    return verify


def _der_frame(width: int, pad_r: int, pad_s: int) -> bytes:
    """The format of a signature whose r and s fill their width; high ones are padded."""
    before_r = _der_head(0x02, width + pad_r) + bytes(pad_r)
    before_s = _der_head(0x02, width + pad_s) + bytes(pad_s)
    length = len(before_r) + len(before_s) + 2 * width
    return _der_head(0x30, length) + before_r + b"%b" + before_s + b"%b"


def _der_integer(octets: bytes) -> bytes:
    octets = octets.lstrip(b"\0")
    if not octets:
        raise InvalidSignature
    if octets[0] > 0x7F:
        octets = b"\0" + octets
    return _der_head(0x02, len(octets)) + octets


def _der_head(tag: int, length: int) -> bytes:
    return bytes((tag, length)) if length < 0x80 else bytes((tag, 0x81, length))


def _build_ecdsa_sign(row: Algorithm, key: ec.EllipticCurvePrivateKey) -> Sign:
    width = CURVES[row.curve].width
    ecdsa_sign, ecdsa = key.sign, ec.ECDSA(_PREHASHED[row.hash_name])
    digest = _DIGESTS[row.hash_name]

    def sign(signing_input: bytes) -> bytes:
        # 30 len 02 len r 02 len s; from 128 bytes on the first length takes two bytes.
        der = ecdsa_sign(digest(signing_input).digest(), ecdsa)
        start = 4 if der[1] < 0x80 else 5
        end = start + der[start - 1]
        r, s = der[start:end], der[end + 2 :]
        return r[-width:].rjust(width, b"\0") + s[-width:].rjust(width, b"\0")

    return sign
