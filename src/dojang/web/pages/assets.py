"""Style and pictures of the pages. The name of a file has its hash in it, so browsers may keep it
for good."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from dojang.oauth.http import Request, Response, build_json
from dojang.server.paths import STATIC

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": b"text/css; charset=utf-8", ".svg": b"image/svg+xml"}
_KEPT: Final = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)


class Assets(NamedTuple):
    """`paths` lead from plain names to paths below the issuer, `answers` from hashed names on."""

    paths: Mapping[str, str]
    answers: Mapping[str, Response]


@cache
def load_assets() -> Assets:
    """All of them, read once."""
    paths, answers = {}, {}
    for file in sorted(_FOLDER.iterdir()):
        if file.suffix in _TYPES:
            content = file.read_bytes()
            name = f"{file.stem}-{sha256(content).hexdigest()[:16]}{file.suffix}"
            paths[file.name] = STATIC.format(name=name)
            headers = ((b"content-type", _TYPES[file.suffix]), *_KEPT)
            answers[name] = Response(200, headers, content)
    return Assets(paths, answers)


def find_asset(request: Request, in_path: Mapping[str, str]) -> Response:
    """The file of a hashed name."""
    found = load_assets().answers.get(in_path["name"])
    return found or build_json(404, {"error": "not_found"})
