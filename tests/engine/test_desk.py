"""Threads of one process take turns at its desk."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from dripstone.engine.desk import Desk
from tests.crash.doomed import until

MOST = 10  # on the wire when somebody may claim


class Office:
    """What goes on at a desk and on the wire, counted."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.n_at_the_desk = self.n_on_the_wire = self.n_done = 0

    def send(self, chunks: list[int]) -> None:
        """chunks  how many messages of the batch come back together"""
        with self.desk.wire() as wire:
            with self.desk.turn_to_claim(MOST):
                assert self.n_on_the_wire <= MOST
                self._work()
                wire.left(sum(chunks))
                self.n_on_the_wire += sum(chunks)
            for n_messages in chunks:
                with self.desk.turn():
                    self._work()
                    self.n_on_the_wire -= n_messages
                    wire.came_back(n_messages)

    def _work(self) -> None:
        self.n_at_the_desk += 1
        assert self.n_at_the_desk == 1
        self.n_done += 1
        self.n_at_the_desk -= 1


@given(st.lists(st.lists(st.integers(0, 8), max_size=4), min_size=1, max_size=6))
def test_one_at_a_time_and_few_on_the_wire(batches: list[list[int]]) -> None:
    office = Office()
    with ThreadPoolExecutor(len(batches)) as threads:
        for done in [threads.submit(office.send, chunks) for chunks in batches]:
            done.result(30)
    assert office.n_on_the_wire == 0
    assert office.n_done == sum(1 + len(chunks) for chunks in batches)


def test_nobody_claims_while_enough_is_on_the_wire_but_others_record() -> None:
    desk, has_claimed = Desk(), threading.Event()

    def claim() -> None:
        with desk.turn_to_claim(MOST):
            has_claimed.set()

    with desk.wire() as wire, ThreadPoolExecutor(1) as threads:
        wire.left(MOST + 1)
        waiting = threads.submit(claim)
        for _ in range(100):
            with desk.turn():
                assert not has_claimed.is_set()
        wire.came_back(1)
        waiting.result(30)
    assert has_claimed.is_set()


def test_a_batch_that_breaks_off_leaves_no_messages_behind() -> None:
    desk = Desk()
    try:
        with desk.wire() as wire:
            wire.left(MOST + 1)
            raise KeyError("a bug of ours")
    except KeyError:
        pass
    with desk.turn_to_claim(MOST):
        pass


def test_a_closing_desk_keeps_nobody_waiting() -> None:
    desk = Desk()
    with desk.wire() as wire, ThreadPoolExecutor(1) as threads:
        wire.left(MOST + 1)
        waiting = threads.submit(_is_closing_at_my_turn, desk)
        desk.close()
        assert waiting.result(30)


def _is_closing_at_my_turn(desk: Desk) -> bool:
    with desk.turn_to_claim(MOST):
        return desk.is_closing


def test_who_came_last_claims_first() -> None:
    """So that the threads at work stay at work, and the connections of the others stay cold."""
    desk, order = Desk(), list[int]()

    def claim(number: int) -> None:
        with desk.turn_to_claim(MOST):
            order.append(number)

    with desk.wire() as wire, ThreadPoolExecutor(3) as threads:
        wire.left(MOST + 1)
        waiting = []
        for number in range(3):
            waiting.append(threads.submit(claim, number))
            until(lambda: len(desk._waiting_to_claim) == len(waiting))
        wire.came_back(1)
        for one in waiting:
            one.result(30)
    assert order == [2, 1, 0]
