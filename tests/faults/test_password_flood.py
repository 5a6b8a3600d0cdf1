"""F17: many people sign in at once while machines ask for tokens."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from dojang.oauth.pkce import build_challenge
from tests.cli.conftest import fill
from tests.cli.installation import ORDERS, Installation
from tests.interop.house import CALLBACK, PASSWORD, read_form

pytestmark = pytest.mark.proves("F17")

PEOPLE = 90  # more than wait in line for a hash


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    installation.start()
    fill(installation)
    installation.must("client", "add", "web", f"--redirect-uri={CALLBACK}")
    installation.must("user", "add", "hong", "--password-file=-", stdin=PASSWORD)
    yield installation
    assert installation.stop() == 0
    assert "Traceback" not in installation.log


def arrive(browser: httpx.Client, issuer: str) -> tuple[str, dict[str, str]]:
    """A sign-in page: where its form leads, and what it carries."""
    wanted = {
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": build_challenge("v" * 50),
        "code_challenge_method": "S256",
    }
    page = browser.get(f"{issuer}/authorize?{urlencode(wanted)}", follow_redirects=True)
    return read_form(page)


def test_machines_get_tokens_while_people_wait_for_a_hash(served: Installation) -> None:
    secret = (served.directory / "shop.secret").read_text().strip()
    form = {"grant_type": "client_credentials", "resource": ORDERS}
    answered: list[tuple[float, int]] = []

    def sign_in(number: int) -> None:
        with httpx.Client(timeout=60) as browser:
            target, fields = arrive(browser, served.issuer)
            wanted = {"username": f"nobody-{number}", "password": PASSWORD, "action": "sign_in"}
            status = browser.post(target, data=fields | wanted).status_code
            answered.append((time.monotonic(), status))

    with ThreadPoolExecutor(PEOPLE) as pool, httpx.Client(timeout=60) as machine:
        waiting: list[Future[None]] = [pool.submit(sign_in, number) for number in range(PEOPLE)]
        tokens = []
        while not all(each.done() for each in waiting):
            answer = machine.post(f"{served.issuer}/token", data=form, auth=("shop", secret))
            assert answer.status_code == 200
            tokens.append(time.monotonic())
        for each in waiting:
            each.result()

    statuses = {status for _, status in answered}
    assert statuses <= {200, 429, 503}
    assert 200 in statuses
    # Everybody was asked to wait or to come back; machines were served all along.
    first, last = min(at for at, _ in answered), max(at for at, _ in answered)
    served_meanwhile = sum(first < at < last for at in tokens)
    hashed = sum(status == 200 for _, status in answered)

    assert served_meanwhile > hashed
