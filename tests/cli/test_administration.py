"""The same commands with a server running and with none; and what is said where neither works."""

import os

import pytest

from tests.cli.installation import ORDERS, PAYMENTS, Installation

BOTH = pytest.mark.parametrize("where", ["served", "stopped"])


@pytest.fixture
def installation(request: pytest.FixtureRequest, where: str) -> Installation:
    found: Installation = request.getfixturevalue(where)
    return found


@BOTH
@pytest.mark.proves("A5")
def test_resources(installation: Installation) -> None:
    added = installation.must(
        "resource", "add", PAYMENTS, "--scope=pay", "--format=opaque", "--lifetime=60"
    )
    assert added["resource"]["token_format"] == "opaque"
    listed = {
        each["identifier"]: each for each in installation.must("resource", "list")["resources"]
    }
    assert listed[PAYMENTS]["access_token_lifetime"] == 60
    assert f"{installation.issuer}/admin" in listed
    assert PAYMENTS in installation.run("resource", "list").out
    again = installation.run("resource", "add", PAYMENTS, "--scope=pay")
    assert again.code == 2
    assert "exists already" in again.err


@BOTH
@pytest.mark.proves("A5", "O2")
def test_a_client_secret_is_shown_once(installation: Installation) -> None:
    added = installation.run("client", "add", "mobile", f"--grant={ORDERS}=orders:read", "--json")
    secret = added.json()["client_secret"]
    assert secret.startswith("dojang_cs_")
    assert added.out.count(secret) == 1
    assert secret not in added.err
    assert "never again" in added.err
    rotated = installation.run("client", "rotate-secret", "mobile")
    assert rotated.code == 0
    assert rotated.out.count("dojang_cs_") == 1
    assert secret not in rotated.out
    for command in ("client list", "client list --json", "audit list --json", "keys list --json"):
        assert not installation.run(*command.split()).holds_secret()
    listed = {each["client_id"]: each for each in installation.must("client", "list")["clients"]}
    assert listed["mobile"]["secrets"] == 1
    assert listed["mobile"]["grants"][0]["scopes"] == ["orders:read"]


@BOTH
@pytest.mark.proves("A5")
def test_a_client_for_people(installation: Installation, where: str) -> None:
    told = "https://app.example/logout"
    options = ["--redirect-uri=https://app.example/back", f"--backchannel-logout-uri={told}"]
    added = installation.must("client", "add", f"web-{where}", *options)
    assert added["client"]["sign_in"]["backchannel_logout_uri"] == told
    lacking = installation.run("client", "add", "half", options[1])
    assert lacking.code == 2
    assert "--redirect-uri" in lacking.err


@pytest.mark.proves("O2")
def test_a_client_secret_may_go_to_a_file_that_is_new(served: Installation) -> None:
    installation = served
    file = installation.directory / "tablet.secret"
    done = installation.run("client", "add", "tablet", "--secret-file=tablet.secret")
    assert done.code == 0, done.err
    assert not done.holds_secret()
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    for arguments in (["rotate-secret", "tablet"], ["add", "desk"]):
        refused = installation.run("client", *arguments, "--secret-file=tablet.secret")
        assert refused.code == 2
        assert "exists already" in refused.err
    assert file.read_text() == before
    names = [each["client_id"] for each in installation.must("client", "list")["clients"]]
    assert "desk" not in names


@BOTH
@pytest.mark.proves("A5", "C54")
def test_a_client_is_told_what_it_may_exchange_for(installation: Installation) -> None:
    till = "https://till.example"
    installation.must("resource", "add", till, "--scope=pay", "--scope=orders:read")
    by_rule, by_name = f"{till}=pay for orders:read", f"{till}=orders:read"
    options = [f"--exchange={by_rule}", f"--exchange={by_name}"]
    added = installation.must("client", "add", "till", *options)
    (grant,) = added["client"]["exchanges"]
    assert grant["rules"] == [
        {"needs": ["orders:read"], "gives": ["pay"]},
        {"needs": ["orders:read"], "gives": ["orders:read"]},
    ]
    assert by_rule in installation.run("client", "list").out
    shown = installation.run("client", "set-exchanges", "till", f"--exchange={by_name}")
    assert (shown.code, shown.out.splitlines()[1:]) == (0, [f"  {by_name}"])
    both = f"{till}=pay,orders:read for pay,orders:read"
    shown = installation.run("client", "set-exchanges", "till", f"--exchange={both}")
    assert shown.out.splitlines()[1:] == [f"  {both}"]
    shown = installation.run("client", "set-exchanges", "till")
    assert shown.out.splitlines()[1:] == ["  nothing"]
    for wrong in (till, f"{till}=", "=pay", f"{till}=pay for ", f"{till}=no"):
        refused = installation.run("client", "set-exchanges", "till", f"--exchange={wrong}")
        assert refused.code == 2, wrong


@BOTH
@pytest.mark.proves("A5")
def test_a_client_can_be_disabled_and_enabled(installation: Installation) -> None:
    installation.must("client", "add", "kiosk")
    assert installation.must("client", "disable", "kiosk")["client"]["enabled"] is False
    assert installation.must("client", "enable", "kiosk")["client"]["enabled"] is True
    missing = installation.run("client", "disable", "nobody", "--json")
    assert missing.code == 2
    assert missing.out == ""
    assert '"error": "there is no client \'nobody\'"' in missing.err


@BOTH
@pytest.mark.proves("K6", "A5")
def test_keys_rotate_and_are_revoked(installation: Installation) -> None:
    def find(state: str) -> set[str]:
        return {
            each["kid"]
            for each in installation.must("keys", "list")["keys"]
            if (each["state"], each["algorithm"]) == (state, "ES256")
        }

    standby = find("upcoming")
    assert installation.must("keys", "rotate")["takes_over_at"] > 0
    assert standby < find("upcoming")
    (active,) = find("active")
    assert installation.must("revoke", "key", active)["kid"] == active
    assert find("revoked") == {active}
    assert find("active") == standby
    gone = installation.run("keys", "revoke", active)
    assert gone.code == 2
    assert "there is no live key" in gone.err


@BOTH
@pytest.mark.proves("C96", "A5")
def test_a_key_whose_tokens_may_live_is_not_removed(installation: Installation) -> None:
    keys = installation.must("keys", "list")["keys"]
    (sealing,) = (
        each["kid"] for each in keys if (each["use"], each["state"]) == ("seal", "active")
    )
    refused = installation.run("keys", "remove", sealing)
    assert refused.code == 2
    assert "tokens of it may live until" in refused.err
    assert "dojang keys revoke" in refused.err
    installation.must("keys", "revoke", sealing)
    removed = installation.run("keys", "remove", sealing)
    assert removed.code == 0, removed.err
    assert f"Removed the key {sealing}." in removed.out
    assert sealing not in str(installation.must("keys", "list"))
    assert installation.run("keys", "remove", sealing).code == 2


@BOTH
@pytest.mark.proves("C96", "A5")
def test_rotations_under_way_are_in_the_status(installation: Installation) -> None:
    options = ["--scope=x", "--algorithm=ES512"]
    installation.must("resource", "add", "urn:polled", *options)
    installation.must("resource", "add", "urn:x", "--scope=x", "--followers-only")
    rotated = installation.must("keys", "rotate", "--algorithm=ES512")
    assert rotated["latest"] - rotated["takes_over_at"] == 3600
    (rotation,) = (
        each for each in installation.must("status")["rotations"] if each["algorithm"] == "ES512"
    )
    assert rotation["takes_over_at"] == rotated["takes_over_at"]
    told = installation.run("status").out
    assert f"The access_token key {rotation['kid']} (ES512) takes over at 20" in told
    listed = {
        each["identifier"]: each for each in installation.must("resource", "list")["resources"]
    }
    assert listed["urn:x"]["followers_only"] is True
    assert listed["urn:polled"]["followers_only"] is False


@BOTH
@pytest.mark.proves("K6", "A5")
def test_revocations_are_numbered(installation: Installation) -> None:
    first = installation.must("revoke", "token", "--jti=abc")["rev"]
    second = installation.must("revoke", "client", "shop")["rev"]
    others = [
        installation.must("revoke", *what)["rev"]
        for what in (
            ["grant", "xyz"],
            ["session", "s"],
            ["account", "shop"],
            ["everything", "--yes"],
        )
    ]
    assert [each[1] - first[1] for each in (first, second, *others)] == [0, 1, 2, 3, 4, 5]
    unsure = installation.run("revoke", "everything")
    assert unsure.code == 2
    assert "--yes" in unsure.err


@BOTH
@pytest.mark.proves("A5")
def test_every_change_is_in_the_audit_trail_with_its_actor(installation: Installation) -> None:
    installation.must("client", "add", "audited")
    records = installation.must("audit", "list", "--limit=1000")["records"]
    (found,) = (each for each in records if each["target"] == "audited")
    assert found["action"] == "client.add"
    by_server = installation.is_running
    assert found["actor"] == "operator" if by_server else found["actor"].startswith("local:")
    verified = installation.must("audit", "verify")
    assert verified["intact"] is True
    assert verified["records"] == records[-1]["number"]
    assert installation.must("audit", "list", "--after=1", "--limit=1")["records"][0]["number"] == 2


@BOTH
def test_status(installation: Installation, where: str) -> None:
    status = installation.must("status")
    assert status["server"] == ("running" if where == "served" else "none answers")
    assert status["issuer"] == installation.issuer
    assert status["missing"] == []


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["resource", "add", "orders", "--scope=a"], "absolute URI"),
        (["resource", "add", "https://x.example", "--scope=a b"], "scopes:"),
        (["resource", "add", "https://x.example", "--scope=a", "--lifetime=1"], "30 to 3600"),
        (["client", "add", "a b"], "client_id:"),
        (["client", "add", "x", "--grant=https://nowhere.example=a"], "there is no resource"),
        (["client", "add", "x", "--grant=orders"], "URI=SCOPE"),
        (["client", "add", "x", "--authentication=private_key_jwt"], "JWK Set"),
        (["client", "add", "x", "--jwks=gone"], "cannot be read"),
        (["client", "list", "--limit=0"], "limit:"),
        (["keys", "rotate", "--algorithm=none"], "no active key"),
        (["revoke", "token"], "one of the two"),
        (["audit", "list", "--after=-1"], "after:"),
    ],
)
def test_a_refused_change_says_why(served: Installation, arguments: list[str], said: str) -> None:
    done = served.run(*arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_refused_change_says_why_without_a_server_too(stopped: Installation) -> None:
    done = stopped.run("client", "add", "a b")
    assert done.code == 2
    assert "client_id:" in done.err


def test_a_running_server_wants_the_operators_secret(served: Installation) -> None:
    wrong = served.run(
        "client", "list", env={"DOJANG_OPERATOR__CLIENT_SECRET": "dojang_cs_nonsense"}
    )
    assert wrong.code == 2
    assert "refuses the operator client 'operator'" in wrong.err
    assert "rotate-secret operator" in wrong.err
    assert not wrong.holds_secret()
    toml = served.directory / "dojang.toml"
    text = toml.read_text()
    toml.write_text(text.replace("client_secret_file", "# client_secret_file"))
    try:
        missing = served.run("client", "list")
    finally:
        toml.write_text(text)
    assert missing.code == 2
    assert "operator.client_secret_file" in missing.err


def test_an_operator_with_less_scope_may_look_and_not_touch(served: Installation) -> None:
    served.must(
        "client", "add", "viewer", f"--grant={served.issuer}/admin=admin:read",
        "--secret-file=viewer.secret",
    )  # fmt: skip
    viewer = {
        "DOJANG_OPERATOR__CLIENT_ID": "viewer",
        "DOJANG_OPERATOR__CLIENT_SECRET_FILE": "viewer.secret",
    }
    assert served.run("client", "list", env=viewer).code == 0
    refused = served.run("client", "add", "sneaky", env=viewer)
    assert refused.code == 2
    assert "lacks the scope admin:write" in refused.err
    nobody = served.run("client", "list", env={**viewer, "DOJANG_OPERATOR__CLIENT_ID": "shop"})
    assert nobody.code == 2


def test_a_server_that_is_elsewhere_is_not_mistaken(
    served: Installation, fresh: Installation
) -> None:
    elsewhere = {"DOJANG_LISTEN__MANAGEMENT": f"127.0.0.1:{fresh.management}"}
    locked = served.run("client", "list", env=elsewhere)
    assert locked.code == 3
    assert "in use by process" in locked.err
    assert f"127.0.0.1:{fresh.management}" in locked.err
    far = fresh.run("client", "list", env={"DOJANG_LISTEN__MANAGEMENT": "192.0.2.1:8461"})
    assert far.code == 2
    assert "loopback" in far.err
    other = fresh.run(
        "client", "list", env={"DOJANG_LISTEN__MANAGEMENT": f"127.0.0.1:{served.public}"}
    )
    assert other.code == 3
    assert "no Dojang server" in other.err


@pytest.mark.proves("O2")
def test_the_log_of_a_server_that_did_all_this_holds_no_secret(fresh: Installation) -> None:
    fresh.start()
    fresh.must("resource", "add", ORDERS, "--scope=a")
    fresh.add_client("shop", f"{ORDERS}=a")
    token = fresh.issue("shop", ORDERS)
    fresh.run("client", "list", env={"DOJANG_OPERATOR__CLIENT_SECRET": "dojang_cs_nonsense"})
    fresh.must("revoke", "token", "-", stdin=token)
    assert fresh.stop() == 0
    secrets = [path.read_text().strip() for path in fresh.directory.glob("*.secret")]
    assert len(secrets) == 2
    for secret in (*secrets, token, "nonsense"):
        assert secret not in fresh.log
        for path in fresh.directory.glob("dojang.db*"):
            assert secret.encode() not in path.read_bytes()
    assert os.fspath(fresh.directory) not in fresh.log
