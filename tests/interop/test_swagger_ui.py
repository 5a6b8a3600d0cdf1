"""FastAPI's interactive documentation, which is Swagger UI (npm), with Dojang's guard."""

import time
from collections.abc import Iterator
from threading import Thread
from typing import Annotated

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from playwright.sync_api import BrowserContext, expect
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from dojang.integrations.fastapi import DocsSignIn, Guard
from dojang.resource import VerifiedToken
from tests.cli.installation import find_free_ports
from tests.interop.house import ORDERS, PASSWORD, House, Person
from tests.interop.others import NODE_MODULES


def build_api(issuer: str) -> FastAPI:
    login = {"clientId": "docs", "usePkceWithAuthorizationCodeGrant": True}
    app = FastAPI(docs_url=None, swagger_ui_init_oauth=login)
    app.mount("/files", StaticFiles(directory=NODE_MODULES / "swagger-ui-dist"))
    guard = Guard(
        issuer=issuer,
        audience=ORDERS,
        algorithms=["ES256"],
        docs_sign_in=DocsSignIn(issuer + "/authorize", issuer + "/token"),
    )

    @app.get("/orders")
    def list_orders(token: Annotated[VerifiedToken, guard("orders:read")]) -> dict[str, str]:
        return {"orders_for": token.subject}

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        """As FastAPI's own, with files from here: nothing is loaded from elsewhere."""
        return get_swagger_ui_html(
            openapi_url="/openapi.json", title="docs", init_oauth=login,
            oauth2_redirect_url="/docs/oauth2-redirect",
            swagger_js_url="/files/swagger-ui-bundle.js", swagger_css_url="/files/swagger-ui.css",
            swagger_favicon_url="/files/favicon-32x32.png",
        )  # fmt: skip

    @app.get("/docs/oauth2-redirect", include_in_schema=False)
    def come_back() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    return app


@pytest.fixture(scope="module")
def api(house: House) -> Iterator[str]:
    """The origin of the service."""
    (port,) = find_free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    house.add_client(
        "docs", authentication="none", redirect_uris=[origin + "/docs/oauth2-redirect"]
    )
    settings = uvicorn.Config(build_api(house.issuer), port=port, log_config=None, ws="none")
    server = uvicorn.Server(settings)
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield origin
    server.should_exit = True
    thread.join()


@pytest.mark.proves("A2", "R1")
def test_a_route_is_tried_by_who_signed_in(
    api: str, profile: BrowserContext, person: Person
) -> None:
    page = profile.new_page()
    page.goto(api + "/docs")
    page.locator(".btn.authorize").click()
    page.get_by_text("select all").click()
    with page.expect_popup() as opened:
        page.locator(".modal-ux .btn.authorize").click()
    sign_in = opened.value
    sign_in.fill("#username", person.username)
    sign_in.fill("#password", PASSWORD)
    sign_in.click("#submit")
    sign_in.click("#allow")
    page.get_by_role("button", name="Remove authorization").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody")).to_contain_text("orders_for")
