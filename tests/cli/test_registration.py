"""`dojang registration-token`, and a server where clients register."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.cli.installation import ORDERS, Installation, dojang

SETTINGS = """
[registration]
mode = "initial_access_token"
scopes = ["openid", "email"]
resources = ["{orders}=orders:read"]

[fetch]
permitted_networks = ["127.0.0.0/8"]
"""


def register(installation: Installation, token: str) -> tuple[int, dict[str, object]]:
    document = {"redirect_uris": ["https://blue.test/"], "id_token_signed_response_alg": "ES256"}
    request = urllib.request.Request(
        f"{installation.issuer}/register",
        json.dumps(document).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.proves("C100", "O3")
def test_an_operator_lets_a_client_register(fresh: Installation) -> None:
    fresh.must("resource", "add", ORDERS, "--scope=orders:read")
    path = fresh.directory / "dojang.toml"
    with path.open("a") as file:
        file.write(SETTINGS.format(orders=ORDERS))
    fresh.start()
    added = fresh.must("registration-token", "add", "--label=blue", "--secret-file=blue.token")
    token_id = added["registration_token"]["token_id"]
    token = (fresh.directory / "blue.token").read_text().strip()
    assert token not in json.dumps(added)
    status, client = register(fresh, token)
    assert (status, client["scope"]) == (201, "openid email orders:read")
    assert register(fresh, token)[0] == 401
    (listed,) = fresh.must("registration-token", "list")["registration_tokens"]
    assert (listed["token_id"], listed["label"], listed["left"]) == (token_id, "blue", 0)
    assert "blue" in fresh.run("registration-token", "list").out
    done = fresh.run("registration-token", "revoke", token_id)
    assert (done.code, done.out) == (0, f"Revoked {token_id}.\n")
    shown = fresh.run("registration-token", "add")
    assert "dojang_it_" in shown.out
    assert "never again" in shown.err
    assert "registration.mode" not in shown.err
    assert fresh.stop() == 0
    assert token not in fresh.log
    assert str(client["registration_access_token"]) not in fresh.log


@pytest.mark.proves("O2")
@pytest.mark.parametrize(
    "mode, said",
    [("off", "nobody registers with it yet"), ("open_to_everyone", "nobody needs it")],
)
def test_a_token_that_nobody_asks_for_is_said(fresh: Installation, mode: str, said: str) -> None:
    with (fresh.directory / "dojang.toml").open("a") as file:
        file.write(f'\n[registration]\nmode = "{mode}"\n')
    done = fresh.run("registration-token", "add")
    assert (done.code, "dojang_it_" in done.out) == (0, True)
    assert said in done.err


@pytest.mark.parametrize(
    "setting, what",
    [
        ('mode = "open"', "must be one of off, initial_access_token, open_to_everyone"),
        ("hourly_limit = 0", "must be 1 to"),
        ('scopes = ["email"]', "openid, and"),
        ('scopes = ["openid", "admin"]', "openid, and"),
        ('resources = ["https://orders.example"]', "URI=SCOPE SCOPE"),
        ('resources = ["https://orders.example="]', "URI=SCOPE SCOPE"),
        ('resources = ["https://orders.example=email"]', "about a person"),
        ('resources = ["https://a.example=x", "https://a.example=y"]', "stands twice"),
        ('[fetch]\npermitted_networks = ["example"]', "write a network"),
    ],
)
def test_a_setting_that_cannot_be_is_said(
    tmp_path_factory: pytest.TempPathFactory, setting: str, what: str
) -> None:
    directory = tmp_path_factory.mktemp("settings")
    table = "" if setting.startswith("[") else "[registration]\n"
    (directory / "dojang.toml").write_text(f'issuer = "https://auth.example"\n{table}{setting}\n')
    done = dojang("config", "check", cwd=directory)
    assert done.code == 1
    assert what in done.out
