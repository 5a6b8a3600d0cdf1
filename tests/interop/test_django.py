"""A Django application on mozilla-django-oidc."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.installation import find_free_ports
from tests.interop.house import House, Person
from tests.interop.others import HERE


@pytest.fixture(scope="module")
def application(house: House) -> Iterator[str]:
    """Its origin."""
    (port,) = find_free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    secret = house.add_client(
        "django",
        authentication="client_secret_post",
        redirect_uris=[origin + "/oidc/callback/"],
        post_logout_redirect_uris=[origin + "/bye"],
        id_token_algorithm="ES256",
    )
    command = [sys.executable, str(HERE / "django_party.py"), str(port), house.issuer, secret]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield origin
        process.terminate()


@pytest.mark.proves("A2")
def test_a_person_signs_in_and_out(house: House, application: str, person: Person) -> None:
    browser = person.browser
    asked = browser.get(application + "/", follow_redirects=False)
    sent = browser.get(application + asked.headers["location"])
    came = browser.get(person.visit(sent.headers["location"]))
    assert came.headers["location"] == "/"
    assert browser.get(application + "/").json() == {"email": f"{person.username}@example.com"}
    left = browser.get(application + "/oidc/logout/").headers["location"]
    assert left.startswith(house.issuer + "/logout?")
    assert person.visit(left) == application + "/bye"
    assert browser.get(application + "/").status_code == 302
    person.seen.clear()
    person.visit(browser.get(application + "/oidc/authenticate/").headers["location"])
    assert person.seen[0] == "Sign in"


@pytest.mark.proves("C121")
def test_an_answer_of_another_browser_is_refused(
    house: House, application: str, person: Person
) -> None:
    sent = person.browser.get(application + "/oidc/authenticate/")
    came = person.visit(sent.headers["location"])
    other = house.add_person().browser
    assert other.get(came).headers["location"] == "/no"
    other.close()
