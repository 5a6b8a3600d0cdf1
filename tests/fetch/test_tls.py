"""Over TLS: a peer that somebody vouches for is spoken to, any other is not."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dojang.fetch import FetchFailed, FetchProblem, FetchRequest, HttpTransport
from dojang.testing.fault_proxy import FaultProxy
from tests.origin import Answer, Origin


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, signed by nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


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
