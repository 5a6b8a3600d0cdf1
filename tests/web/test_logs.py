"""No token and no secret in a log, a metric or an answer (C117): canaries through every sink."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.oauth.http import Request, Response
from dojang.web.logs import configure_logging
from dojang.web.redaction import REDACTED, redact
from dojang.web.routing import Route
from tests.web.peers import peer_of, serving
from tests.web.world import (
    BASE,
    FORM,
    World,
    ask_introspection,
    ask_token,
    basic,
    read_json,
)

JWT = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJhIiwic3ViIjoiYiJ9."
    "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
)
OPAQUE = "dojang_at_AbCdEfGhIjKlMnOpQrStUvWxYz-0123456789_abcdef"
SECRET = "dojang_cs_ZyXwVuTsRqPoNmLkJiHgFeDcBa-9876543210_fedcba"
PLAIN = "correct.horse~battery"
BASIC = "Y2xpZW50OmNvcnJlY3QuaG9yc2U="
CANARIES = (JWT, OPAQUE, SECRET, PLAIN, BASIC)


@pytest.fixture(params=[True, False], ids=["json", "text"])
def stderr(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What our root handler writes; everything is put back afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    before_unraisable, raising = sys.unraisablehook, logging.raiseExceptions
    stream = io.StringIO()
    configure_logging(stream=stream, as_json=request.param, level="DEBUG")
    yield stream
    root.handlers[:], level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    sys.unraisablehook, logging.raiseExceptions = before_unraisable, raising
    logging.captureWarnings(capture=False)


@pytest.mark.proves("C117")
@pytest.mark.parametrize(
    "text",
    [
        f"token {JWT} was shown",
        f"GET /x?token={PLAIN}&a=b",
        f"access_token={JWT}&token_type_hint=access_token",
        f"client_id=a&client_secret={PLAIN}&grant_type=client_credentials",
        f"client_assertion={JWT}",
        f"CLIENT_SECRET={PLAIN}",
        f"client_secret%3D{PLAIN}",
        f"Authorization: Bearer {OPAQUE}",
        f"authorization: basic {BASIC}",
        f"Authorization: Custom {PLAIN}",
        f"Cookie: a=b; session={PLAIN}",
        f"((b'host', b'a'), (b'authorization', b'Basic {BASIC}'))",
        f"((b'host', b'a'), (b'authorization', b'{PLAIN}'))",
        f"{{'client_secret': '{PLAIN}'}}",
        f'{{"client_secret": "{PLAIN}", "a": 1}}',
        json.dumps(json.dumps({"client_secret": PLAIN})),
        f"Client(client_secret={PLAIN!r}, name='a')",
        f"refused {OPAQUE}, {SECRET}",
        f"{JWT}.{JWT}",
        json.dumps({"kty": "EC", "d": "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"}),
    ],
)
def test_what_looks_secret_is_taken_out(text: str) -> None:
    cleaned = redact(text)
    assert REDACTED in cleaned
    for canary in (*CANARIES, *JWT.split(".")):
        assert canary not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "dojang.server.endpoints.introspection.introspect",
        "https://orders.example/.well-known/jwks.json",
        "the token endpoint answered; code 200, basic authentication",
        "0195f3a8-7c1e-7000-8000-3f2a1b4c5d6e",
        'File "/srv/app/examples/exceptions.py", line 3, in eyes_and_ewes.element.expected',
        "client_id=orders grant_type=client_credentials scope=read",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.proves("C117", "O2")
def test_every_part_of_a_record_is_redacted(stderr: io.StringIO) -> None:
    log = logging.getLogger("somebody.else")
    log.info("presented %s by %s", JWT, {"client_secret": PLAIN})
    log.info("with a field", extra={"header": f"Bearer {OPAQUE}", "deep": {"token": [SECRET]}})
    log.warning("an object %s", Request("GET", "/", b"", ((b"cookie", PLAIN.encode()),), b"", ""))
    try:
        try:
            raise ValueError(f"token={PLAIN}")
        except ValueError as cause:
            raise RuntimeError(SECRET) from cause
    except RuntimeError:
        log.exception("a failure with %s", OPAQUE)
    log.info("%s %s", "too few")  # noqa: PLE1206  a mistake of the caller ends no request
    written = stderr.getvalue()
    assert "presented" in written
    assert "a failure" in written
    assert "Traceback" in written
    for canary in CANARIES:
        assert canary not in written


@pytest.mark.proves("O2")
def test_a_line_is_an_object(stderr: io.StringIO, request: pytest.FixtureRequest) -> None:
    logging.getLogger("a.b").warning("hello %s", "you", extra={"client": "10.0.0.1", "odd": {1}})
    line = stderr.getvalue()
    if "json" in request.node.name:
        read = json.loads(line)
        assert read.pop("time").endswith("Z")
        assert read.pop("odd") in ([1], "{1}")
        assert read == {
            "level": "warning",
            "logger": "a.b",
            "event": "hello you",
            "client": "10.0.0.1",
        }
    else:
        assert line.rstrip().endswith("warning hello you client=10.0.0.1 odd={1}")


@pytest.mark.proves("C117")
@pytest.mark.filterwarnings("default")
def test_what_nobody_caught_is_redacted(
    stderr: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError(f"client_secret={PLAIN}")

    class Failing:
        def __del__(self) -> None:
            raise ValueError(OPAQUE)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Failing()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    warnings.warn(f"deprecated: {JWT}", stacklevel=1)
    written = stderr.getvalue() + "".join(capfd.readouterr())
    assert written.count("ValueError: ") == 3
    assert "deprecated" in written
    for canary in CANARIES:
        assert canary not in written


@pytest.mark.proves("C117")
async def test_canaries_reach_no_sink(
    world: World, stderr: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real requests with known secrets, good and bad, then a search of all that came out."""

    def fail(request: Request) -> Response:
        raise RuntimeError(f"{request}")

    public, management = world.tables
    tables = (public, management, [Route("/fail", {"POST": fail})])
    seen: list[bytes] = []
    async with (
        serving(*tables, service=world.service) as site,
        peer_of(site.addresses[0]) as peer,
        peer_of(site.addresses[1]) as operator,
        peer_of(site.addresses[2]) as broken,
    ):
        token = read_json(await ask_token(peer, world))["access_token"]
        secrets = [world.secret, world.introspector_secret, token, *token.split("."), *CANARIES]
        secrets.append(basic("shop", world.secret)[1].removeprefix("Basic "))

        async def send(to: object, path: str, *headers: tuple[str, str], body: str = "") -> None:
            answer = await to.ask(  # type: ignore[attr-defined]
                path, method="POST", headers=[FORM, *headers], body=body.encode()
            )
            seen.append(answer.head + answer.body)

        good = basic("shop", world.secret)
        await ask_introspection(peer, world, token)
        form = "grant_type=client_credentials&resource="
        await send(peer, BASE + "/token", good, body=f"{form}https://none.example/{JWT}")
        await send(peer, BASE + "/token", basic("shop", SECRET), body=form)
        await send(peer, BASE + "/token", body=f"{form}&client_id=shop&client_secret={PLAIN}")
        await send(peer, BASE + "/token", body=f"{form}&client_assertion={JWT}")
        await send(peer, BASE + f"/token?access_token={OPAQUE}", ("Authorization", f"Bearer {JWT}"))
        await send(peer, BASE + "/introspect", good, body=f"token={OPAQUE}")
        await send(peer, f"/{OPAQUE}", body=f"token={JWT}")
        await send(broken, f"/fail?token={PLAIN}", good, body=f"client_secret={SECRET}&token={JWT}")
        await send(broken, "/fail", ("Authorization", f"Bearer {token}"), ("Cookie", PLAIN))
        world.store.down = True
        await send(peer, BASE + "/token", good, body=form)
        world.store.down = False
        metrics = await operator.ask("/metrics")
        await operator.ask("/admin/v1/clients", headers=[("Authorization", f"Bearer {token}")])
        seen.append(metrics.head + metrics.body)
    logged = stderr.getvalue()
    assert logged.count("a request failed") == 2
    assert "database is unavailable" in logged
    sinks = [logged, *capfd.readouterr(), *(each.decode() for each in seen)]
    for secret in secrets:
        assert not [sink for sink in sinks if secret in sink]


@pytest.mark.proves("C117")
def test_a_process_that_dies_prints_no_secret(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom dojang.web.logs import configure_logging\nconfigure_logging()\n"
        f"raise RuntimeError({SECRET!r})\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    line = json.loads(run.stderr)
    assert line["event"] == "an exception was not caught"
    assert SECRET not in run.stdout + run.stderr
