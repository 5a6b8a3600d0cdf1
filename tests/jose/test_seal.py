import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose.errors import InvalidToken, JoseMisuse, Reason
from dojang.jose.seal import OVERHEAD_BYTES, SealKey, SealRing

KEY = SealKey.generate("seal-1")
OTHER = SealKey.generate("seal-2")


def refuse(box: bytes, context: bytes = b"context", key: SealKey | SealRing = KEY) -> None:
    with pytest.raises(InvalidToken) as refusal:
        key.open(box, context)
    assert refusal.value.reason is Reason.BAD_SEAL


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_what_was_sealed_opens(plaintext: bytes, context: bytes) -> None:
    box = KEY.seal(plaintext, context)
    assert len(box) == len(plaintext) + OVERHEAD_BYTES
    assert box[:4] == hashlib.sha256(b"seal-1").digest()[:4]
    assert KEY.open(box, context) == plaintext
    assert SealKey.from_bytes("seal-1", KEY.secret).open(box, context) == plaintext


def test_every_bit_counts() -> None:
    box = KEY.seal(b"plaintext", b"context")
    for position in range(len(box)):
        for bit in range(8):
            changed = bytearray(box)
            changed[position] ^= 1 << bit
            refuse(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 4, 28, OVERHEAD_BYTES - 1])
def test_short_boxes_are_refused(length: int) -> None:
    refuse(KEY.seal(b"", b"context")[:length])
    refuse(KEY.seal(b"x", b"context")[:length], key=SealRing(KEY))


def test_cut_and_grown_boxes_are_refused() -> None:
    box = KEY.seal(b"plaintext", b"context")
    refuse(box[:-1])
    refuse(box + b"\0")


def test_the_context_and_the_key_count() -> None:
    box = KEY.seal(b"plaintext", b"context")
    refuse(box, b"another")
    refuse(box, b"")
    refuse(box, key=OTHER)
    refuse(OTHER.tag + box[4:], key=OTHER)
    refuse(box, key=SealKey.from_bytes("seal-1", OTHER.secret))


@pytest.mark.proves("C84")
def test_equal_plaintexts_never_look_equal() -> None:
    boxes = {KEY.seal(b"same", b"context") for _ in range(1000)}
    assert len({box[4:] for box in boxes}) == len({box[28:] for box in boxes}) == 1000


def test_a_ring_seals_with_the_active_key_and_opens_with_any() -> None:
    ring = SealRing(OTHER, [KEY])
    assert ring.open(KEY.seal(b"old", b""), b"") == (b"old", "seal-1")
    assert ring.open(ring.seal(b"new", b""), b"") == (b"new", "seal-2")
    refuse(SealKey.generate("seal-3").seal(b"x", b"context"), key=ring)


def test_two_keys_with_one_tag_make_no_ring() -> None:
    with pytest.raises(JoseMisuse):
        SealRing(KEY, [SealKey.generate("seal-1")])
    assert SealRing(KEY, [KEY]).active is KEY


@pytest.mark.parametrize("kid, secret", [("", b"x" * 32), ("k", b""), ("k", b"x" * 31)])
def test_a_key_has_a_name_and_32_bytes(kid: str, secret: bytes) -> None:
    with pytest.raises(JoseMisuse):
        SealKey.from_bytes(kid, secret)


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(KEY.secret)[2:-1] not in repr(KEY)
    assert KEY.secret.hex() not in repr(KEY)
