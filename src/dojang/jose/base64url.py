"""Base64url without padding: RFC 7515 §2 and Appendix C.

The decoders underneath refuse foreign characters when told to be strict. What they let pass is
refused here first: padding, the other alphabet, unused bits that are not zero (RFC 4648 §3.5).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Literal

from dojang.jose.accelerators import pybase64
from dojang.jose.errors import InvalidToken, Reason

_STRICT: Literal[True] = True
_PLUS, _SLASH, _PAD = b"+/="
# By the characters over a multiple of four: what to add, and which last characters leave no bits.
_PADDING = (b"", b"", b"==", b"=")
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")

Decoder = Callable[[bytes, bytes, Literal[True]], bytes]
Encoder = Callable[[bytes, bytes], bytes]


def _stdlib_decode(padded: bytes, _altchars: bytes, strict: Literal[True], /) -> bytes:
    return binascii.a2b_base64(padded.translate(_TO_STANDARD), strict_mode=strict)


def _stdlib_encode(data: bytes, _altchars: bytes, /) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL)


_b64decode: Decoder = pybase64.b64decode if pybase64 else _stdlib_decode
_b64encode: Encoder = pybase64.b64encode if pybase64 else _stdlib_encode


def encode_bytes(data: bytes) -> bytes:
    """Encode to ASCII bytes."""
    return _b64encode(data, b"-_").rstrip(b"=")


def encode(data: bytes) -> str:
    """Encode to a string."""
    return _b64encode(data, b"-_").rstrip(b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Decode the one canonical form; anything else raises `InvalidToken(MALFORMED)`."""
    return decode_bytes(text if isinstance(text, bytes) else text.encode("ascii", "replace"))


def decode_bytes(text: bytes) -> bytes:
    """`decode` for ASCII bytes."""
    # pybase64 would decode the other alphabet too, with a warning that a peer must not cause.
    if _PLUS in text or _SLASH in text or _PAD in text:
        raise InvalidToken(Reason.MALFORMED, "not base64url without padding")
    spare = len(text) & 3
    if spare and text[-1] not in _LAST[spare]:
        raise InvalidToken(Reason.MALFORMED, "unused bits are not zero")
    try:
        return _b64decode(text + _PADDING[spare], b"-_", _STRICT)
    except ValueError:
        pass
    raise InvalidToken(Reason.MALFORMED, "not base64url")
