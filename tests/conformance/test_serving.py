"""What operators are told to do is done, and a few modules run against `dojang serve`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Final, cast

import httpx
import pytest
from typer.testing import CliRunner

from dojang.cli.application import app
from dojang.oauth.http import Response
from dojang.testing import Issuer
from tests.cli.installation import Installation
from tests.conformance.conditions import check_person, check_scopes
from tests.conformance.guide import read_commands
from tests.conformance.suite import AFTER_LOGOUT, Suite
from tests.server.front_door import Header, read
from tests.server.people.world import PASSWORD
from tests.web.pages.visitor import Visitor

SCOPE = "openid profile email address phone offline_access"


class Network:
    """Requests that go there, each by itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.client: Final = httpx.Client(timeout=30)

    def answer(self, method: str, path: str, headers: tuple[Header, ...], body: bytes) -> Response:
        answer = self.client.request(method, self._url + path, headers=headers, content=body)
        self.client.cookies.clear()
        lines = tuple((name.lower(), value) for name, value in answer.headers.raw)
        return Response(answer.status_code, lines, answer.content)


class Served:
    """An installation made by the commands of the guide."""

    def __init__(self, directory: Path) -> None:
        self.installation: Final = Installation(directory)
        self.url: Final = self.installation.issuer
        self.transport: Final = Network(self.url)
        (directory / "buffy.password").write_text(PASSWORD)
        self.installation.start()
        with chdir(directory):
            for words in read_commands():
                if words[0] not in {"init", "serve"}:
                    done = CliRunner().invoke(app, words)
                    assert done.exit_code == 0, done.output
        self.secrets: Final = {
            file.stem: file.read_text().strip() for file in directory.glob("conformance*.secret")
        }

    @property
    def now(self) -> int:
        return int(time.time())

    def wait(self, seconds: int) -> None:
        time.sleep(seconds)

    def browse(self) -> Visitor:
        return Visitor(cast("Issuer", self))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.transport.client.close()
    served.installation.stop()
    assert "Traceback" not in served.installation.log


def test_every_client_of_the_configuration_is_made(served: Served) -> None:
    assert set(served.secrets) == {
        "conformance",
        "conformance-2",
        "conformance-post",
        "conformance-back",
        "conformance-front",
    }


@pytest.mark.parametrize("form_post", [False, True], ids=["query", "form_post"])
def test_a_whole_flow(served: Served, form_post: bool) -> None:
    suite = Suite(served, "oidcc-server", form_post=form_post)
    signed_in = suite.sign_in({"scope": SCOPE, "prompt": "consent"})
    assert signed_in.tokens["refresh_token"]
    claims = read(suite.ask_userinfo(signed_in.access_token))
    check_person(claims)
    check_scopes(claims, SCOPE)


def test_every_client_signs_somebody_in(served: Served) -> None:
    suite = Suite(served, "oidcc-refresh-token")
    suite.client = suite.config["client2"]
    suite.sign_in()
    suite.client = suite.config["client_secret_post"]
    suite.sign_in(in_body=True)
    for module in ("backchannel", "frontchannel"):
        Suite(served, f"oidcc-{module}-rp-initiated-logout").sign_in()


def test_a_logout(served: Served) -> None:
    suite = Suite(served, "oidcc-rp-initiated-logout")
    hint = suite.sign_in().tokens["id_token"]
    arrival = suite.log_out(id_token_hint=hint, post_logout_redirect_uri=AFTER_LOGOUT)
    assert arrival is not None
    assert arrival.url == AFTER_LOGOUT
    assert suite.take_answer(suite.build_request(prompt="none"))["error"] == "login_required"
