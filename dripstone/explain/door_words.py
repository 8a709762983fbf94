"""By which doors people came into a sequence, in words: `By the form “Newsletter”`."""

from collections.abc import Iterable
from dataclasses import dataclass

from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.stats.doors import Door


@dataclass(frozen=True, slots=True)
class Told:
    """is_there   it is a form, a rule, an automation … that has not been deleted"""

    door: Door
    said: str
    is_there: bool


def told(doors: Iterable[Door], account_id: int) -> list[Told]:
    """In their order; a query for each kind of thing that they are."""
    rows = list(doors)
    names = event_words.names_of([Event(cause=[row.door for row in rows], data={})], account_id)
    return [Told(row, event_words.because_of([row.door], names), (row.kind, row.number or 0) in names) for row in rows]
