"""A sender for tests: keeps what it is given and answers as told."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from dripstone.senders import reasons
from dripstone.senders.base import Answer, Outgoing, withheld
from dripstone.senders.flight import FlightLog


def accept(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "sent", "250 2.0.0 Ok", f"memory-{message.delivery_id}")


class MemorySender:
    """`messages` is what was answered "sent"; `answer` may be replaced by any function of a message.

    `memory://name` always gives the same sender for the same name, so that a test can look at it from outside.
    """

    _named: ClassVar[dict[str, "MemorySender"]] = {}

    def __init__(self, answer: Callable[[Outgoing], Answer] = accept, flight: FlightLog | None = None) -> None:
        self.messages: list[Outgoing] = []
        self.eight_bit = False
        self.answer = answer
        self.flight = flight

    @classmethod
    def named(cls, name: str, flight: FlightLog | None = None) -> "MemorySender":
        sender = cls._named.setdefault(name, cls())
        sender.flight = flight
        return sender

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[list[Answer]]:
        for message in messages:
            if message.is_overdue:
                yield [withheld(message.delivery_id, reasons.LEASE_OVER, given_back=True)]
                continue
            if self.flight is not None:
                self.flight.started(message.delivery_id, message.attempt)
            answer = self.answer(message)
            if answer.kind == "sent":
                self.messages.append(message)
            if self.flight is not None:
                self.flight.ended(message.delivery_id, message.attempt, answer.kind)
            yield [answer]

    def limit_connections(self, n_connections: int) -> None:
        """It has none."""

    def close(self, *, for_good: bool = False) -> None:
        """Nothing to give back."""
