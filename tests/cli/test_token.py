"""`dojang token`: a token's life from a client's side, and why one would be refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from dojang.cli.application import run as run_here
from dojang.jose.jws import CompactSigner
from dojang.jose.jwt import sign_jwt
from dojang.jose.keys import SigningKey
from tests.cli.installation import ORDERS, PAYMENTS, Installation

ISSUER = "https://issuer.example"
LONG_AGO, FAR = 1_000_000_000, 4_000_000_000
KEY = SigningKey.generate("ES256", kid="one")
STRANGER = SigningKey.generate("ES256", kid="one")
CLAIMS = {
    "iss": ISSUER, "sub": "shop", "aud": ORDERS, "client_id": "shop", "exp": FAR,
    "iat": LONG_AGO, "jti": "j", "scope": "orders:read",
}  # fmt: skip
NAMES = [
    "form", "extensions", "algorithm", "type", "key", "signature", "claims", "issuer", "audience",
    "expiry", "start", "binding", "scope", "revocation",
]  # fmt: skip


def sign(key: SigningKey = KEY, typ: str | None = "at+jwt", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return sign_jwt(claims, CompactSigner(key, typ=typ))


@pytest.fixture
def inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Inspect a token offline; the exit code and the JSON."""
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [KEY.public_jwk()]}))

    def inspect(token: str, *options: str) -> tuple[int, dict[str, Any]]:
        (tmp_path / "token").write_text(token)
        with pytest.raises(SystemExit) as ended:
            run_here(
                [
                    "token", "inspect", str(tmp_path / "token"), f"--issuer={ISSUER}",
                    f"--audience={ORDERS}", "--algorithm=ES256", "--scope=orders:read",
                    f"--jwks={tmp_path / 'jwks.json'}", "--json", *options,
                ]
            )  # fmt: skip
        code = ended.value.code
        assert isinstance(code, int)
        return code, json.loads(capsys.readouterr().out)

    return inspect


def find_failed(document: dict[str, Any]) -> list[str]:
    return [each["name"] for each in document["checks"] if each["outcome"] == "failed"]


@pytest.mark.proves("A5", "V1")
def test_a_good_token_passes_every_check_that_can_be_made(inspect: Any) -> None:
    code, document = inspect(sign())
    assert code == 0
    assert document["accepted"] is True
    assert document["reason"] is None
    assert [each["name"] for each in document["checks"]] == NAMES
    assert [each["number"] for each in document["checks"]] == list(range(1, 15))
    outcomes = {each["name"]: each["outcome"] for each in document["checks"]}
    assert outcomes.pop("revocation") == "not_checked"
    assert set(outcomes.values()) == {"passed"}


@pytest.mark.proves("A5")
@pytest.mark.parametrize(
    "token, reason, failed",
    [
        ("dojang_at_AAAA", "malformed", ["form"]),
        ("one.two", "malformed", ["form"]),
        ("x" * 9000, "too_large", ["form"]),
        (sign()[:-2] + "!!", "malformed", ["form", "signature"]),
        (sign(typ="JWT"), "type_not_allowed", ["type"]),
        (sign(typ=None), "type_not_allowed", ["type"]),
        (
            sign(SigningKey.generate("EdDSA")),
            "algorithm_not_allowed",
            ["algorithm", "key", "signature"],
        ),
        (sign(SigningKey.generate("ES256", kid="two")), "unknown_key", ["key", "signature"]),
        (sign(STRANGER), "bad_signature", ["signature"]),
        (sign(jti=None), "bad_claim", ["claims"]),
        (sign(iss="https://other.example"), "wrong_issuer", ["issuer"]),
        (sign(aud=PAYMENTS), "wrong_audience", ["audience"]),
        (sign(exp=LONG_AGO), "expired", ["expiry"]),
        (sign(nbf=FAR - 10), "not_yet_valid", ["start"]),
        (sign(cnf={"jkt": "x"}), "bound_token", ["binding"]),
        (sign(scope="orders:write"), "insufficient_scope", ["scope"]),
        (
            sign(aud=PAYMENTS, exp=LONG_AGO, scope=None),
            "wrong_audience",
            ["audience", "expiry", "scope"],
        ),
    ],
)
def test_every_check_that_would_fail_is_named(
    inspect: Any, token: str, reason: str, failed: list[str]
) -> None:
    code, document = inspect(token)
    assert code == 1
    assert document["reason"] == reason
    assert find_failed(document) == failed


def test_what_cannot_be_read_is_not_judged(inspect: Any) -> None:
    _, document = inspect("dojang_at_AAAA")
    outcomes = [each["outcome"] for each in document["checks"][1:]]
    assert set(outcomes) == {"not_checked"}
    assert "dojang token introspect" in document["checks"][0]["detail"]


@pytest.mark.proves("K4")
def test_a_sensitive_claim_is_warned_of_and_not_repeated(
    inspect: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(sign())[1]["sensitive_claims"] == []
    token = sign(email="kim@example.com")
    code, document = inspect(token)
    assert code == 0
    assert document["sensitive_claims"] == [{"path": "email", "kind": "a contact detail"}]
    with pytest.raises(SystemExit):
        run_here(
            [
                "token", "inspect", str(tmp_path / "token"), f"--issuer={ISSUER}",
                f"--audience={ORDERS}", "--algorithm=ES256", f"--jwks={tmp_path / 'jwks.json'}",
            ]
        )  # fmt: skip
    printed = capsys.readouterr().out
    assert "Warning: the claim 'email' seems to hold a contact detail" in printed
    assert "kim@example.com" not in printed


@pytest.mark.proves("O2")
def test_an_inspection_never_shows_the_token(served: Installation) -> None:
    token = served.issue("shop", ORDERS)
    for wrong in (token, token[:-4] + "AAAA", token.replace(".", "", 1)):
        for options in ([], ["--json"]):
            done = served.run(
                "token", "inspect", "-", f"--audience={ORDERS}", "--algorithm=ES256", *options,
                stdin=wrong,
            )  # fmt: skip
            assert done.code == (0 if wrong == token else 1)
            for part in wrong.split("."):
                assert part not in done.out + done.err


@pytest.mark.proves("A3", "A5", "K6")
def test_a_token_is_issued_asked_about_and_given_back(served: Installation) -> None:
    token = served.issue("shop", ORDERS)
    asked = served.run(
        "token", "introspect", "-", "--client-id=orders", "--client-secret-file=orders.secret",
        "--json", stdin=token,
    )  # fmt: skip
    assert asked.code == 0
    claims = asked.json()
    assert (claims["active"], claims["aud"], claims["client_id"]) == (True, ORDERS, "shop")
    assert not served.is_active(token, asker="shop")
    foreign = served.run(
        "token", "revoke", "-", "--client-id=orders", "--client-secret-file=orders.secret",
        stdin=token,
    )  # fmt: skip
    assert foreign.code == 2
    assert "another client" in foreign.err
    given_back = served.run(
        "token", "revoke", "-", "--client-id=shop", "--client-secret-file=shop.secret", "--json",
        stdin=token,
    )  # fmt: skip
    assert given_back.json() == {"revoked": True}
    assert not served.is_active(token)


@pytest.mark.proves("A3")
def test_a_client_may_prove_itself_with_a_key(served: Installation) -> None:
    key = SigningKey.generate("ES256", kid="robot-1")
    home = served.directory
    (home / "robot.jwks").write_text(json.dumps({"keys": [key.public_jwk()]}))
    (home / "robot.jwk").write_text(json.dumps(key.private_jwk()))
    served.must(
        "client", "add", "robot", f"--grant={ORDERS}=orders:read", "--jwks=robot.jwks",
        "--authentication=private_key_jwt",
    )  # fmt: skip
    done = served.run(
        "token", "issue", "--client-id=robot", "--private-key=robot.jwk", f"--resource={ORDERS}"
    )
    assert done.code == 0, done.err
    assert served.is_active(done.out.strip())


@pytest.mark.parametrize(
    "options, env, code, said",
    [
        (["--resource=https://nowhere.example"], {}, 2, "invalid_target"),
        ([f"--resource={ORDERS}", "--scope=orders:burn"], {}, 2, "invalid_scope"),
        ([f"--resource={ORDERS}"], {"DOJANG_CLIENT_SECRET": "nonsense"}, 2, "invalid_client"),
        ([f"--resource={ORDERS}"], {"DOJANG_CLIENT_SECRET_FILE": "gone"}, 2, "cannot be read"),
        (["--client-secret-file=dojang_cs_abc"], {}, 2, "stood in the arguments"),
        (["--client-secret-file=-"], {}, 2, "holds nothing"),
        (["--issuer=http://127.0.0.1:1"], {}, 3, "does not answer"),
        (["--issuer=http://auth.example"], {}, 2, "must be https"),
    ],
)
def test_a_refused_token_says_why(
    served: Installation, options: list[str], env: dict[str, str], code: int, said: str
) -> None:
    given = {"DOJANG_CLIENT_SECRET_FILE": "shop.secret", **env}
    done = served.run("token", "issue", "--client-id=shop", *options, env=given)
    assert done.code == code, done.err
    assert said in done.err
    assert done.out == ""
    assert "abc" not in done.err


@pytest.mark.proves("O2")
def test_a_token_in_the_arguments_is_not_taken(served: Installation) -> None:
    token = sign()
    for command in (
        ["revoke", "token", token],
        ["token", "inspect", token, "--audience=x", "--algorithm=ES256"],
    ):
        done = served.run(*command)
        assert done.code == 2
        assert "pipe it in" in done.err
        assert token not in done.out + done.err


@pytest.mark.proves("A5", "C54")
def test_a_service_exchanges_what_it_was_called_with(served: Installation) -> None:
    served.must("resource", "add", PAYMENTS, "--scope=pay", "--introspector=bank")
    served.add_client("bank")
    served.must("client", "set-exchanges", "orders", f"--exchange={PAYMENTS}=pay for orders:read")
    called_with = served.issue("shop", ORDERS)
    asking = ["--client-id=orders", "--client-secret-file=orders.secret"]
    done = served.run(
        "token", "exchange", "-", *asking, f"--audience={PAYMENTS}", stdin=called_with
    )
    assert done.code == 0, done.err
    exchanged = done.out.strip()
    assert served.is_active(exchanged, "bank")
    refused = served.run("token", "exchange", "-", *asking, f"--audience={ORDERS}", stdin=exchanged)
    assert (refused.code, refused.out) == (2, "")
    assert "invalid_target. Check --audience" in refused.err
    for client, token, said in [
        ("orders", exchanged, "has the client as --introspector"),
        ("shop", called_with, "set-exchanges"),
    ]:
        asking = [f"--client-id={client}", f"--client-secret-file={client}.secret"]
        refused = served.run(
            "token", "exchange", "-", *asking, f"--audience={PAYMENTS}", stdin=token
        )
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    (served.directory / "called-with").write_text(called_with)
    served.must("revoke", "token", "called-with")
    assert not served.is_active(exchanged, "bank")
