"""What the pages say, and in which language: the client's wish (`ui_locales`, OpenID Connect Core
§3.1.2.1), else the browser's (RFC 9110 §12.5.4), else English."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markupsafe import Markup

LANGUAGES: Final = ("en", "ko")
MOST_NAMED: Final = 20  # languages that are looked at, of those a browser names
_FOLDER: Final = Path(__file__).parent / "locale"


def choose_language(wished: Iterable[str], accepted: bytes = b"") -> str:
    """One of `LANGUAGES`. `wished` are language tags (RFC 5646), `accepted` is an Accept-Language
    header."""
    for tag in (*wished, *_rank(accepted)):
        primary = tag.partition("-")[0].lower()
        if primary in LANGUAGES:
            return primary
    return LANGUAGES[0]


def _rank(accepted: bytes) -> list[str]:
    """The tags of an Accept-Language header, the best first; those of weight 0 are left out."""
    ranked = []
    for number, item in enumerate(accepted.decode("latin-1").split(",")[:MOST_NAMED]):
        tag, _, rest = item.strip().partition(";")
        name, _, weight = rest.strip().partition("=")
        quality = 1.0
        if name.strip() == "q":
            try:
                quality = min(float(weight), 1.0)
            except ValueError:
                quality = 0.0
        if quality > 0:
            ranked.append((-quality, number, tag.strip()))
    return [tag for _, _, tag in sorted(ranked)]


@cache
def load_texts(language: str) -> Mapping[str, str]:
    """Every text by its name, such as `sign_in.title`."""
    tables = tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return {
        f"{table}.{name}": text for table, texts in tables.items() for name, text in texts.items()
    }


class Speaker:
    """Says texts in one language, as HTML."""

    def __init__(self, language: str) -> None:
        self.language: Final = language
        self._texts = load_texts(language)

    def __call__(self, name: str, **values: object) -> Markup:
        """The text `name`; what is put into it is escaped. Raises `KeyError` for no text."""
        from markupsafe import Markup, escape

        return Markup(escape(self._texts[name])).format(**values)  # noqa: S704  it is escaped

    def knows(self, name: str) -> bool:
        """Whether there is such a text."""
        return name in self._texts
