"""What is asked of a person, and what is not: prompt, max_age, hints, remembered consent."""

from __future__ import annotations

import pytest

from dojang.server.browsers import BadForm, Browser
from dojang.server.checks.next_step import Step
from dojang.server.interaction import (
    InteractionOver,
    Outcome,
    PersonAsked,
    Redirected,
    resume,
    sign_in,
)
from dojang.testing.inline import run
from tests.server.front_door import read
from tests.server.people.world import PASSWORD, World, read_claims


def find_error(outcome: Outcome) -> str:
    assert isinstance(outcome, Redirected)
    return outcome.parameters["error"]


def find_step(outcome: Outcome) -> Step:
    return outcome.step if isinstance(outcome, PersonAsked) else Step.READY


@pytest.mark.proves("C40")
def test_a_person_is_asked_once_for_what_they_allowed(world: World) -> None:
    asked = world.sign_in(world.ask())
    assert find_step(asked) is Step.CONSENT
    assert find_step(world.consent(asked)) is Step.READY
    assert find_step(world.ask()) is Step.READY
    assert find_step(world.ask(scope="openid")) is Step.READY
    assert find_step(world.ask(scope="openid orders:read")) is Step.CONSENT
    assert find_step(world.ask(scope="openid offline_access")) is Step.CONSENT
    assert find_step(world.ask(prompt="consent")) is Step.CONSENT


@pytest.mark.proves("C40")
def test_what_one_client_was_allowed_another_was_not(world: World) -> None:
    world.get_tokens()
    world.add_client("other")
    assert find_step(world.ask(client_id="other")) is Step.CONSENT
    world.add_client("own", first_party=True)
    assert find_step(world.ask(client_id="own")) is Step.READY
    assert find_step(world.ask(client_id="own", prompt="consent")) is Step.CONSENT


@pytest.mark.proves("C40")
@pytest.mark.parametrize(
    "uri, remembered", [("http://127.0.0.1/done", False), ("https://app.test/done", True)]
)
@pytest.mark.parametrize("kind", ["native", "web"])
def test_whoever_imitates_a_native_app_asks_the_person(
    world: World, uri: str, remembered: bool, kind: str
) -> None:
    """RFC 8252 §8.6: any program of the device can send its request and listen for the answer."""
    world.add_client("phone", "none", application_type=kind, redirect_uris=(uri,))
    world.consent(world.sign_in(world.ask(client_id="phone", redirect_uri=uri)))
    again = world.ask(client_id="phone", redirect_uri=uri)
    assert find_step(again) is (Step.READY if remembered else Step.CONSENT)


@pytest.mark.proves("C34")
def test_prompt_none_shows_nothing(world: World) -> None:
    assert find_error(world.ask(prompt="none")) == "login_required"
    world.sign_in(world.ask())
    assert find_error(world.ask(prompt="none")) == "consent_required"
    world.get_tokens()
    assert find_step(world.ask(prompt="none")) is Step.READY
    world.issuer.clock.move(100)
    assert find_error(world.ask(prompt="none", max_age="99")) == "login_required"
    assert find_error(world.ask(prompt="none login")) == "invalid_request"


@pytest.mark.proves("C35")
@pytest.mark.parametrize("parameters", [{"prompt": "login"}, {"max_age": "59"}, {"max_age": "0"}])
def test_a_person_signs_in_again_and_the_token_shows_when(
    world: World, parameters: dict[str, str | None]
) -> None:
    world.get_tokens()
    world.issuer.clock.move(60)
    asked = world.ask(**parameters)
    assert find_step(asked) is Step.SIGN_IN
    done = world.sign_in(asked)
    assert isinstance(done, Redirected)
    claims = read_claims(read(world.redeem(done.parameters["code"]))["id_token"])
    assert claims["auth_time"] == world.now


@pytest.mark.proves("C35")
def test_no_sign_in_is_young_enough_for_zero(world: World) -> None:
    world.get_tokens()
    assert find_step(world.ask(max_age="0")) is Step.SIGN_IN
    assert find_error(world.ask(max_age="0", prompt="none")) == "login_required"


@pytest.mark.proves("C35")
def test_who_signed_in_lately_enough_is_not_asked(world: World) -> None:
    world.get_tokens()
    world.issuer.clock.move(60)
    assert find_step(world.ask(max_age="60")) is Step.READY


@pytest.mark.proves("C35")
def test_a_client_may_have_a_max_age_of_its_own(world: World) -> None:
    world.add_client("strict", default_max_age=30)
    world.get_tokens()
    world.issuer.clock.move(31)
    assert find_step(world.ask(client_id="strict")) is Step.SIGN_IN
    assert find_step(world.ask(client_id="strict", max_age="60")) is Step.CONSENT


@pytest.mark.proves("C34", "C121")
def test_a_hint_names_the_one_who_is_to_sign_in(world: World) -> None:
    world.add_user("kim")
    hint = world.get_tokens()["id_token"]
    world.issuer.clock.move(86_400)  # it has expired, and names the person all the same
    assert find_step(world.ask(id_token_hint=hint, prompt="none")) is Step.READY
    world.sign_in(world.ask(prompt="login"), "kim")
    assert find_error(world.ask(id_token_hint=hint, prompt="none")) == "login_required"
    asked = world.ask(id_token_hint=hint)
    assert find_step(asked) is Step.SIGN_IN
    assert find_error(world.sign_in(asked, "kim")) == "login_required"  # the wrong one again


@pytest.mark.proves("C34")
@pytest.mark.parametrize("hint", ["junk", "a.b.c", ""])
def test_a_hint_that_is_none_is_refused(world: World, hint: str) -> None:
    world.get_tokens()
    done = world.ask(id_token_hint=hint or world.get_tokens()["access_token"])
    assert find_error(done) == "invalid_request"


@pytest.mark.proves("C34")
def test_a_hint_of_another_client_is_refused(world: World) -> None:
    hint = world.get_tokens()["id_token"]
    world.add_client("other")
    assert find_error(world.ask(client_id="other", id_token_hint=hint)) == "invalid_request"


@pytest.mark.proves("C41")
def test_the_form_of_another_browser_does_nothing(world: World) -> None:
    asked = world.ask()
    assert isinstance(asked, PersonAsked)
    interaction_id = asked.interaction.interaction_id
    mine, theirs = world.browser, Browser(secret=b"t" * 32)
    for browser, key, error in [
        (mine, theirs.make_form_key(interaction_id), BadForm),
        (mine, mine.make_form_key("0" * 32), BadForm),
        (mine, "é", BadForm),
        (theirs, theirs.make_form_key(interaction_id), InteractionOver),
        (theirs, mine.make_form_key(interaction_id), InteractionOver),
    ]:
        with pytest.raises(error):
            run(
                sign_in(
                    world.issuer.provider,
                    interaction_id,
                    browser,
                    form_key=key,
                    username="hong",
                    password=PASSWORD,
                )
            )
    with pytest.raises(InteractionOver):
        run(resume(world.issuer.provider, interaction_id, theirs))


@pytest.mark.proves("C41")
def test_every_sign_in_is_a_new_session(world: World) -> None:
    world.get_tokens()
    before = world.browser.session
    world.sign_in(world.ask(prompt="login"))
    assert world.browser.session != before


@pytest.mark.proves("C44")
def test_an_interaction_waits_half_an_hour_and_is_used_up(world: World) -> None:
    asked = world.ask()
    assert isinstance(asked, PersonAsked)
    world.issuer.clock.move(1799)
    again = run(resume(world.issuer.provider, asked.interaction.interaction_id, world.browser))
    assert find_step(again) is Step.SIGN_IN
    world.issuer.clock.move(1)
    with pytest.raises(InteractionOver):
        world.sign_in(asked)
    done = world.sign_in(world.ask())
    world.consent(done)
    with pytest.raises(InteractionOver):
        world.consent(done)


@pytest.mark.proves("C40", "C41")
def test_consent_is_of_the_person_who_was_asked(world: World) -> None:
    """In another tab somebody else signs in, while the page of the first stands open."""
    world.add_user("kim")
    asked = world.sign_in(world.ask())
    world.sign_in(world.ask(prompt="login"), "kim")
    outcome = world.consent(asked)
    assert find_step(outcome) is Step.CONSENT
    assert isinstance(outcome, PersonAsked)
    assert outcome.account_id == "account-kim"


@pytest.mark.proves("C44")
def test_a_client_that_changed_meanwhile_is_looked_at_again(world: World) -> None:
    asked = world.sign_in(world.ask())
    world.issuer.disable_client("app")
    with pytest.raises(InteractionOver):
        world.consent(asked)


@pytest.mark.proves("A4")
def test_a_way_to_sign_in_that_there_is_not_is_said(world: World) -> None:
    world.get_tokens()
    claims = '{"id_token": {"acr": {"essential": true, "values": ["urn:iris"]}}}'
    assert find_error(world.ask(claims=claims)) == "unmet_authentication_requirements"
    claims = '{"id_token": {"acr": {"values": ["urn:iris"]}}}'
    assert find_step(world.ask(claims=claims)) is Step.READY


@pytest.mark.proves("A1")
def test_the_claims_parameter_adds_what_was_not_in_scope(world: World) -> None:
    claims = '{"id_token": {"email": null, "gender": null}, "userinfo": {"name": null}}'
    tokens = world.get_tokens(scope="openid", claims=claims)
    assert read_claims(tokens["id_token"])["email"] == "hong@example.com"
    assert "gender" not in read_claims(tokens["id_token"])
    answer = read(world.ask_userinfo(tokens["access_token"]))
    assert answer == {"sub": "account-hong", "name": "홍길동"}


@pytest.mark.parametrize("claims", ["[]", "{", '{"id_token": 5}', '{"userinfo": {"a": 1}}', "\0"])
@pytest.mark.proves("C32")
def test_claims_that_are_none_are_refused(world: World, claims: str) -> None:
    assert find_error(world.ask(claims=claims)) == "invalid_request"


@pytest.mark.proves("C40")
def test_a_claim_by_itself_is_asked_for_as_its_scope_is(world: World) -> None:
    world.get_tokens(scope="openid")
    in_token = world.ask(scope="openid", claims='{"id_token": {"email": null}}')
    assert find_step(in_token) is Step.CONSENT
    asked = world.ask(scope="openid", claims='{"userinfo": {"email": null}}')
    assert find_step(asked) is Step.CONSENT
    world.consent(asked)
    claims = '{"userinfo": {"email": null}}'
    assert find_step(world.ask(scope="openid", claims=claims)) is Step.READY
    claims = '{"userinfo": {"name": null}}'
    assert find_step(world.ask(scope="openid", claims=claims)) is Step.CONSENT


@pytest.mark.proves("C40")
def test_a_claim_that_the_client_may_not_have_is_passed_over(world: World) -> None:
    world.add_client("poor", scopes=("openid",))
    claims = '{"userinfo": {"email": {"essential": true}}, "id_token": {"email": null}}'
    world.get_code(client_id="poor", scope="openid")
    # Nothing is asked about it either.
    assert find_step(world.ask(client_id="poor", scope="openid", claims=claims)) is Step.READY
    code = world.get_code(client_id="poor", scope="openid", claims=claims)
    tokens = read(world.redeem(code, "poor"))
    assert "email" not in read_claims(tokens["id_token"])
    assert read(world.ask_userinfo(tokens["access_token"])) == {"sub": "account-hong"}


@pytest.mark.proves("C41")
def test_who_signs_in_again_goes_on_under_another_secret(world: World) -> None:
    first = read_claims(world.get_tokens()["id_token"])["sid"]
    before = world.browser.session
    again = world.get_tokens(prompt="login")
    assert read_claims(again["id_token"])["sid"] == first
    assert world.browser.session != before
    now = Browser(secret=world.browser.secret, session=before)
    world.browser, mine = now, world.browser
    assert find_error(world.ask(prompt="none")) == "login_required"  # the cookie of before is dead
    world.browser = mine
    assert find_step(world.ask(prompt="none")) is Step.READY


@pytest.mark.proves("C41", "K6")
def test_another_person_in_the_same_browser_ends_the_session_of_the_first(world: World) -> None:
    world.add_user("kim")
    tokens = world.get_tokens(scope="openid orders:read")
    world.sign_in(world.ask(prompt="login"), "kim")
    assert not world.introspect(tokens["access_token"])["active"]
    alive = [each for each in world.perform("session.list")["sessions"] if each["alive"]]
    assert [each["account_id"] for each in alive] == ["account-kim"]
