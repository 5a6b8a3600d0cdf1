"""Where the pages are, below the issuer. Scripts of other origins reach none of them (C114)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.server.paths import ACCOUNT, AUTHORIZATION, INTERACTION, LOGOUT, STATIC
from dojang.web.pages.account import change_account, show_account
from dojang.web.pages.assets import find_asset
from dojang.web.pages.authorization import authorize, interact
from dojang.web.pages.logout import log_out, take_logout_form
from dojang.web.pages.site import Site
from dojang.web.peer import TrustedProxies
from dojang.web.routing import Route, TemplateRoute

if TYPE_CHECKING:
    from dojang.server.provider import Provider


def build_page_routes(provider: Provider, trusted: TrustedProxies) -> list[Route | TemplateRoute]:
    """Every page. `trusted` are proxies that say where browsers connect from."""
    site = Site(provider, trusted)
    base = site.artist.base
    forms = {
        AUTHORIZATION: ("authorize", authorize, authorize),
        ACCOUNT: ("account", show_account, change_account),
        LOGOUT: ("logout", log_out, take_logout_form),
    }
    interaction = site.bind("interaction", interact)
    return [
        *(
            Route(base + path, {"GET": site.bind(name, shown), "POST": site.bind(name, posted)})
            for path, (name, shown, posted) in forms.items()
        ),
        TemplateRoute(base + INTERACTION, {"GET": interaction, "POST": interaction}),
        TemplateRoute(base + STATIC, {"GET": find_asset}),
    ]
