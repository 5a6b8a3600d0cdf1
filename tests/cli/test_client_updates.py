"""`dojang client update`, `client show`, `client add --metadata`, and the same for resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dojang.cli.client_options import OPTIONS
from dojang.server.admin.client_plans import AddClient
from dojang.server.admin.sign_in import SignInWanted
from tests.cli.installation import ORDERS, Installation

CALLBACK = "https://app.example/callback"
METADATA: dict[str, Any] = {
    "client_name": "Web",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid email orders:read",
    "id_token_signed_response_alg": "ES256",
    "default_max_age": 60,
}


@pytest.fixture(scope="module", params=["served", "stopped"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """The same through the admin API of a server, and on the store itself."""
    found: Installation = request.getfixturevalue(request.param)
    return found


def test_everything_that_a_client_can_be_has_an_option() -> None:
    said = {option.into for option in OPTIONS}
    of_people = {f"sign_in.{name}" for name in SignInWanted.__struct_fields__}
    assert said >= of_people
    outer = set(AddClient.__struct_fields__) - {"client_id", "sign_in"}
    assert said - of_people == outer | {"metadata"}


def write(directory: Path, document: object) -> Path:
    path = directory / "metadata.json"
    path.write_text(json.dumps(document))
    return path


def test_a_client_is_added_as_metadata_and_updated(installation: Installation) -> None:
    path = write(installation.directory, METADATA)
    ask, secret = f"--ask={ORDERS}=orders:read", "--secret-file=web.secret"
    added = installation.must(
        "client", "add", "web", f"--metadata={path}", ask, "--first-party", secret
    )["client"]
    assert (added["name"], added["sign_in"]["default_max_age"]) == ("Web", 60)
    assert added["sign_in"]["first_party"] is True
    assert added["sign_in"]["resources"] == {ORDERS: ["orders:read"]}
    done = installation.run(
        "client", "update", "web", "--no-first-party", "--sector=app.example", "--require-pushed",
        "--userinfo-algorithm=ES256", "--client-uri=https://app.example/",
        "--unset=default-max-age", "--version=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "sign_in.require_pushed" in done.out
    assert "revoked" not in done.out
    later = installation.must("client", "show", "web")["client"]
    changed = {
        "first_party": False,
        "sector": "app.example",
        "require_pushed": True,
        "userinfo_algorithm": "ES256",
        "client_uri": "https://app.example/",
        "default_max_age": None,
    }
    assert later["sign_in"] == {**added["sign_in"], **changed}
    assert later["version"] == 2
    done = installation.run("client", "update", "web", "--unset", "ask")
    assert "are revoked" in done.out
    stdin = json.dumps({"client_name": "Renamed"})
    renamed = installation.must("client", "update", "web", "--metadata=-", stdin=stdin)
    assert renamed["changed"] == ["name"]
    assert "client_secret" not in renamed


def test_all_of_a_client_is_shown_and_no_secret(installation: Installation) -> None:
    done = installation.run("client", "show", "shop")
    assert done.code == 0
    assert f"{ORDERS}=orders:read" in done.out
    assert "client_secret_basic" in done.out
    assert not done.holds_secret()
    web = installation.run(
        "client", "add", "seen", f"--redirect-uri={CALLBACK}", "--secret-file=seen.secret"
    )
    assert web.code == 0, web.err
    shown = installation.run("client", "show", "seen").out
    assert CALLBACK in shown
    assert "digest" not in shown


def test_a_client_that_gets_a_secret_is_told_it_once(installation: Installation) -> None:
    installation.must("client", "add", "app", "--authentication=none", f"--redirect-uri={CALLBACK}")
    done = installation.run(
        "client", "update", "app", "--authentication=client_secret_basic", "--secret-file=a.secret"
    )
    assert "Its secret is in a.secret." in done.out
    assert not done.holds_secret()
    refused = installation.run("client", "update", "app", "--authentication=none")
    assert refused.code == 2
    assert "does not become public" in refused.err


@pytest.mark.parametrize(
    "arguments, what",
    [
        (("update", "shop"), "nothing to change"),
        (("update", "shop", "--unset=colour"), "must be one of"),
        (("update", "shop", "--unset=name", "--name=x"), "said besides"),
        (("update", "shop", "--unset=sign-in", "--first-party"), "said besides"),
        (("update", "shop", "--first-party"), "redirect_uris"),
        (("update", "shop", "--name=x", "--version=9"), "look at it again"),
        (("update", "shop", "--metadata=nowhere.json"), "cannot be read"),
        (("update", "nobody", "--name=x"), "no client 'nobody'"),
        (("show", "nobody"), "no client 'nobody'"),
        (("add", "x", "--metadata=-"), "standard input is not a JSON object"),
    ],
)
def test_what_cannot_be_is_said(
    installation: Installation, arguments: tuple[str, ...], what: str
) -> None:
    done = installation.run("client", *arguments)
    assert done.code == 2
    assert what in done.err


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"client_id": "other"}, "client_id"),
        ({"client_secret": "x"}, "leave out client_secret"),
        ({"scope": "openid admin"}, "at which resource"),
        ({"grant_types": ["implicit"]}, "grant_types"),
    ],
)
def test_metadata_that_cannot_be_are_said(
    installation: Installation, changes: dict[str, Any], what: str
) -> None:
    stdin = json.dumps(METADATA | changes)
    done = installation.run(
        "client", "add", "bad", "--metadata=-", f"--ask={ORDERS}=orders:read", stdin=stdin
    )
    assert done.code == 2
    assert what in done.err


def test_a_resource_is_updated_and_shown(installation: Installation) -> None:
    api = "https://stock.example/v1"
    installation.must("resource", "add", api, "--scope=read", "--scope=write")
    installation.add_client("counter", f"{api}=read,write")
    installation.add_client("viewer", f"{api}=read")
    done = installation.run(
        "resource", "update", api, "--add-scope=count", "--add-introspector=counter",
        "--lifetime=120", "--format=opaque", "--algorithm=ES384", "--followers-only",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "revoked" not in done.out
    shown = installation.must("resource", "show", api)["resource"]
    assert shown == {
        "identifier": api,
        "scopes": ["read", "write", "count"],
        "token_format": "opaque",
        "algorithm": "ES384",
        "access_token_lifetime": 120,
        "introspectors": ["counter"],
        "followers_only": True,
        "version": 2,
    }
    done = installation.run("resource", "update", api, "--remove-scope=write")
    assert "Changed: scopes." in done.out
    assert "are revoked" in done.out
    grants = installation.must("client", "show", "counter")["client"]["grants"]
    assert [each["scopes"] for each in grants] == [["read"]]
    assert "read count" in installation.run("resource", "show", api).out
    for arguments, what in (
        (("--remove-scope=write",), "it has read, count"),
        ((), "nothing to change"),
        (("--lifetime=1",), "access_token_lifetime"),
    ):
        refused = installation.run("resource", "update", api, *arguments)
        assert refused.code == 2
        assert what in refused.err
    own = installation.run("resource", "update", f"{installation.issuer}/admin", "--lifetime=60")
    assert own.code == 2
    assert "own endpoints" in own.err
