"""The thread that keeps things fresh."""

from threading import Event, Thread

import pytest

from dojang.trust.background import Background


class Perishable:
    def __init__(self) -> None:
        self.ticked = Event()

    def tick(self) -> float:
        self.ticked.set()
        return 0.05


@pytest.mark.proves("F1")
def test_it_starts_later_where_the_system_had_no_thread_to_give() -> None:
    background, owner = Background(), Perishable()

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        background.watch(owner)
    assert not owner.ticked.is_set()
    background.watch(owner)
    assert owner.ticked.wait(10)
