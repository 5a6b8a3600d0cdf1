"""Mutations of good input: what a fuzzer without coverage has to go by."""

from hypothesis import strategies as st

TOKENS = [
    *(b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\\u0000", b"\\ud800", b".", b"=", b"-"),
    *(b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"9" * 400, b"\xff", b"\xc3", b"\0", b"\n"),
    *(b'"alg"', b'"kid"', b'"crit":["b64"],', b'"none"', b'"d":"AQ",', b'"n":"",', b"[" * 60),
]


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few cuts, repeats, swapped bytes and grafts from the table."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            data = data[:start] + data[end:]
        elif kind == 1:
            data = data[:end] + data[start:]
        elif kind == 2:
            data = data[:start] + draw(st.sampled_from(TOKENS)) + data[end:]
        elif kind == 3:
            data = data[:start] + draw(st.binary(max_size=8)) + data[start:]
        elif start < len(data):
            flipped = data[start] ^ (1 << draw(st.integers(0, 7)))
            data = data[:start] + bytes((flipped,)) + data[start + 1 :]
    return data
