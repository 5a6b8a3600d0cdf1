"""What all pages share: who is visiting, and what becomes of a visit that cannot be answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from dojang.oauth.errors import OAuthError, Unavailable
from dojang.oauth.http import Request, Response, parse_form, parse_parameters
from dojang.server.accounts import TooManyAttempts
from dojang.server.browsers import BadForm, Browser
from dojang.server.interaction import InteractionOver
from dojang.server.ports import Conflict
from dojang.server.vouching import BadTicket
from dojang.web.failures import Failures
from dojang.web.pages.cookies import Cookies, Header
from dojang.web.pages.drawing import Artist
from dojang.web.pages.languages import choose_language
from dojang.web.pages.origins import check_own_page
from dojang.web.peer import TrustedProxies

if TYPE_CHECKING:
    from dojang.server.provider import Provider

# Refusals that have a text of their own; `OAuthError.reason` leads to it.
_REASONS: Final = {
    "client_not_for_people": "client",
    "redirect_uri": "redirect_uri",
    "id_token_hint": "hint",
    "post_logout_redirect_uri": "logout_redirect_uri",
}

# What is counted, by what went wrong.
_OUTCOMES: Final[Mapping[type[Exception], str]] = {
    InteractionOver: "interaction_over",
    BadForm: "bad_form",
    BadTicket: "bad_ticket",
    TooManyAttempts: "too_many_attempts",
    Conflict: "conflict",
    Unavailable: "unavailable",
}


class Visit(Struct, frozen=True, kw_only=True):
    """One request of a browser. `own` are headers that keep what the browser does not have yet."""

    request: Request
    browser: Browser
    language: str
    own: tuple[Header, ...]

    def read_query(self) -> dict[str, str]:
        """The parameters in the address. Raises `OAuthError`."""
        return parse_parameters(self.request.query)

    def read_form(self) -> dict[str, str]:
        """The fields of the form. Raises `OAuthError`."""
        return parse_form(self.request)

    def choose_language(self, wished: Sequence[str]) -> str:
        """The language of a page for which the client wishes something."""
        return choose_language(wished, _find_accepted(self.request))


PageHandler = Callable[["Site", Visit, Mapping[str, str]], Awaitable[Response]]
_NOTHING: Final[Mapping[str, str]] = {}


class BoundHandler(Protocol):
    """Answers at one path, and at paths with something in them."""

    def __call__(
        self, request: Request, in_path: Mapping[str, str] = ..., /
    ) -> Coroutine[Any, Any, Response]: ...


class Site:
    """The pages of one provider. `trusted` are proxies that say where browsers connect from."""

    def __init__(self, provider: Provider, trusted: TrustedProxies) -> None:
        self.provider: Final = provider
        self.cookies: Final = Cookies(provider.issuer)
        self.artist: Final = Artist(provider.issuer)
        self._trusted: Final = trusted
        self._failures: Final = Failures(trusted)

    def bind(self, name: str, handler: PageHandler) -> BoundHandler:
        """`handler` as the handler of a route: whatever happens, a person is shown a page, and what
        goes wrong is counted under `name`."""

        async def answer(request: Request, in_path: Mapping[str, str] = _NOTHING) -> Response:
            try:
                return await handler(self, self.open_visit(request), in_path)
            except Exception as error:  # noqa: BLE001  the listener would answer in JSON
                outcome = _name_outcome(error)
                self.provider.counters[
                    "dojang_requests_total", "endpoint", name, "outcome", outcome
                ] += 1
                return self._draw_failure(error, request)

        return answer

    def open_visit(self, request: Request) -> Visit:
        """Who is visiting. Raises `OAuthError` for headers that stand twice."""
        shown = self.cookies.read(request)
        agent = request.header(b"user-agent") or b""
        return Visit(
            request=request,
            browser=Browser(
                secret=shown.secret,
                session=shown.session,
                agent=agent.decode("utf-8", "replace"),
                network=self._trusted.find_client(request),
            ),
            language=choose_language((), _find_accepted(request)),
            own=(self.cookies.keep_browser(shown.secret),) if shown.is_new else (),
        )

    def check_own_page(self, visit: Visit) -> None:
        """Raises `BadForm` for a form that another site's page posted."""
        check_own_page(visit.request, self.provider.issuer)

    def draw_error(
        self,
        language: str,
        kind: str,
        phrase: str,
        *,
        status: int,
        own: tuple[Header, ...] = (),
        **values: Any,
    ) -> Response:
        """The page that says what went wrong: `phrase` is the same in every language."""
        return self.artist.draw(
            "error.html",
            language,
            status=status,
            own=own,
            kind=kind,
            phrase=phrase,
            values=values,
        )

    def _draw_failure(self, error: Exception, request: Request) -> Response:
        language = choose_language((), _find_accepted(request))
        if isinstance(error, OAuthError):
            kind = _REASONS.get(error.reason, "request")
            return self.draw_error(language, kind, error.description, status=400)
        if isinstance(error, InteractionOver | BadTicket):
            return self.draw_error(language, "over", "sign-in expired", status=400)
        if isinstance(error, BadForm):
            return self.draw_error(language, "form", "invalid form", status=403)
        if isinstance(error, TooManyAttempts):
            minutes = -(-error.retry_after // 60)
            return self.draw_error(
                language,
                "attempts",
                "too many attempts",
                status=429,
                own=_build_retry(error.retry_after),
                minutes=minutes,
            )
        if isinstance(error, Conflict):
            return self.draw_error(language, "conflict", "changed meanwhile", status=409)
        status = self._failures.build_response(error, request).status  # it is logged there
        if isinstance(error, Unavailable):
            own = _build_retry(error.retry_after)
            return self.draw_error(
                language, "unavailable", "temporarily unavailable", status=status, own=own
            )
        return self.draw_error(language, "failed", "server error", status=status)


def _name_outcome(error: Exception) -> str:
    if isinstance(error, OAuthError):
        return error.reason
    return _OUTCOMES.get(type(error), "failed")


def _build_retry(seconds: int) -> tuple[Header, ...]:
    return ((b"retry-after", b"%d" % seconds),)


def _find_accepted(request: Request) -> bytes:
    """Accept-Language, all of it where it stands more than once (RFC 9110 §5.3)."""
    return b",".join(value for name, value in request.headers if name == b"accept-language")
