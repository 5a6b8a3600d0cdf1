"""Over TLS: a peer that somebody vouches for is spoken to, any other is not."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, HttpTransport
from dojang.testing.fault_proxy import FaultProxy
from tests.origin import Answer, Origin
from tests.services.certificates import make_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "certificate.pem", "127.0.0.1")


@pytest.fixture
def origin(certificate: Path) -> Iterator[Origin]:
    with Origin() as served:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = served._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        served.answers["/"] = lambda _: Answer(200, b"safe")
        yield served


def trusting(certificate: Path) -> HttpTransport:
    return HttpTransport(tls=ssl.create_default_context(cafile=str(certificate)))


@pytest.mark.proves("V1")
def test_a_peer_with_a_trusted_certificate_is_spoken_to(origin: Origin, certificate: Path) -> None:
    transport = trusting(certificate)
    with FaultProxy("127.0.0.1", origin.port) as proxy:
        for _ in range(3):
            request = FetchRequest("GET", f"https://127.0.0.1:{proxy.port}/")
            assert transport.send(request).body == b"safe"
        assert proxy.connections == 1
    transport.close()


@pytest.mark.proves("V1", "C125")
@pytest.mark.parametrize("host, trusted", [("127.0.0.1", False), ("localhost", True)])
def test_a_stranger_or_another_name_is_not(
    origin: Origin, certificate: Path, host: str, trusted: bool
) -> None:
    transport = trusting(certificate) if trusted else HttpTransport()
    with pytest.raises(FetchFailed) as failure:
        transport.send(FetchRequest("GET", f"https://{host}:{origin.port}/"))
    assert failure.value.problem is FetchProblem.TLS
    assert not origin.requests


# What a system may be set to: then Python's own contexts speak TLS 1.1.
PERMISSIVE = """
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = DEFAULT:@SECLEVEL=0
"""
ASK = """
import ssl, sys
from dojang.fetch import FetchFailed, FetchRequest, HttpTransport
contexts = {"ours": None, "lax": ssl.create_default_context()}
contexts["lax"].minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
contexts["lax"].set_ciphers("ALL:@SECLEVEL=0")
for name, context in contexts.items():
    try:
        print(name, HttpTransport(tls=context).send(FetchRequest("GET", sys.argv[1])).status)
    except FetchFailed as error:
        print(name, error.problem.name)
"""


@pytest.mark.proves("C113")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_an_old_tls_is_refused_whatever_the_system_allows(
    certificate: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "openssl.cnf"
    settings.write_text(PERMISSIVE)
    with Origin() as served:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        server = served._server
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        served.answers["/"] = lambda _: Answer(200, b"old")
        said = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ASK, f"https://127.0.0.1:{served.port}/"],
            env={**os.environ, "OPENSSL_CONF": str(settings), "SSL_CERT_FILE": str(certificate)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    ours, lax = said.stdout.splitlines()
    assert lax == "lax 200"
    assert ours != "ours 200"
