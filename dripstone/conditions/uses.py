"""Where a thing stands in conditions: what is met by nobody once it is deleted, and whom an exclusion then excludes.

A page that asks before a deletion names these, and the API refuses to delete a segment that stands somewhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from dripstone import grammar, words
from dripstone.grammar import Thing
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Segment

Namer = TypeVar("Namer")
Kind = Literal["segment", "exclusion", "filter"]


@dataclass(frozen=True, slots=True)
class Use:
    """A segment, an exclusion of a sequence, or the filter of an email.

    pk        of the segment, the sequence or the email
    name      its name or subject
    through   ids of the segments through which it names the thing; () where it names it itself
    """

    kind: Kind
    pk: int
    name: str
    through: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """`the segment “Readers”`."""
        return f"{_WORDS[self.kind]} {words.title(self.name)}"


_WORDS = {
    "segment": "the segment",
    "exclusion": "the exclusions of the sequence",
    "filter": "the filter of the email",
}


def of(thing: Thing, account_id: int) -> list[Use]:
    """Those that name it themselves first, each once."""
    return of_each([thing], account_id)[thing]


def namers(
    things: Iterable[Thing], account_id: int, naming: Mapping[Thing, list[Namer]], key: Callable[[Namer], int]
) -> dict[Thing, list[tuple[Namer, tuple[int, ...]]]]:
    """What else than a condition names each: rules, automations. Itself, or through segments that say something of it,
    whose ids stand beside it. Each once, those that name it themselves first.

    naming   what names a thing itself
    """
    asked = list(things)
    found = of_each(asked, account_id) if naming else {}
    return {thing: list(_namers(thing, found.get(thing, ()), naming, key)) for thing in asked}


def _namers(
    thing: Thing, found: Iterable[Use], naming: Mapping[Thing, list[Namer]], key: Callable[[Namer], int]
) -> Iterator[tuple[Namer, tuple[int, ...]]]:
    seen: set[int] = set()
    segments = ((("segment", use.pk), (*use.through, use.pk)) for use in found if use.kind == "segment")
    for named, through in ((thing, ()), *segments):
        for one in naming.get(named, ()):
            if key(one) not in seen:
                seen.add(key(one))
                yield one, through


def of_each(things: Iterable[Thing], account_id: int) -> dict[Thing, list[Use]]:
    """The same for many things: a query for each kind of use, however many there are."""
    direct: dict[Thing, list[Use]] = defaultdict(list)
    for use, named in _all(account_id):
        for thing in named:
            direct[thing].append(use)
    return {thing: list(_reached(thing, direct)) for thing in things}


def _reached(thing: Thing, direct: Mapping[Thing, list[Use]]) -> Iterator[Use]:
    """Breadth first, so that the shortest way counts."""
    level: list[tuple[Thing, tuple[int, ...]]] = [(thing, ())]
    seen: set[tuple[str, int]] = set()
    while level:
        further = []
        for one, through in level:
            for use in direct.get(one, ()):
                if (use.kind, use.pk) in seen:
                    continue
                seen.add((use.kind, use.pk))
                yield Use(use.kind, use.pk, use.name, through)
                if use.kind == "segment":
                    further.append((("segment", use.pk), (*through, use.pk)))
        level = further


def _all(account_id: int) -> Iterator[tuple[Use, frozenset[Thing]]]:
    """Every use there is in the account, and what it names itself."""
    segments = Segment.objects.filter(account_id=account_id).order_by("name", "pk")
    for pk, name, filter in segments.values_list("pk", "name", "filter"):
        yield Use("segment", pk, name), grammar.things(filter)
    sequences = Sequence.objects.filter(account_id=account_id, deleted_at=None).order_by("name", "pk")
    for pk, name, sources in sequences.values_list("pk", "name", "exclude_subscriber_sources"):
        yield Use("exclusion", pk, name), frozenset((one["type"], item) for one in sources for item in one["ids"])
    emails = SequenceEmail.objects.filter(account_id=account_id, deleted_at=None, sequence__deleted_at=None)
    filtered = emails.filter(filter__isnull=False).order_by("sequence__name", "sequence", "position")
    for pk, subject, filter in filtered.values_list("pk", "subject", "filter"):
        yield Use("filter", pk, subject), grammar.things(filter)
