"""Values of the configuration, read from text."""

import pytest

from dojang.jose import base64url
from dojang.server.config import (
    Address,
    BadEncryptionKey,
    TcpAddress,
    UnixAddress,
    parse_address,
    parse_encryption_key,
)


@pytest.mark.parametrize(
    "text, address",
    [
        ("127.0.0.1:8460", TcpAddress("127.0.0.1", 8460)),
        ("[::1]:8460", TcpAddress("::1", 8460)),
        ("auth.internal:1", TcpAddress("auth.internal", 1)),
        ("unix:/run/dojang.sock", UnixAddress("/run/dojang.sock")),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "8460", ":8460", "a:", "a:b", "a:0", "a:65536", "a:-1", "a:٣", "::1:80", "unix:a"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"unix:/|brackets"):
        parse_address(text)


def test_the_encryption_key_is_32_bytes_in_base64url() -> None:
    assert parse_encryption_key(base64url.encode(bytes(32))) == bytes(32)
    for text in ("", "short", base64url.encode(bytes(31)), base64url.encode(bytes(32)) + "="):
        with pytest.raises(BadEncryptionKey) as refused:
            parse_encryption_key(text)
        assert not text or text not in str(refused.value)
