"""The pytest plugin, as a user's test suite sees it."""

import pytest

pytest_plugins = ["pytester"]

SUITE = """
from dojang.testing import Issuer, SettableClock

ORDERS = "https://orders.test"


def test_a_token(dojang_token, dojang_issuer):
    token = dojang_token(scopes=["orders.read"], audience=ORDERS)
    told = dojang_issuer.introspect(token, audience=ORDERS)
    assert (told["active"], told["scope"], told["aud"]) == (True, "orders.read", ORDERS)


def test_the_clock(dojang_token, dojang_issuer, dojang_clock):
    assert isinstance(dojang_clock, SettableClock)
    token = dojang_token(scopes=["orders.read"], audience=ORDERS)
    dojang_clock.move(601)
    assert dojang_issuer.introspect(token, audience=ORDERS) == {"active": False}


def test_taking_back(dojang_token, dojang_issuer):
    token = dojang_token(scopes=["orders.read"], audience=ORDERS, client_id="shop")
    dojang_issuer.revoke(token)
    assert dojang_issuer.introspect(token, audience=ORDERS) == {"active": False}


def test_rotating(dojang_token, dojang_issuer, dojang_clock):
    before = dojang_token(scopes=["orders.read"], audience=ORDERS)
    dojang_clock.move_to(dojang_issuer.rotate_keys())
    after = dojang_token(scopes=["orders.read"], audience=ORDERS)
    assert before.partition(".")[0] != after.partition(".")[0]
    for token in (before, after):
        assert dojang_issuer.introspect(token, audience=ORDERS)["active"]


def test_each_test_has_an_issuer_of_its_own(dojang_issuer):
    assert isinstance(dojang_issuer, Issuer)
    assert len(dojang_issuer.perform("client.list")["clients"]) == 0
"""


def test_the_fixtures_are_found_and_work(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    run.assert_outcomes(passed=5)


def test_the_issuer_can_be_put_elsewhere(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from dojang.testing import Issuer

        @pytest.fixture
        def dojang_issuer(dojang_clock):
            return Issuer("https://login.example/tenant", clock=dojang_clock)
        """
    )
    pytester.makepyfile(
        """
        def test_it(dojang_token, dojang_issuer):
            token = dojang_token(scopes=["a"], audience="urn:b")
            told = dojang_issuer.introspect(token, audience="urn:b")
            assert told["iss"] == "https://login.example/tenant"
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_suite_that_does_not_use_it_does_not_pay_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded(request):
            assert request.config.pluginmanager.has_plugin("dojang")
            loaded = [name for name in sys.modules if name.startswith("dojang.")]
            assert sorted(loaded) == ["dojang.testing", "dojang.testing.plugin"]
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    run = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    run.stdout.re_match_lines(["dojang_clock.*", "dojang_issuer.*", "dojang_token.*"])
