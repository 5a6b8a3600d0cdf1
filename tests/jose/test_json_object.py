import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.jose import json_object
from dojang.jose.errors import InvalidToken, Reason

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def refuse(document: bytes) -> Reason:
    with pytest.raises(InvalidToken) as refusal:
        json_object.parse(document)
    return refusal.value.reason


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=8))
def test_what_was_dumped_parses(value: dict[str, Any]) -> None:
    document = json_object.dump(value)
    assert json.loads(document) == value
    if depth(value) <= json_object.MAX_DEPTH and len(document) <= json_object.MAX_BYTES:
        assert json_object.parse(document) == value


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b' { "a" : [ 1 , 2 ] }\r\n\t',
        b'{"a":"\\u00e9\\ud83d\\ude00\\"{[[[[[[[[["}',
        b'{"a":1e3,"b":-0,"c":-0.0,"d":123456789012345678901234567890}',
        '{"ключ":"값"}'.encode(),
    ],
)
def test_other_spellings_of_a_good_object_parse(document: bytes) -> None:
    assert json_object.parse(document) == json.loads(document)


@pytest.mark.proves("C10")
@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":[{"c":1,"c":1}]}]}',
        b'{"":1,"":2}',
    ],
)
def test_a_name_that_occurs_twice_is_refused(document: bytes) -> None:
    assert refuse(document) is Reason.MALFORMED


@pytest.mark.proves("C11")
@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"true",
        b"{",
        b'{"a":1}x',
        b'{"a":1}{}',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1,}',
        b'{"a":"\n"}',
        b'{1:"a"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\\ud800\\u0041"}',
    ],
)
def test_what_is_no_strict_object_is_refused(document: bytes) -> None:
    assert refuse(document) is Reason.MALFORMED


@pytest.mark.proves("C12")
@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_are_finite(literal: str) -> None:
    assert refuse(f'{{"a":{literal}}}'.encode()) is Reason.MALFORMED


@pytest.mark.proves("C11")
def test_nesting_is_bounded() -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        levels = json_object.MAX_DEPTH - 1
        good = b'{"a":' + opening * levels + b"1" + closing * levels + b"}"
        assert json_object.parse(good)
        levels += 1
        deep = b'{"a":' + opening * levels + b"1" + closing * levels + b"}"
        assert refuse(deep) is Reason.MALFORMED
    wide = b'{"a":[' + b",".join([b"[1]"] * 50) + b"]}"
    assert json_object.parse(wide)


@pytest.mark.proves("C11")
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_tower_of_brackets_is_refused_with_our_error(opening: bytes) -> None:
    tower = b'{"a":' + opening * 1500
    assert refuse(tower) is Reason.MALFORMED


@pytest.mark.proves("C11")
def test_size_is_bounded() -> None:
    def document(size: int) -> bytes:
        return b'{"a":"' + b"x" * (size - 8) + b'"}'

    assert json_object.parse(document(8192))
    assert refuse(document(8193)) is Reason.TOO_LARGE
    assert json_object.parse(document(9000), max_bytes=9000)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_not_dumped(value: float) -> None:
    with pytest.raises(ValueError):
        json_object.dump({"exp": value})
