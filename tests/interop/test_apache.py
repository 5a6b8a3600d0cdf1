"""A page behind mod_auth_openidc, in Debian's Apache."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.cli.installation import find_free_ports
from tests.interop.house import House, Person, read_query

APACHE = os.environ.get("DOJANG_APACHE", "/usr/sbin/apache2")
MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "include"]
PAGE = """<!--#echo var="OIDC_CLAIM_iss" -->
<!--#echo var="OIDC_CLAIM_email" -->
<!--#echo encoding="none" var="OIDC_CLAIM_name" -->
<!--#echo var="REMOTE_USER" -->
"""
SECONDS = 60  # at most, until the server is there, or a logout is told


def configure(directory: Path, house: House, port: int, secret: str) -> str:
    loaded = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES
    )
    return f"""
ServerName 127.0.0.1
ServerRoot {directory}
Listen 127.0.0.1:{port}
{loaded}
User nobody
Group nogroup
DefaultRuntimeDir {directory}
PidFile {directory}/pid
ErrorLog {directory}/log
DocumentRoot {directory}/pages
OIDCProviderMetadataURL {house.issuer}/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret {secret}
OIDCRedirectURI http://127.0.0.1:{port}/staff/back
OIDCCryptoPassphrase a-passphrase-of-this-test
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCRemoteUserClaim sub
<Location /staff>
  AuthType openid-connect
  Require valid-user
  SetOutputFilter INCLUDES
  Options +Includes
</Location>
"""


@pytest.fixture(scope="module")
def apache(house: House) -> Iterator[str]:
    """The origin of its pages."""
    (port,) = find_free_ports(1)
    origin = f"http://127.0.0.1:{port}"
    secret = house.add_client(
        "apache",
        redirect_uris=[origin + "/staff/back"],
        post_logout_redirect_uris=[origin + "/bye"],
        backchannel_logout_uri=origin + "/staff/back?logout=backchannel",
    )
    with TemporaryDirectory() as made:
        directory = Path(made)
        directory.chmod(0o755)  # its workers are nobody
        (directory / "pages" / "staff").mkdir(parents=True)
        (directory / "pages" / "staff" / "page").write_text(PAGE)
        (directory / "pages" / "bye").write_text("bye")
        file = directory / "apache.conf"
        file.write_text(configure(directory, house, port, secret))
        server = subprocess.Popen([APACHE, "-f", str(file), "-DFOREGROUND"])
        wait_until(lambda: is_there(origin))
        yield origin
        server.terminate()
        server.wait(timeout=60)


def is_there(origin: str) -> bool:
    try:
        return httpx.get(origin + "/bye").text == "bye"
    except httpx.TransportError:
        return False


def wait_until(done: Callable[[], bool]) -> None:
    late = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < late
        time.sleep(0.05)


def open_page(apache: str, person: Person) -> httpx.Response:
    """The page, after the way through the server's."""
    sent = person.browser.get(apache + "/staff/page")
    assert sent.status_code == 302, sent.text
    came = person.browser.get(person.visit(sent.headers["location"]))
    assert came.status_code == 302, came.text
    return person.browser.get(came.headers["location"])


@pytest.mark.proves("A2")
def test_a_page_for_those_who_signed_in(house: House, apache: str, person: Person) -> None:
    page = open_page(apache, person)
    told = page.content.decode().split("\n")
    assert told[:3] == [house.issuer, f"{person.username}@example.com", "홍길동"]
    assert person.browser.get(apache + "/staff/page").text == page.text


@pytest.mark.proves("C121")
def test_an_answer_of_another_browser_is_refused(apache: str, person: Person) -> None:
    sent = person.browser.get(apache + "/staff/page")
    came = person.visit(sent.headers["location"])
    assert httpx.get(came).status_code == 400


def test_a_person_signs_out(house: House, apache: str, person: Person) -> None:
    open_page(apache, person)
    left = person.browser.get(apache + "/staff/back", params={"logout": apache + "/bye"})
    assert left.headers["location"].startswith(house.issuer + "/logout?")
    assert "id_token_hint" in read_query(left.headers["location"])
    assert person.visit(left.headers["location"]) == apache + "/bye"
    assert person.browser.get(apache + "/staff/page").status_code == 302


def test_a_sign_out_elsewhere_reaches_the_page(house: House, apache: str, person: Person) -> None:
    open_page(apache, person)
    assert person.browser.get(apache + "/staff/page").status_code == 200
    house.operate("user.sign_out", username=person.username)
    wait_until(lambda: person.browser.get(apache + "/staff/page").status_code == 302)
