"""Segments: conditions with a name, which other conditions may name.

Segments name one another, at most three deep and never in a circle. Whoever saves one locks its account first, so that
of two who would close a circle together the second sees what the first has written.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone import grammar, words
from dripstone.accounts import names
from dripstone.conditions.people import MAX_EXPANDED, MAX_NESTED
from dripstone.conditions.reading import read
from dripstone.errors import NotFound
from dripstone.given import Checked, Given
from dripstone.subscribers.models import Segment

Graph = Mapping[int, frozenset[int]]
"""Segments → those that each names."""


@transaction.atomic
def create(account_id: int, given: Given, now: datetime) -> Segment:
    """given   `name` and `filter`: a condition, or the old form. Raises Invalid with every problem."""
    names.lock(account_id)
    values = _checked(Checked(given, required=("name", "filter")), account_id, None)
    return Segment.objects.create(account_id=account_id, created_at=now, **values)


@transaction.atomic
def update(segment: Segment, given: Given) -> Segment:
    """What is left out stays. Raises Invalid, also where the segment would be inside itself; NotFound if it was deleted
    meanwhile."""
    names.lock(segment.account_id)
    if not Segment.objects.filter(pk=segment.pk).exists():
        raise NotFound
    values = _checked(Checked(given), segment.account_id, segment)
    for name, value in values.items():
        setattr(segment, name, value)
    if values:
        segment.save(update_fields=list(values))
    return segment


@transaction.atomic
def delete(segment: Segment) -> None:
    """Conditions that name it are met by nobody from now on, exclusions by it exclude everybody: uses.py finds them."""
    names.lock(segment.account_id)
    segment.delete()


# --- Checks -------------------------------------------------------------------------------------------------------


def _checked(given: Checked, account_id: int, segment: Segment | None) -> dict[str, Any]:
    """Sound values by column, for the members that were given."""
    given.name("name")
    found = read(given, "filter", account_id)
    if found is not None:
        _refuse_nesting(given, account_id, segment, found)
    elif given.take("filter") is None:
        given.blank("filter")
    values = given.sound()
    return values if found is None else {**values, "filter": found}


def _refuse_nesting(given: Checked, account_id: int, segment: Segment | None, condition: grammar.Condition) -> None:
    pk = segment.pk if segment else 0
    rows = dict(Segment.objects.filter(account_id=account_id).exclude(pk=pk).values_list("pk", "filter"))
    conditions = {**rows, pk: condition}
    inside = {one: _named(filter) for one, filter in conditions.items()}
    around = {one: frozenset(other for other in inside if one in inside[other]) for one in inside}
    if pk in _reached(inside, pk):
        given.wrong("filter", "can't contain the segment itself, directly or through other segments")
    elif _depth(inside, pk) + _depth(around, pk) - 1 > MAX_NESTED:
        given.wrong("filter", f"makes segments inside one another, more than {MAX_NESTED} deep")
    elif any(_size(conditions, inside, one) > MAX_EXPANDED for one in _reached(around, pk)):
        limit = words.count(MAX_EXPANDED, "condition")
        given.wrong("filter", f"makes a segment that names this one have more than {limit}, all segments in it counted")


def _named(filter: grammar.Condition) -> frozenset[int]:
    return frozenset(pk for kind, pk in grammar.things(filter) if kind == "segment")


def _reached(graph: Graph, start: int) -> set[int]:
    """From `start` on, by one step or more."""
    found: set[int] = set()
    wanted = set(graph.get(start, ()))
    while wanted:
        found |= wanted
        wanted = {further for one in wanted for further in graph.get(one, ())} - found
    return found


def _depth(graph: Graph, start: int) -> int:
    """How many segments stand on the longest way from it, itself among them. The graph has no circle there."""
    return 1 + max((_depth(graph, one) for one in graph.get(start, ())), default=0)


def _size(conditions: Mapping[int, grammar.Condition], inside: Graph, pk: int) -> int:
    """Leaves, those of segments inside among them, as often as they are named."""
    if pk not in conditions:
        return 0
    size = 0
    for leaf in grammar.leaves(conditions[pk]):
        named = leaf["ids"] if leaf["type"] == "segments" else None
        size += 1 if named is None else sum(_size(conditions, inside, one) for one in named)
    return size
