"""What the door makes of answers, before anything of them is proven."""

from collections.abc import Callable

import pytest

from dojang.fetch import FetchRequest, FetchResponse
from dojang.oauth.feed import PROOF_HEADER, InvalidFeed, Lease
from dojang.oauth.feed_notices import MEDIA_TYPE
from dojang.oauth.revocation_fact import Rev
from dojang.testing import SettableClock
from dojang.trust.discovery import Issuer
from dojang.trust.feed_door import FeedDoor, Question

ISSUER = "https://issuer.example"
LEASE = Lease("lease", bytes(32), bytes(32), {"keys": []}, 60)


def ask(response: FetchResponse, hear: Callable[[bytes], bool] | None) -> FetchResponse:
    door = FeedDoor(
        Issuer(ISSUER), credentials=None, endpoint=ISSUER + "/feed", clock=SettableClock()
    )
    question = Question("nonce", Rev(1, 0), bytes(32), 1.0, 5.0, (), None, hear=hear)
    flow = door.ask(question, LEASE)
    assert isinstance(next(flow), FetchRequest)
    try:
        flow.send(response)
    except StopIteration as done:
        answer: FetchResponse = done.value
        return answer
    raise AssertionError


def in_lines(body: bytes) -> FetchResponse:
    return FetchResponse(200, {"content-type": MEDIA_TYPE}, body)


@pytest.mark.proves("V3")
@pytest.mark.parametrize("notices", [[], [b"p1 one"], [b"p1 one", b"", b"p3 three"]])
def test_notices_that_were_joined_to_the_answer_are_heard_before_it(notices: list[bytes]) -> None:
    heard: list[bytes] = []

    def hear(line: bytes) -> bool:
        heard.append(line)
        return True

    answer = ask(in_lines(b"\n".join([*notices, b"proof the body"])), hear)
    assert (answer.body, answer.headers[PROOF_HEADER]) == (b"the body", "proof")
    assert heard == notices


@pytest.mark.proves("V3")
@pytest.mark.parametrize("hear", [None, lambda _: False])
def test_notices_that_nobody_takes_spoil_the_answer(hear: Callable[[bytes], bool] | None) -> None:
    with pytest.raises(InvalidFeed):
        ask(in_lines(b"p1 one\nproof the body"), hear)
    assert ask(in_lines(b"proof the body"), hear).body == b"the body"


def test_an_answer_that_came_alone_stays_as_it_is() -> None:
    response = FetchResponse(200, {"content-type": "application/json"}, b"a b\nc")
    assert ask(response, None) is response
