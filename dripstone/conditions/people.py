"""Everybody who meets a condition, as a queryset.

A condition is broken when something that it names is gone, in itself or in a segment inside it. Then nobody meets it, a
`not` around the place notwithstanding: deleting the tag "customer" mails no customer. Nor does anybody while something
it asks for is not recorded. As an exclusion such a condition excludes everybody (engine/audience.py).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.conditions import sql
from dripstone.grammar import Condition, Thing, kinds
from dripstone.postgresql.arrays import bigints
from dripstone.sequences.known import known
from dripstone.subscribers.models import Segment, Subscriber

EVERYBODY: Condition = {"all": []}
MAX_NESTED = 3  # segments inside one another
MAX_EXPANDED = 1_000  # leaves, those of the segments inside among them


def matching(
    condition: Condition | None, account: Account, now: datetime, *, among: Collection[int] | None = None
) -> QuerySet[Subscriber]:
    """Everybody of the account who meets it, whatever their state; None: everybody there is. Nobody if it is broken.

    among   ids: nobody else is asked about. It says what a filter by `pk` would, and is quicker for up to some thousand
    """
    return expanded(EVERYBODY if condition is None else condition, account.pk).people(account, now, among)


def missing(condition: Condition | None, account_id: int) -> list[Thing]:
    """What it names that is gone, in the segments inside it too: then nobody meets it. ("tag", 3)."""
    return [] if condition is None else expanded(condition, account_id).missing


def unrecorded(condition: Condition | None, account_id: int) -> list[str]:
    """Types of leaves about which nothing is recorded yet: then nobody meets it either."""
    return [] if condition is None else expanded(condition, account_id).unrecorded


@dataclass(slots=True)
class Expanded:
    """A condition with those of the segments inside it in their place.

    is_too_large   it has more leaves than are asked for; then it is broken too
    asks_for_values   of custom fields
    """

    condition: Condition
    missing: list[Thing] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    is_too_large: bool = False
    asks_for_values: bool = False

    @property
    def is_broken(self) -> bool:
        return bool(self.missing or self.unrecorded or self.is_too_large)

    def people(self, account: Account, now: datetime, among: Collection[int] | None = None) -> QuerySet[Subscriber]:
        people = Subscriber.objects.filter(account_id=account.pk)
        if among is not None:
            people = people.filter(sql.Truth("{id} = ANY(%s::bigint[])", [bigints(among)]))
        if self.is_broken:
            return people.none()
        if self.condition == EVERYBODY:
            return people
        return people.filter(sql.met(self.condition, sql.Asked(account, now, among)))


def expanded(condition: Condition, account_id: int) -> Expanded:
    """A query for each level of segments and each kind of thing, however many there are."""
    plain = grammar.plain(condition)
    segments = _segments(plain, account_id)
    expansion = _Expansion(segments)
    found = Expanded(expansion.of(plain, ()), is_too_large=expansion.n_leaves > MAX_EXPANDED)
    found.asks_for_values = any(kind == "custom_field" for kind, _ in expansion.things)
    found.unrecorded = sorted(expansion.unrecorded)
    found.missing = sorted(expansion.missing | _gone(expansion.things, account_id))
    return found


def _segments(condition: Condition, account_id: int) -> dict[int, Condition]:
    """The conditions of all segments that it leads to, by id."""
    found: dict[int, Condition] = {}
    wanted = _named_segments(condition)
    for _ in range(MAX_NESTED):
        if not wanted:
            break
        rows = Segment.objects.filter(account_id=account_id, pk__in=wanted).values_list("pk", "filter")
        new = {pk: grammar.plain(filter) for pk, filter in rows}
        found |= new
        wanted = {pk for one in new.values() for pk in _named_segments(one)} - found.keys()
    return found


def _named_segments(condition: Condition) -> set[int]:
    return {pk for kind, pk in grammar.things(condition) if kind == "segment"}


def _gone(things: Collection[Thing], account_id: int) -> set[Thing]:
    by_kind: dict[str, set[int]] = defaultdict(set)
    for kind, pk in things:
        by_kind[kind].add(pk)
    there = known(account_id)
    return {(kind, pk) for kind, ids in by_kind.items() for pk in ids - set(there(kind, ids))}


class _Expansion:
    """Puts the conditions of segments in the place of the leaves that name them, and notes what all leaves name."""

    def __init__(self, segments: Mapping[int, Condition]) -> None:
        self.n_leaves = 0
        self.things: set[Thing] = set()
        self.missing: set[Thing] = set()
        self.unrecorded: set[str] = set()
        self._segments = segments

    def of(self, condition: Mapping[str, Any], within: tuple[int, ...]) -> Condition:
        """within   ids of the segments around it"""
        if "not" in condition:
            return {"not": self.of(condition["not"], within)}
        if "type" in condition:
            return self._leaf(condition, within)
        joiner = "all" if "all" in condition else "any"
        return {joiner: [self.of(part, within) for part in condition[joiner] if self.n_leaves <= MAX_EXPANDED]}

    def _leaf(self, leaf: Mapping[str, Any], within: tuple[int, ...]) -> Condition:
        if leaf["type"] == kinds.SEGMENTS:
            parts = [self._segment(pk, within) for pk in leaf["ids"] if self.n_leaves <= MAX_EXPANDED]
            return {leaf.get("has", "any"): parts}
        self.n_leaves += 1
        self.things |= grammar.things(leaf)
        self.unrecorded |= kinds.unrecorded(leaf)
        return dict(leaf)

    def _segment(self, pk: int, within: tuple[int, ...]) -> Condition:
        """One that is gone is noted. So is one inside itself, or too deep: none is saved like that."""
        if pk not in self._segments or pk in within or len(within) == MAX_NESTED:
            self.missing.add(("segment", pk))
            return {"all": []}
        return self.of(self._segments[pk], (*within, pk))
