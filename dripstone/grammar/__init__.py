"""What a condition may say: one grammar for segments, exclusions, filters of emails and lists. Pure; conditions/ asks.

    {"all": […]} · {"any": […]} · {"not": …} · a leaf: {"type": "tags", "ids": [3]}

kinds.py has the leaves. A segment may also have the form it had before there was a grammar (matches.py); it stays as
it was given, and is translated wherever it is used.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from dripstone.given import ABSENT, Checked
from dripstone.grammar import kinds, matches

MAX_LEAVES = 100  # each may be a query of its own
MAX_DEPTH = 4  # all, any and not inside one another
GROUPS = ("all", "any")

Condition = dict[str, Any]
Leaf = dict[str, Any]
Thing = tuple[str, int]
"""("tag", 3): what a leaf names; also form, segment, sequence, automation, email, custom_field, broadcast, product."""

Known = Callable[[str, Collection[int]], Collection[int]]
"""A kind and ids → those of them that exist in the account."""


# --- Reading ------------------------------------------------------------------------------------------------------


def read(given: Checked, name: str, known: Known) -> Condition | None:
    """The condition in the member `name`; None for null, for a member that is not there, and where there are problems.

    The problems join those of `given`, each with the path of its member: `filter.all[0].ids`. In a form the member may
    be JSON in a hidden field. Members that no leaf knows are dropped.
    """
    value = given.take(name, from_json)
    if value is ABSENT or value is None:
        return None
    n_problems, reading = len(given.problems), _Reading(known)
    found = reading.condition(given, name, value, 0)
    if reading.n_leaves > MAX_LEAVES:
        given.wrong(name, f"can't have more than {MAX_LEAVES} conditions")
    reading.refuse_unknown()
    return found if len(given.problems) == n_problems else None


def from_json(value: Any) -> Any:
    """A member of a form that may be JSON. What cannot be read stays text, and is refused for being no object."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=float) if value.strip() else None
    except (ValueError, RecursionError):
        return value


class _Reading:
    """Reads one condition. What its leaves name is looked up at the end, once for each kind of thing."""

    def __init__(self, known: Known) -> None:
        self.n_leaves = 0
        self._known = known
        self._named: list[tuple[Checked, str, str, list[int]]] = []

    def condition(self, outer: Checked, name: str, value: Any, depth: int) -> Condition:
        inside = outer.inside(name, value)
        if inside is None:
            return {}
        if "type" in inside.given:
            return self._leaf(inside)
        joiners = [key for key in (*GROUPS, "not") if key in inside.given]
        if len(joiners) != 1:
            outer.wrong(name, "must have one of: all, any, not, type")
        elif depth == MAX_DEPTH:
            outer.wrong(name, f"is nested too deeply (maximum is {MAX_DEPTH} levels)")
        elif joiners == ["not"]:
            return {"not": self.condition(inside, "not", inside.given["not"], depth + 1)}
        else:
            return {joiners[0]: self._group(inside, joiners[0], depth)}
        return {}

    def _group(self, inside: Checked, name: str, depth: int) -> list[Condition]:
        items = inside.given[name]
        if not isinstance(items, list):
            inside.wrong(name, "must be an array")
            return []
        if not items and (depth or name == "any"):  # at the top, all of nothing is everybody
            inside.wrong(name, "can't be empty")
        found = []
        for place, item in enumerate(items):
            if self.n_leaves > MAX_LEAVES:
                break
            found.append(self.condition(inside, f"{name}[{place}]", item, depth + 1))
        return found

    def _leaf(self, inside: Checked) -> Leaf:
        self.n_leaves += 1
        if self.n_leaves > MAX_LEAVES:
            return {}
        inside.choice("type", tuple(kinds.READERS))
        kind = inside.values.get("type")
        if kind is None:
            return {}
        found: Leaf = {"type": kind, **kinds.READERS[kind](inside)}
        for member, thing, ids in kinds.named(found):
            self._named.append((inside, member, thing, ids))
        return found

    def refuse_unknown(self) -> None:
        wanted: dict[str, set[int]] = defaultdict(set)
        for _, _, kind, ids in self._named:
            wanted[kind].update(ids)
        known = {kind: set(self._known(kind, ids)) for kind, ids in wanted.items()}
        for inside, member, kind, ids in self._named:
            for unknown in sorted(set(ids) - known[kind]):
                inside.wrong(member, f"contains the unknown {kinds.noun(kind)} {unknown}")


# --- Looking at what was read -------------------------------------------------------------------------------------


def of_match(given: Mapping[str, Any]) -> Condition:
    """What a segment's old form says, in the grammar. Its empty list is everybody."""
    return matches.translated(given)


def plain(condition: Mapping[str, Any]) -> Condition:
    """In the grammar, whichever form it has."""
    return of_match(condition) if matches.is_one(condition) else dict(condition)


def leaves(condition: Mapping[str, Any] | None) -> Iterator[Leaf]:
    """In the order in which they stand."""
    if condition is None:
        return
    here = plain(condition)
    if "type" in here:
        yield here
    elif "not" in here:
        yield from leaves(here["not"])
    else:
        for part in here["all"] if "all" in here else here["any"]:
            yield from leaves(part)


def things(condition: Mapping[str, Any] | None) -> frozenset[Thing]:
    """All that it names: ("tag", 3), ("email", 12)."""
    found = (named for leaf in leaves(condition) for named in kinds.named(leaf))
    return frozenset((kind, pk) for _, kind, ids in found for pk in ids)
