"""The one desk of a worker process: who claims, renders or records sits at it; who waits for the mail server does not.

Several batches of a process are on their way at once, each in a thread of its own: the next one is claimed and rendered
while the last is on the wire, and a slow answer holds up only its own batch. But threads that compute side by side
fight for the interpreter: four of them cost a third more per message than one. So they take turns.

    waits for room ──▶ at the desk: claimed, rendered, sorted ──▶ on the wire ──▶ at the desk: a chunk recorded
                                                                      ▲                         │
                                                                      └ until all have answers ─┘

A batch is claimed only while few messages are on the wire: more would wait for a connection, while their lease runs.
A crash here means nothing: the desk is memory. The rows and the flight log say who holds what.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Desk:
    def __init__(self) -> None:
        self.is_closing = False
        self._changed = threading.Condition()
        self._is_taken = False
        self._n_on_the_wire = 0
        self._waiting_to_claim: list[object] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Alone at the desk."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            self._is_taken = True
        with self._leaving():
            yield

    @contextmanager
    def turn_to_claim(self, most_on_the_wire: int) -> Iterator[None]:
        """Alone at the desk, not before so few messages are on the wire, or the desk is closing.

        Who came last is first: the threads at work stay at work. Each one more has a database connection to keep warm.
        """
        me = object()

        def is_my_turn() -> bool:
            has_room = self._n_on_the_wire <= most_on_the_wire and self._waiting_to_claim[-1] is me
            return (has_room or self.is_closing) and not self._is_taken

        with self._changed:
            self._waiting_to_claim.append(me)
            self._changed.wait_for(is_my_turn)
            self._waiting_to_claim.remove(me)
            self._is_taken = True
        with self._leaving():
            yield

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    @contextmanager
    def wire(self) -> Iterator["Wire"]:
        """Counts the messages of one batch. Whatever ends the block, none of them counts any more."""
        wire = Wire(self)
        try:
            yield wire
        finally:
            wire.came_back(wire.n_messages)

    def close(self) -> None:
        """Nobody waits for room any more, and nobody should claim: the process is to stop."""
        with self._changed:
            self.is_closing = True
            self._changed.notify_all()

    def _count(self, n_messages: int) -> None:
        with self._changed:
            self._n_on_the_wire += n_messages
            self._changed.notify_all()


class Wire:
    """The messages of one batch that wait for an answer."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self.n_messages = desk, 0

    def left(self, n_messages: int) -> None:
        """To be called at the desk, so that the next who claims counts them."""
        self.n_messages += n_messages
        self._desk._count(n_messages)

    def came_back(self, n_messages: int) -> None:
        self.left(-n_messages)
