"""What readers of triggers and actions share: lists of objects, and the things that they name."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from dripstone import grammar
from dripstone.given import Checked
from dripstone.grammar import Thing, kinds
from dripstone.sequences.known import known

MOST: Final = 20  # triggers or actions of one rule

MEMBERS: Mapping[str, str] = {
    "tag_id": "tag",
    "form_id": "form",
    "sequence_id": "sequence",
    "product_id": "product",
    "custom_field_id": "custom_field",
    "automation_id": "automation",
}
"""A member that names a thing, and of which kind."""


def items(given: object, member: str) -> tuple[Checked, list[Checked]]:
    """Whoever collects the problems, and the objects of a list, which may be JSON in a member of a form."""
    outer = Checked({member: given})
    value = grammar.from_json(given)
    if value is None:
        outer.blank(member)
    elif not isinstance(value, list):
        outer.wrong(member, "must be an array")
    elif not value:
        outer.wrong(member, "can't be empty")
    elif len(value) > MOST:
        outer.wrong(member, f"can't have more than {MOST} entries")
    else:
        found = (outer.inside(f"{member}[{place}]", one) for place, one in enumerate(value))
        return outer, [one for one in found if one is not None]
    return outer, []


def thing(read: Checked, name: str, *, may_be_any: bool = False) -> dict[str, int]:
    """The id in this member; nothing where any of the kind will do, or there is a problem."""
    if may_be_any:
        read.drop_nulls(name)
    elif name not in read.given:
        read.blank(name)
    read.id(name)
    return {name: read.values[name]} if name in read.values else {}


def named(kept: Mapping[str, Any]) -> Iterator[tuple[str, Thing]]:
    """The members that name a thing, each with it."""
    for name, kind in MEMBERS.items():
        if kept.get(name) is not None:
            yield name, (kind, kept[name])


def refuse_unknown(
    read: Collection[tuple[Checked, Mapping[str, Any]]], account_id: int, may_be_gone: Collection[Thing]
) -> None:
    """What does not exist in the account, each a problem of its own. A query for each kind of thing.

    may_be_gone   what stood there before: it may be written back
    """
    wanted: dict[str, set[int]] = {}
    for _, kept in read:
        for _, (kind, pk) in named(kept):
            wanted.setdefault(kind, set()).add(pk)
    exists = known(account_id)
    there = {(kind, pk) for kind, ids in wanted.items() for pk in exists(kind, ids)} | set(may_be_gone)
    for one, kept in read:
        for name, (kind, pk) in named(kept):
            if (kind, pk) not in there:
                one.refuse(name, f"{one.path(name)}: {kinds.noun(kind)} {pk} does not exist")


def text(read: Checked, name: str) -> str | None:
    """A text that says something, or None. A number that stands there as one is taken for its text."""
    value = read.given.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    read.text_or_null(name, kinds.MAX_VALUE)
    found: str | None = read.values.get(name)
    return found


def each_once(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those that say the same as one before."""
    return [one for place, one in enumerate(kept) if one not in kept[:place]]
