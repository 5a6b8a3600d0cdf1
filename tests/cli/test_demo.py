"""`dojang demo`: the whole story, once, with its figures."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dojang.cli.demo.report import STRATEGIES, Report
from tests.cli.installation import DOJANG, LONG, SECRET, environment
from tests.mutants import ROOT

SCHEMA = ROOT / "docs" / "reference" / "demo.schema.json"


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[subprocess.CompletedProcess[str], Path]":
    scratch = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        [DOJANG, "demo", "--json"],
        env=environment(TMPDIR=str(scratch)),
        capture_output=True,
        text=True,
        timeout=4 * LONG,
        check=False,
    )
    return run, scratch


@pytest.mark.proves("V1", "V2", "V3", "A3", "K6")
def test_every_promise_is_kept(told: Any) -> None:
    run, _ = told
    report = msgspec.json.decode(run.stdout, type=Report)
    assert [each.says for each in report.promises if not each.kept] == []
    assert run.returncode == 0, run.stderr
    assert report.ok


def test_the_figures_are_what_their_schema_says(told: Any) -> None:
    run, _ = told
    report = msgspec.json.decode(run.stdout, type=Report, strict=True)
    assert json.loads(run.stdout) == msgspec.to_builtins(report)
    assert json.loads(SCHEMA.read_text()) == build_schema()


def build_schema() -> dict[str, Any]:
    (schema,), parts = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "dojang demo --json", **schema, "$defs": parts}


@pytest.mark.proves("V1", "V2", "V3", "K6")
def test_the_strategies_differ_as_they_say(told: Any) -> None:
    run, _ = told
    report = msgspec.json.decode(run.stdout, type=Report)
    assert [each.kind for each in report.revocations] == ["token", "client", "key"]
    for revocation in report.revocations:
        assert tuple(each.strategy for each in revocation.strategies) == STRATEGIES
        found = {each.strategy: each for each in revocation.strategies}
        assert found["local"].first_refusal_s is None
        assert found["local"].slipped_through > 0
        assert found["local"].refused_at_expiry_s is not None
        assert found["introspection"].slipped_through == 0
        assert found["hybrid"].slipped_through == 0
        assert all(each.accepted_before > 0 for each in revocation.strategies)
    assert report.restart is not None
    assert report.restart.revoked_tokens_tried == 5
    assert report.restart.came_back == 0
    assert {each.strategy for each in report.speed} == set(STRATEGIES)


@pytest.mark.proves("A2", "A3", "A4", "V1", "V2", "V3")
def test_what_a_person_allowed_ends_with_the_withdrawal(told: Any) -> None:
    run, _ = told
    person = msgspec.json.decode(run.stdout, type=Report).person
    assert person is not None
    assert person.orders_saw is not None
    assert person.payments_saw is not None
    assert person.claims["name"] == "홍길동"
    assert person.orders_saw.subject == person.payments_saw.subject == person.claims["sub"]
    assert person.orders_saw.scope == "orders:read orders:write"
    assert person.payments_saw.scope == "payments:charge"
    assert person.payments_saw.actors == ["orders", "app"]
    for service in (person.orders, person.payments):
        found = {each.strategy: each for each in service}
        assert set(found) == {"local", "introspection", "hybrid_pushed"}
        assert all(each.accepted_before > 0 for each in service)
        assert found["introspection"].slipped_through == 0
        assert found["hybrid_pushed"].first_refusal_s is not None
        assert found["local"].first_refusal_s is None
        assert found["local"].refused_at_expiry_s is not None
    assert person.refresh_error == "invalid_grant"


@pytest.mark.proves("O2")
def test_nothing_secret_is_shown_and_nothing_is_left(told: Any) -> None:
    run, scratch = told
    assert not any(mark in run.stdout + run.stderr for mark in SECRET)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_broken_off(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [DOJANG, "demo"],
        env=environment(TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "callers for each strategy" in line:
                break
        children = find_children(demo.pid)
        assert len(children) == 3
        demo.send_signal(number)
        demo.communicate(timeout=LONG)
    assert demo.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def find_children(parent: int) -> list[str]:
    tasks = Path(f"/proc/{parent}/task")
    return [child for task in tasks.iterdir() for child in (task / "children").read_text().split()]
