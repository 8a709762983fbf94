"""One person's way through automations: what they passed, where they stand, and what comes, as far as it is decided.

Dates ahead come from the functions that walking itself uses: unless the automation is edited or something happens to
the person, they come true. Where the way depends on something, it ends, and says on what.
"""

from dataclasses import dataclass, field
from datetime import datetime

from dripstone.accounts.models import Account
from dripstone.automations.models import Automation, Walk
from dripstone.explain.walk_words import Line
from dripstone.subscribers.models import Subscriber


@dataclass(frozen=True, slots=True)
class Ahead:
    """at   None: without a date. what: "add the tag “Reader”", "the email “Day 2” of “Course”", "it is over" """

    at: datetime | None
    node: str
    what: str


@dataclass(frozen=True, slots=True)
class Way:
    """walk        where they stand; one that has ended has no `now` and nothing ahead
    past        oldest first
    now         "waits until Monday, 7 December, 09:00"
    coming      as far as it is decided
    depends     on what the rest does: "whether they have the tag “Customer”"; "" where all of it is decided
    unless      what would take them elsewhere before: "they buy “Course”: then to “thank you”"
    """

    automation: Automation
    walk: Walk
    past: tuple[Line, ...] = ()
    now: str = ""
    coming: tuple[Ahead, ...] = ()
    depends: str = ""
    unless: tuple[str, ...] = field(default=())


def of_person(account: Account, person: Subscriber, now: datetime) -> list[Way]:
    """Of every automation that they are or were in, those that they are in first."""
    raise NotImplementedError
