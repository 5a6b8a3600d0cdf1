import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose import base64url
from dojang.jose.errors import InvalidToken

ALPHABET = string.ascii_letters + string.digits + "-_"


@given(st.binary(max_size=300))
def test_what_was_encoded_decodes(data: bytes) -> None:
    text = base64url.encode(data)
    assert set(text) <= set(ALPHABET)
    assert base64url.encode_bytes(data) == text.encode()
    assert base64url.decode(text) == base64url.decode(text.encode()) == data


@given(st.text(ALPHABET + "+/= \n.é", max_size=200))
def test_one_value_has_one_spelling(text: str) -> None:
    with contextlib.suppress(InvalidToken):
        assert base64url.encode(base64url.decode(text)) == text


@pytest.mark.proves("C7")
@pytest.mark.parametrize("position", [0, 1, 2, 3, 40, 63, 64, 79])
@pytest.mark.parametrize("length", [80, 82, 83])
def test_other_characters_are_refused_wherever_they_stand(position: int, length: int) -> None:
    for code in set(range(256)) - set(ALPHABET.encode()):
        text = bytearray(b"QUJD" * 21)[:length]
        text[position] = code
        with pytest.raises(InvalidToken):
            base64url.decode(bytes(text))


@pytest.mark.proves("C7")
@pytest.mark.parametrize(
    "text", ["QQ==", "QQ=", "QUI=", "QUJD=", "QUJD====", "=", "Q", "QUJDR", " QQ", "QQ\n", "+/+/"]
)
def test_padding_space_and_the_other_alphabet_are_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        base64url.decode(text)


@pytest.mark.proves("C9")
@pytest.mark.parametrize("text", ["QR", "QUK", "Q_", "QUJDQR", "QUJDQUL"])
def test_unused_bits_are_zero(text: str) -> None:
    with pytest.raises(InvalidToken):
        base64url.decode(text)
