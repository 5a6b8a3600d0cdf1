"""How a client may be answered."""

from __future__ import annotations

import pytest

from dojang.oauth.redirects import ResponseMode
from dojang.server.admin.errors import OperationRefused
from dojang.server.interaction import PersonAsked, Redirected
from tests.server.front_door import basic_of, post, refusal
from tests.server.people.test_pushed_requests import REQUEST
from tests.server.people.world import World


@pytest.mark.proves("C36")
@pytest.mark.parametrize("mode", [None, *ResponseMode])
def test_a_client_is_answered_either_way(mode: str | None) -> None:
    world = World()
    done = world.consent(world.sign_in(world.ask(response_mode=mode)))
    assert isinstance(done, Redirected)
    assert done.target.mode == (mode or "query")
    assert "code" in done.parameters


@pytest.mark.proves("C36")
@pytest.mark.parametrize(
    "allowed, mode",
    [
        ("query", "form_post"),
        ("form_post", "query"),
        ("form_post", None),
        ("query", "fragment"),
        ("form_post", "fragment"),
        ("query", "query.jwt"),
        ("query", "web_message"),
    ],
)
def test_a_client_that_is_limited_is_answered_in_no_other_way(
    allowed: str, mode: str | None
) -> None:
    world = World(response_modes=(allowed,))
    refused = world.ask(response_mode=mode)
    assert isinstance(refused, Redirected)
    assert refused.target.mode == allowed  # the refusal, too
    assert refused.parameters["error"] == "invalid_request"
    asked = world.ask(response_mode=allowed)
    assert isinstance(asked, PersonAsked)
    assert asked.checked.addressed.target.mode == allowed


@pytest.mark.proves("C36")
def test_nor_where_it_pushes() -> None:
    world = World(response_modes=("query",))
    form = {**REQUEST, "response_mode": "form_post"}
    refused = post(world.issuer, "/par", form, basic_of(world.issuer, "app"))
    assert refusal(refused) == (400, "invalid_request")


@pytest.mark.proves("C36")
@pytest.mark.parametrize("modes", [(), ("fragment",), ("none",)])
def test_a_client_has_a_way_to_be_answered(modes: tuple[str, ...]) -> None:
    with pytest.raises((OperationRefused, ValueError), match=r"response_modes|fragment|none"):
        World(response_modes=modes)
