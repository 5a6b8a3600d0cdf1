"""Base64url without padding: RFC 7515 §2 and Appendix C.

Every decoder is lenient somewhere (padding, foreign alphabets, unused bits).
So none is trusted here: what was decoded must encode to exactly the input again.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Literal

from dojang.jose.accelerators import pybase64
from dojang.jose.errors import InvalidToken, Reason

_STRICT: Literal[True] = True
_PADDING = (b"", b"", b"==", b"=")

_PLUS, _SLASH = b"+/"
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
    # pybase64 decodes the other alphabet too, with a warning that a peer must not cause.
    if _PLUS not in text and _SLASH not in text:
        try:
            data = _b64decode(text + _PADDING[len(text) & 3], b"-_", _STRICT)
            if _b64encode(data, b"-_").rstrip(b"=") == text:
                return data
        except ValueError:
            pass
    raise InvalidToken(Reason.MALFORMED, "not canonical base64url")
