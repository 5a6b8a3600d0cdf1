"""A browser in two words, of what its User-Agent header says: enough to know one's own again."""

from __future__ import annotations

from typing import Final

# The first that stands in the header is meant: nearly all of them say Safari, and many Chrome.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Whale/", "Whale"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def describe_agent(agent: str) -> str:
    """Such as "Firefox · Linux"; empty where nothing is known of it."""
    named = (
        next((name for mark, name in table if mark in agent), None)
        for table in (_BROWSERS, _SYSTEMS)
    )
    return " · ".join(filter(None, named))
