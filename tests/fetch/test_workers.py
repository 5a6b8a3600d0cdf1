"""Threads in bounded number, also where the system gives none."""

from threading import Thread

import pytest

from dojang.fetch.workers import Full, Workers


@pytest.mark.proves("F5")
def test_a_thread_that_could_not_start_takes_no_place_for_ever() -> None:
    workers = Workers(2, name="scarce")

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        for _ in range(5):
            with pytest.raises(Full):
                workers.run(lambda: 1)
    assert workers.run(lambda: 2).result(10) == 2
    assert workers.run(lambda: 3).result(10) == 3
