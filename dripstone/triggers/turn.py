"""Whose turn it is to read events and dates for rules and automations, and what a turn came to."""

from contextlib import AbstractContextManager
from typing import NamedTuple

from dripstone.postgresql import turns

READER = "triggers"  # its cursor among the events (events/reading.py)
TURN = 0x7275_6C65  # the advisory lock's number: "rule"


class Passed(NamedTuple):
    """n_done   how often rules were asked, with or without effect, and people in automations moved
    is_more    there may be more to do at once"""

    n_done: int
    is_more: bool


NOTHING = Passed(0, False)


def turn() -> AbstractContextManager[bool]:
    """One process works off events and dates at a time, so that each person's come in their order."""
    return turns.turn(TURN)
