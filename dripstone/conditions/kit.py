"""Kit's filter of an account: who meets it, and why somebody may not be found.

Kit says nothing about what does not exist, so a filter that names it is answered. Where several are named, the others
are looked for; where nothing is left, or what is asked is not recorded, nobody is found. Nothing in this filter can be
turned into its opposite, so whoever is found would be found as well if it existed and were known.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.conditions import words
from dripstone.conditions.people import matching
from dripstone.conditions.sql import Distance
from dripstone.given import Checked
from dripstone.grammar import Leaf, kinds, kit, things
from dripstone.sequences.known import known
from dripstone.subscribers.models import Subscriber

There = Mapping[str, set[int]]


@dataclass(frozen=True, slots=True)
class Filter:
    """leaves     what is left of the filter; None: nobody can be found
    warnings   a sentence for each reason why somebody may not be
    """

    leaves: list[Leaf] | None
    warnings: list[str]

    def people(self, account: Account, now: datetime) -> QuerySet[Subscriber]:
        """Of every state, unless the filter names some."""
        found = matching({"all": self.leaves or []}, account, now)
        return found.none() if self.leaves is None else found

    @property
    def distance(self) -> Distance | None:
        """Of a person from the place that the first condition about a place names; None if none does."""
        places = [leaf for leaf in self.leaves or () if "radius" in leaf]
        return Distance(places[0]["latitude"], places[0]["longitude"]) if places else None


def read(given: Checked, account_id: int) -> Filter:
    """The members `all` and `counting_mode`. What is wrong with them joins the problems of `given`."""
    leaves = kit.read(given)
    if given.problems:
        return Filter(None, [])
    there = _there(leaves, account_id)
    left = [_left_of(leaf, there) for leaf in leaves]
    sound = [leaf for leaf in left if leaf is not None]
    return Filter(sound if len(sound) == len(left) else None, list(_warnings(leaves, there)))


def _there(leaves: Iterable[Leaf], account_id: int) -> There:
    """What exists of all that they name: a query for each kind of thing."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for kind, pk in things({"all": [*leaves]}):
        wanted[kind].add(pk)
    among = known(account_id)
    return {kind: set(among(kind, ids)) for kind, ids in wanted.items()}


def _warnings(leaves: Iterable[Leaf], there: There) -> Iterator[str]:
    for kind, pk in sorted(things({"all": [*leaves]})):
        if pk not in there[kind]:
            yield f"Nobody is found by the {kinds.noun(kind)} {pk}: there is none with this id."
    if nothing := words.nothing_yet(sorted({kind for leaf in leaves for kind in kinds.unrecorded(leaf)})):
        yield nothing


def _left_of(leaf: Leaf, there: There) -> Leaf | None:
    """Without what does not exist, and without parts that nothing is recorded about; None where nothing is left."""
    if leaf["type"] in kinds.unrecorded(leaf):
        return None
    if leaf["type"] == kinds.FIELD:
        return leaf if leaf["subscriber_custom_field_id"] in there["custom_field"] else None
    if "any" in leaf:
        parts = [part for one in leaf["any"] if (part := _part_left(one, there)) is not None]
        return leaf | {"any": parts} if parts else None
    return _with_ids(leaf, there["tag"]) if leaf["type"] == kinds.TAGS else leaf


def _part_left(part: Leaf, there: There) -> Leaf | None:
    if not kinds.is_recorded(part):
        return None
    kind = part["type"].removesuffix("s")
    return _with_ids(part, there[kind]) if kind in there else part


def _with_ids(named: Leaf, there: Collection[int]) -> Leaf | None:
    ids = [pk for pk in named["ids"] if pk in there]
    return named | {"ids": ids} if ids else None
