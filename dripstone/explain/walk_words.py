"""The log of automations in words, and why somebody did not enter one.

names = walk_words.names_of(steps, account_id)
walk_words.of(steps, names)      of each: what happened, by what, the way that was walked, where they stand
walk_words.why_not(automation, person, now)   "why did she not enter?"
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dripstone.automations.models import Automation, Step
from dripstone.subscribers.models import Subscriber


@dataclass(frozen=True, slots=True)
class Passed:
    """A node on the way. what: "add the tag “Reader”"; outcome: "done", or "no, they have it already" …"""

    node: str
    what: str
    outcome: str
    at_node: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the log.

    person      None: gone since
    automation  None: deleted since
    said        "Entered, by the form “News”", "Did not enter: …", "Left: the end was reached"
    way         the nodes on it, in order
    where       where they stand now: "waits 3 days"; "" outside
    """

    row: Step
    person: Subscriber | None
    automation: Automation | None
    said: str
    way: tuple[Passed, ...] = ()
    where: str = ""

    @property
    def at(self) -> datetime:
        return self.row.at


@dataclass(frozen=True, slots=True)
class Names:
    """All that some rows of the log name."""


def names_of(steps: Collection[Step], account_id: int) -> Names:
    """A fixed number of queries, however many rows there are."""
    raise NotImplementedError


def of(steps: Collection[Step], names: Names) -> list[Line]:
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WhyNot:
    """is_inside   they did enter, and are inside now
    sentences      what is known, the gravest first
    lately         the last rows of the log about them here, newest first
    """

    is_inside: bool
    sentences: tuple[str, ...]
    lately: tuple[Line, ...] = ()


def why_not(automation: Automation, person: Subscriber, now: datetime) -> WhyNot:
    """Why somebody is not inside: from the log, the status, their state, `reenter`, and what the entries wait for."""
    raise NotImplementedError
