"""A list to search and tick (`_picker.html`, pick.js): tags, sequences, forms, as many as there are."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower

from dripstone.web.forms import Form

SHOWN = 1_000  # the API takes any


@dataclass(frozen=True, slots=True)
class Picker:
    """name     of the member that it fills
    rows     (id, name, chosen?): the chosen first
    is_cut   there are more than can be listed
    """

    name: str
    label: str
    rows: list[tuple[int, str, bool]]
    n_chosen: int
    is_cut: bool


def picker(name: str, label: str, rows: QuerySet[Any], form: Form, column: str = "name") -> Picker:
    """rows     of the account, with a name in `column`
    form     whose value of the member is ids, perhaps of things that are gone
    """
    chosen = ids_in(form.values.get(name, ()))
    named = dict(rows.filter(pk__in=chosen).order_by(Lower(column)).values_list("pk", column))
    others = list(rows.exclude(pk__in=chosen).order_by(Lower(column)).values_list("pk", column)[: SHOWN + 1])
    gone = [(pk, f"number {pk}, which is gone", True) for pk in sorted(chosen - set(named))]
    ticked = [*((pk, called, True) for pk, called in named.items()), *gone]
    unticked = [(pk, called, False) for pk, called in others[:SHOWN]]
    return Picker(name, label, [*ticked, *unticked], len(ticked), len(others) > SHOWN)


def ids_in(values: Collection[Any]) -> set[int]:
    return {int(one) for one in values if str(one).isdecimal() and len(str(one)) < 19}
