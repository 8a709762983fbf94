"""Triggers: what happens to a person, as rules, entries and event nodes wait for it.

    {"trigger": "tag_added", "tag_id": 3}

Pure but for `read`, which asks what exists.
"""

from typing import Any, Literal

from dripstone.conditions.words import Names
from dripstone.events.models import Event
from dripstone.grammar import Thing

Trigger = dict[str, Any]
Key = tuple[str, int | None]
For = Literal["rule", "entry", "event"]


def read(given: object, member: str, account_id: int, *, for_: For) -> list[Trigger]:
    """As they are to be kept. Raises Invalid with every problem, each with its member: `triggers[0].tag_id`."""
    raise NotImplementedError


def event_keys(trigger: Trigger) -> frozenset[Key]:
    """Types of events with the id of their subject, None for any: a dictionary of these finds an event's triggers."""
    raise NotImplementedError


def is_met(trigger: Trigger, event: Event) -> bool:
    """Of an event that has one of the trigger's keys: the rest of what it asks."""
    raise NotImplementedError


def things(trigger: Trigger) -> list[Thing]:
    """What it names: ("tag", 3)."""
    raise NotImplementedError


def words(trigger: Trigger, names: Names) -> str:
    """`somebody gets the tag “Course”`. names: conditions.words.names_of"""
    raise NotImplementedError


def nothing_yet(trigger: Trigger) -> str:
    """Why it can't happen yet: a sentence; "" where it can."""
    raise NotImplementedError
