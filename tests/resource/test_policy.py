"""Routes and what they demand."""

import tomllib
from typing import Any

import pytest

from dojang.oauth.access_token import parse_access_token
from dojang.oauth.challenge import parse_challenges
from dojang.resource import (
    Policy,
    Refusal,
    RefusalReason,
    Route,
    Rule,
    VerifiedToken,
    WhenStale,
    build_bearer_challenge,
    check_rule,
)
from dojang.resource.policy import check_freshness

NOW = 1_800_000_000


def token(**changes: Any) -> VerifiedToken:
    claims = {
        "iss": "https://issuer.example",
        "sub": "alice",
        "aud": "https://orders.example",
        "client_id": "shop",
        "exp": NOW + 600,
        "iat": NOW,
        "jti": "1",
    }
    return VerifiedToken(parse_access_token(claims | changes))


def refusal_of(rule: Rule, presented: VerifiedToken) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        check_rule(rule, presented, now=NOW)
    return refusal.value


@pytest.mark.proves("C68", "R4")
@pytest.mark.parametrize(
    "demand, scope, enough",
    [
        ({"scopes": ["a"]}, "a", True),
        ({"scopes": ["a"]}, "b a", True),
        ({"scopes": ["a"]}, "", False),
        ({"scopes": ["a"]}, "ab", False),
        ({"scopes": ["a"]}, "A", False),
        ({"scopes": ["a", "b"]}, "a", False),
        ({"scopes": ["a", "b"]}, "b a c", True),
        ({"any_scope": ["a", "b"]}, "b", True),
        ({"any_scope": ["a", "b"]}, "c", False),
        ({"scopes": ["a"], "any_scope": ["b", "c"]}, "a", False),
        ({"scopes": ["a"], "any_scope": ["b", "c"]}, "a c", True),
        ({"authenticated": True}, "", True),
    ],
)
def test_scopes(demand: dict[str, Any], scope: str, enough: bool) -> None:
    rule = Rule(**demand)
    if enough:
        check_rule(rule, token(scope=scope), now=NOW)
    else:
        refusal = refusal_of(rule, token(scope=scope))
        assert refusal.reason is RefusalReason.INSUFFICIENT_SCOPE
        assert refusal.demand.scopes == (*rule.scopes, *rule.any_scope)


@pytest.mark.proves("R4")
def test_a_role_is_no_scope_and_a_scope_no_role() -> None:
    rule = Rule(roles=("admin",))
    check_rule(rule, token(roles=["clerk", "admin"]), now=NOW)
    for changes in ({"scope": "admin"}, {"roles": "admin"}, {"roles": ["clerk"]}, {"roles": [1]}):
        assert refusal_of(rule, token(**changes)).reason is RefusalReason.INSUFFICIENT_ROLE
    with pytest.raises(Refusal):
        check_rule(Rule(scopes=("admin",)), token(roles=["admin"]), now=NOW)


@pytest.mark.parametrize(
    "claims, enough",
    [
        ({"acr": "mfa", "auth_time": NOW - 60}, True),
        ({"acr": "mfa", "auth_time": NOW - 61}, False),
        ({"acr": "mfa"}, False),
        ({"acr": "pwd", "auth_time": NOW}, False),
        ({"auth_time": NOW}, False),
        ({"acr": ["mfa"], "auth_time": NOW}, False),
        ({"acr": "mfa", "auth_time": True}, False),
        ({"acr": "mfa", "auth_time": str(NOW)}, False),
    ],
)
def test_how_and_when_the_subject_signed_in(claims: dict[str, Any], enough: bool) -> None:
    rule = Rule(authenticated=True, acr=("mfa", "hwk"), max_age=60)
    if enough:
        check_rule(rule, token(**claims), now=NOW)
        return
    refusal = refusal_of(rule, token(**claims))
    assert refusal.status == 401
    (challenge,) = parse_challenges(build_bearer_challenge(refusal))
    assert challenge.parameters["error"] == "insufficient_user_authentication"
    assert challenge.parameters["acr_values"] == "mfa hwk"
    assert challenge.parameters["max_age"] == "60"


@pytest.mark.proves("C68")
@pytest.mark.parametrize(
    "demand",
    [
        {},
        {"scopes": []},
        {"roles": ()},
        {"acr": ["mfa"]},
        {"max_age": 60},
        {"staleness": 0},
        {"authenticated": False},
        {"scopes": "a"},
        {"scopes": ["a b"]},
        {"scopes": [""]},
        {"scopes": ["a"], "max_age": -1},
        {"scopes": ["a"], "staleness": -1},
        {"scopes": ["a"], "staleness": float("nan")},
        {"when_stale": "refuse"},
        {"scopes": ["a"], "when_stale": "accept"},
    ],
    ids=str,
)
def test_an_empty_demand_is_no_rule(demand: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Rule(**demand)


POLICY = """
protect = ["/orders", "/files"]

[[route]]
method = "GET"
path = "/orders"
scopes = ["orders:read"]

[[route]]
method = "GET"
path = "/orders/{id}"
scopes = ["orders:read"]

[[route]]
method = "GET"
path = "/orders/report"
roles = ["auditor"]

[[route]]
path = "/orders/health"
public = true

[[route]]
path = "/files/{rest:path}"
any_scope = ["files:read", "files:write"]
staleness = 2
when_stale = "accept_until_expiry"
"""


@pytest.fixture
def policy() -> Policy:
    return Policy.parse(tomllib.loads(POLICY))


@pytest.mark.proves("R1", "C68")
@pytest.mark.parametrize(
    "method, path, found",
    [
        ("GET", "/orders", "/orders"),
        ("HEAD", "/orders", "/orders"),
        ("GET", "/orders/7", "/orders/{id}"),
        ("GET", "/orders/report", "/orders/report"),
        ("DELETE", "/orders/health", "/orders/health"),
        ("PUT", "/files/a/b", "/files/{rest:path}"),
        ("POST", "/orders", None),
        ("GET", "/orders/", None),
        ("GET", "/orders/7/lines", None),
        ("GET", "/orders/7\n", None),
        ("GET", "/Orders", None),
        ("GET", "/orders//7", None),
        ("GET", "/files/../orders", None),
        ("GET", "/files/..", None),
        ("GET", "/files/a\\..\\b", None),
    ],
)
def test_a_path_without_a_rule_is_closed(
    policy: Policy, method: str, path: str, found: str | None
) -> None:
    if found is not None:
        assert policy.find(method, path).path == found
        return
    with pytest.raises(Refusal) as refusal:
        policy.find(method, path)
    assert (refusal.value.reason, refusal.value.status) == (RefusalReason.NO_RULE, 403)


@pytest.mark.proves("R1")
@pytest.mark.parametrize(
    "path, covered",
    [
        ("/orders", True),
        ("/orders/7", True),
        ("/files", True),
        ("/", False),
        ("/ordersx", False),
        ("/other/orders", False),
        ("//orders/7", True),
        ("/ORDERS", True),
        ("/%6frders", True),
        ("/%256frders", True),
        ("/x/../orders", True),
        ("/./orders", True),
        ("/orders;a=b", True),
        ("\\orders", True),
        ("/orders ", True),
        ("/orders?a", True),
        ("/orders#a", True),
        ("/orders?/../x", True),
        ("/orders\0a", True),
        ("/%2500/../orders", True),
        ("/or\tders", True),
        ("/or%0dders", True),
        ("/orders\x7f", True),
        ("/x?/orders", False),
    ],
)
def test_what_is_protected_has_no_side_door(policy: Policy, path: str, covered: bool) -> None:
    assert policy.covers(path) is covered


@pytest.mark.proves("C68")
def test_everything_is_protected_by_default() -> None:
    policy = Policy([])
    assert policy.covers("/anything")
    with pytest.raises(Refusal):
        policy.find("GET", "/anything")


@pytest.mark.parametrize(
    "data",
    [
        {"protect": []},
        {"protect": ["orders"]},
        {"protect": ["/a"], "route": [{"path": "/b", "authenticated": True}]},
        {"route": [{"path": "/a"}]},
        {"route": [{"path": "a", "authenticated": True}]},
        {"route": [{"path": "/{a}b", "authenticated": True}]},
        {"route": [{"path": "/{a:path}/b", "authenticated": True}]},
        {"route": [{"path": "/{a:int}", "authenticated": True}]},
        {"route": [{"path": "/a", "method": "get", "authenticated": True}]},
        {"route": [{"path": "/a", "public": True, "scopes": ["a"]}]},
        {"route": [{"path": "/a", "public": "yes"}]},
        {"route": [{"path": "/a", "scope": ["a"]}]},
        {"route": [{"path": 1, "authenticated": True}]},
        {
            "route": [
                {"path": "/{a}", "authenticated": True},
                {"path": "/{b}", "authenticated": True},
            ]
        },
        {"routes": []},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_meant_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Policy.parse(data)


@pytest.mark.proves("V3")
def test_staleness_that_cannot_be_kept_is_refused_at_the_start() -> None:
    rule = Rule(authenticated=True, staleness=2)
    with pytest.raises(ValueError, match="hybrid"):
        check_freshness(rule, None)
    check_freshness(rule, 0)
    with pytest.raises(ValueError, match="hybrid"):
        check_freshness(Rule(authenticated=True, when_stale=WhenStale.REFUSE), None)


@pytest.mark.proves("V3")
def test_a_policy_says_how_stale_and_what_then(policy: Policy) -> None:
    rule = policy.find("GET", "/files/a").rule
    assert rule is not None
    assert (rule.staleness, rule.when_stale) == (2, WhenStale.ACCEPT_UNTIL_EXPIRY)
    rule = policy.find("GET", "/orders").rule
    assert rule is not None
    assert (rule.staleness, rule.when_stale) == (None, None)


def test_routes_are_data() -> None:
    rule = Rule(scopes=("orders:read",))
    assert Policy([Route("GET", "/orders", rule)]).routes == (Route("GET", "/orders", rule),)


@pytest.mark.proves("C74", "R3")
@pytest.mark.parametrize("reason", list(RefusalReason))
def test_every_refusal_has_a_status_and_a_challenge_that_reads(reason: RefusalReason) -> None:
    refusal = Refusal(reason)
    assert refusal.status in (400, 401, 403)
    text = build_bearer_challenge(
        refusal, realm='the "shop"', resource_metadata="https://a.example"
    )
    (challenge,) = parse_challenges(text)
    assert challenge.parameters["realm"] == 'the "shop"'
    assert challenge.parameters["resource_metadata"] == "https://a.example"
    assert challenge.parameters.get("error") == refusal.error
    assert (refusal.error is None) == (
        reason in ("no_credentials", "foreign_origin", "no_rule", "insufficient_role")
    )
