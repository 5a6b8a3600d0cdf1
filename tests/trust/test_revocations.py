"""The view of what was revoked, against the rule it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.oauth.revocation_fact import Fact, FactKind, Rev, kills
from dojang.trust.revocations import CLAIM_OF, RevocationView

BEGINNING = Rev(0, 0)
IDENTIFIERS = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(FactKind)


@st.composite
def records(draw: st.DrawFn) -> list[Fact]:
    """Facts in order, over an epoch or three."""
    facts, epoch = [], 1
    for number in range(1, draw(st.integers(1, 13))):
        if draw(st.integers(0, 5)) == 0:
            epoch += 1
        at = draw(st.integers(0, 100))
        kind, identifier = draw(KINDS), draw(IDENTIFIERS)
        facts.append(Fact(Rev(epoch, number), kind, identifier, at, at + 50, b""))
    return facts


TOKENS = st.dictionaries(st.sampled_from(sorted(CLAIM_OF.values())), IDENTIFIERS)
REVS = st.builds(Rev, st.integers(0, 3), st.integers(0, 13))


@given(records(), REVS, TOKENS, st.integers(0, 12))
@pytest.mark.proves("K6", "C87")
def test_a_token_is_dead_if_any_later_fact_names_it(
    facts: list[Fact], rev: Rev, token: dict[str, str], pages: int
) -> None:
    view = RevocationView(BEGINNING)
    view.apply(facts[:pages])
    view.apply(facts[pages:])
    killers = {
        fact.kind
        for fact in facts
        if kills(fact, rev) and token.get(CLAIM_OF[fact.kind]) == fact.identifier
    }
    found = view.find_killer(rev, token)
    assert found in killers if killers else found is None
    assert view.as_of == (facts[-1].rev if facts else BEGINNING)


@given(records(), st.integers(0, 200))
@pytest.mark.proves("K6")
def test_only_spent_facts_are_forgotten(facts: list[Fact], now: int) -> None:
    view = RevocationView(BEGINNING)
    view.apply(facts)
    before = view.as_of
    view.forget(now)
    assert view.as_of == before
    latest = {(fact.kind, fact.identifier): fact for fact in facts}
    kept = [fact for fact in latest.values() if fact.forget_after >= now]
    assert len(view) == len(kept)
    for fact in kept:
        earlier = Rev(fact.rev.epoch, fact.rev.number - 1)
        assert view.find_killer(earlier, {CLAIM_OF[fact.kind]: fact.identifier}) is fact.kind


@pytest.mark.proves("K6")
def test_facts_come_in_order_and_once() -> None:
    view = RevocationView(BEGINNING)
    first, second = (Fact(Rev(1, n), FactKind.TOKEN, str(n), 0, 0, b"") for n in (1, 2))
    view.apply([first, second])
    for late in (first, second, Fact(Rev(0, 9), FactKind.TOKEN, "x", 0, 0, b"")):
        with pytest.raises(ValueError, match="in order"):
            view.apply([late])
    assert view.as_of == Rev(1, 2)


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": "a"}])
@pytest.mark.proves("K6")
def test_an_identifier_is_a_text(value: object) -> None:
    view = RevocationView(BEGINNING)
    view.apply([Fact(Rev(1, 1), FactKind.TOKEN, "a", 0, 0, b"")])
    assert view.find_killer(BEGINNING, {"jti": value}) is None
    assert view.find_killer(BEGINNING, {"jti": "a"}) is FactKind.TOKEN


@pytest.mark.proves("K6")
def test_every_kind_has_an_identifier_of_its_own() -> None:
    assert CLAIM_OF.keys() == set(FactKind)
    assert len(set(CLAIM_OF.values())) == len(CLAIM_OF)
