"""Actions: what a rule or an automation does to somebody, and a bulk action to many.

{"kind": "tag", "tag_id": 9}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from dripstone.conditions.words import Names
from dripstone.engine.enroll import Source
from dripstone.events.causes import Cause
from dripstone.grammar import Thing
from dripstone.sequences.models import Sequence as EmailSequence
from dripstone.subscribers.models import CustomField, Form, Subscriber, Tag

Action = dict[str, Any]
For = Literal["rule", "bulk"]


@dataclass(frozen=True, slots=True)
class Held:
    """What actions name, by id; what is gone is not there."""

    account_id: int
    actions: Sequence[Action]
    tags: Mapping[int, Tag]
    forms: Mapping[int, Form]
    fields: Mapping[int, CustomField]
    sequences: Mapping[int, EmailSequence]


@dataclass(frozen=True, slots=True)
class Done:
    """changed   people for whom it changed something, or for whom a call or mail is queued
    passed    the others, each with the reason (reasons.py)
    before    what was so, where it can be undone: of `field` the value by person, None for none
    """

    changed: set[int] = field(default_factory=set)
    passed: dict[int, str] = field(default_factory=dict)
    before: dict[int, str | None] = field(default_factory=dict)


def read(given: object, member: str, account_id: int, *, for_: For) -> list[Action]:
    """As they are to be kept. Raises Invalid with every problem, each with its member: `actions[1].sequence_id`."""
    raise NotImplementedError


def things(action: Action) -> list[Thing]:
    raise NotImplementedError


def words(action: Action, names: Names) -> str:
    """`add the tag “Course”`."""
    raise NotImplementedError


def hold(account_id: int, actions: Sequence[Action]) -> Held:
    """Loads what they name, and keeps sequences from being deleted and edited until the transaction ends: before any
    person is locked. (Tags, forms and fields are held by `perform`: the lock order has them behind the people.)"""
    raise NotImplementedError


def perform(
    action: Action, held: Held, people: Mapping[int, Subscriber], now: datetime, *, cause: Cause, source: Source
) -> Done:
    """Does it for all of them, in a number of statements that does not grow with theirs.

    people   by id, locked by the caller's transaction, which has held the actions before
    """
    raise NotImplementedError
