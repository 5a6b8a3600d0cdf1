"""What `dojang client add` says of a client that people sign in to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dojang.jose.keys import SigningKey
from tests.cli.installation import Installation

CALLBACK = "https://app.example/callback"


def add(installation: Installation, name: str, *options: str) -> dict[str, Any]:
    client: dict[str, Any] = installation.must(
        "client",
        "add",
        name,
        f"--redirect-uri={CALLBACK}",
        f"--secret-file={name}.secret",
        *options,
    )["client"]
    return client


@pytest.mark.proves("C36", "C38", "O3")
def test_a_client_is_limited_on_the_command_line(stopped: Installation) -> None:
    sign = SigningKey.generate("ES256", kid="s")
    encrypt = {**SigningKey.generate("ES256", kid="e").public_jwk(), "use": "enc", "alg": "ECDH-ES"}
    path = stopped.directory / "keys.json"
    path.write_text(json.dumps({"keys": [sign.public_jwk(), encrypt]}))
    client = add(
        stopped,
        "signs",
        f"--jwks={path}",
        "--response-mode=form_post",
        "--require-signed-request-object",
        "--id-token-encryption=ECDH-ES:A256GCM",
    )
    sign_in = client["sign_in"]
    assert sign_in["response_modes"] == ["form_post"]
    assert sign_in["require_signed_request_object"] is True
    assert sign_in["id_token_encryption"] == ["ECDH-ES", "A256GCM"]
    plain = add(stopped, "plain")["sign_in"]
    assert plain["response_modes"] == ["query", "form_post"]
    assert plain["require_signed_request_object"] is False
    assert plain["id_token_encryption"] is None


@pytest.mark.proves("C100")
@pytest.mark.parametrize(
    "options, what",
    [
        (("--jwks-uri=https://10.0.0.1/keys",), "jwks_uri"),
        (("--jwks-uri=http://app.example/keys",), "jwks_uri"),
        (("--id-token-encryption=RSA1_5:A256GCM",), "id_token_encryption"),
        (("--id-token-encryption=RSA-OAEP-256",), "id_token_encryption"),
        (("--id-token-encryption=RSA-OAEP-256:A256GCM",), "jwks"),
        (("--require-signed-request-object",), "jwks"),
        (("--response-mode=fragment",), "response-mode"),
    ],
)
def test_what_cannot_be_is_said(stopped: Installation, options: tuple[str, ...], what: str) -> None:
    done = stopped.run("client", "add", "bad", f"--redirect-uri={CALLBACK}", *options)
    assert done.code == 2
    assert what in done.err


def test_keys_may_lie_elsewhere(stopped: Installation) -> None:
    uri = "https://app.example/keys"
    done = stopped.must(
        "client", "add", "elsewhere", "--authentication=private_key_jwt", f"--jwks-uri={uri}"
    )
    assert done["client"]["jwks_uri"] == uri
    assert "client_secret" not in done


@pytest.mark.proves("O2")
def test_a_file_for_a_secret_that_is_none_is_said(stopped: Installation) -> None:
    options = ["--authentication=none", f"--redirect-uri={CALLBACK}", "--secret-file=none.secret"]
    done = stopped.run("client", "add", "browser", *options)
    assert done.code == 0
    assert "none.secret was not written" in done.err
    assert not (stopped.directory / "none.secret").exists()


@pytest.mark.proves("O2")
def test_a_client_without_authentication_is_told_what_it_lacks(stopped: Installation) -> None:
    done = stopped.run("client", "add", "browser", "--authentication=none")
    assert done.code == 2
    assert "clients that people sign in to" in done.err
