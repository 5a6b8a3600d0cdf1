"""The same tokens are accepted with msgspec and pybase64 and without them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dojang.jose import accelerators, base64url, json_object
from dojang.jose.errors import InvalidToken, Reason

ROOT = Path(__file__).parents[2]

needs_both = pytest.mark.skipif(
    accelerators.msgspec_json is None or accelerators.pybase64 is None,
    reason="there is one implementation here",
)


@needs_both
@pytest.mark.parametrize("corpus", ["tests/jose", "tests/vectors", "tests/fuzz"])
def test_the_whole_corpus_passes_on_the_standard_library(corpus: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", corpus],
        cwd=ROOT,
        env=os.environ | {"DOJANG_PURE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("pure", ["", "1"])
def test_the_switch_chooses(pure: str) -> None:
    script = (
        "import sys, dojang.jose.jwt;"
        "print([name for name in ('msgspec', 'pybase64') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"DOJANG_PURE": pure},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = [name for name in ("msgspec", "pybase64") if find_spec(name)]
    assert shown.strip() == str([] if pure else installed)


JSON_PIECES = st.sampled_from(
    [
        *'{}[]",:0123456789.eE+-\\u tfna\n\r\x00\x7f',
        *(
            '"a"',
            '":',
            "true",
            "null",
            "NaN",
            "\\ud800",
            "\\u0061",
            "1e999",
            "é",
            "\ud800",
            "\ufeff",
        ),
        *("-0", "1.0", "10000000000000000000", '{"a":1}'),
    ]
)


def outcome(run: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "accepted", run()
    except InvalidToken as refusal:
        return "refused", refusal.reason


@needs_both
@given(st.lists(JSON_PIECES, max_size=14).map("".join))
@example('{"a":123456789012345678901234567890}')
@example('{"a":1.7976931348623157e308,"b":5e-324,"c":-0.0,"d":-0}')
@example('{"a":"' + "9" * 100 + '"}')
@example('{"a":' + "9" * 5000 + "}")
@example('{"a":0.1,"b":1e16,"c":1E16,"d":1e-7}')
@example('{"a":"\\/\\b\\f\\n\\r\\t\\"\\\\"}')
@settings(max_examples=1500)
def test_both_readers_accept_the_same_documents(text: str) -> None:
    for candidate in (text, f'{{"a":{text}}}', f'{{"a":1,{text}}}', f'{{"{text}":1}}'):
        document = candidate.encode("utf-8", "surrogatepass")
        fast = outcome(partial(json_object.parse, document))
        strict = outcome(partial(read_strictly, document))
        assert repr(fast) == repr(strict)


def read_strictly(document: bytes) -> dict[str, Any]:
    json_object._check_depth(document)
    return json_object._read_strict(document)


@needs_both
@given(st.dictionaries(st.text(max_size=6), st.text(max_size=6) | st.integers() | st.booleans()))
def test_both_writers_write_the_same_bytes(value: dict[str, Any]) -> None:
    assert json_object.dump(value) == json_object._write_strict(value)
    assert json.loads(json_object.dump(value)) == value


@needs_both
@given(st.binary(max_size=100) | st.text("ABCQRghw_-+/= \n", max_size=40).map(str.encode))
@settings(max_examples=1000)
def test_both_decoders_accept_the_same_text(text: bytes) -> None:
    fast = outcome(partial(base64url.decode_bytes, text))
    try:
        data = base64url._stdlib_decode(text + b"=" * (-len(text) % 4), b"-_", True)
    except ValueError:
        assert fast == ("refused", Reason.MALFORMED)
        return
    canonical = base64url._stdlib_encode(data, b"-_").rstrip(b"=") == text
    assert fast == (("accepted", data) if canonical else ("refused", Reason.MALFORMED))
