"""Pages as HTML. Jinja2 is imported with the first of them: a server whose clients are machines
never needs it."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dojang.oauth.http import Headers, Response
from dojang.web.pages.agents import describe_agent
from dojang.web.pages.assets import load_assets
from dojang.web.pages.headers import HTML, build_content_policy, build_safe_headers
from dojang.web.pages.languages import Speaker

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = Path(__file__).parent / "templates"
SUBMIT: Final = 'document.getElementById("submit").click()'  # the one script: it presses the button
SUBMIT_HASH: Final = "sha256-" + b64encode(sha256(SUBMIT.encode()).digest()).decode()


class Artist:
    """Draws the pages of one issuer. `base` is its path, without a slash at the end."""

    def __init__(self, issuer: str) -> None:
        parts = urlsplit(issuer)
        self.base: Final = parts.path.rstrip("/")
        self._host: Final = parts.netloc
        self._safe: Final = build_safe_headers(secure=parts.scheme == "https")

    def draw(
        self,
        template: str,
        language: str,
        *,
        status: int = 200,
        target: str | None = None,
        own: Headers = (),
        script: bool = False,
        frames: tuple[str, ...] = (),
        **values: Any,
    ) -> Response:
        """The page of a template. `target` is where its form may lead besides this server;
        `own` are headers that no other answer has; `frames` are addresses that the page opens."""
        text = (
            _load_environment()
            .get_template(template)
            .render(
                t=Speaker(language),
                lang=language,
                base=self.base,
                host=self._host,
                assets=load_assets().paths,
                target=target,
                submit_script=SUBMIT,
                frames=frames,
                **values,
            )
        )
        policy = build_content_policy(target, script=SUBMIT_HASH if script else None, frames=frames)
        headers = ((b"content-security-policy", policy), *own)
        return Response(status, (HTML, *self._safe), text.encode(), headers)

    def lead(self, location: str, *own: tuple[bytes, bytes]) -> Response:
        """Send the browser on, with GET whatever it came with (C29)."""
        headers = ((b"location", location.encode("ascii")), *own)
        return Response(303, self._safe, b"", headers)


@cache
def _load_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["agent"] = describe_agent
    environment.filters["moment"] = _describe_moment
    environment.filters["machine_moment"] = _describe_moment_for_machines
    return environment


def _describe_moment(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _describe_moment_for_machines(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
