"""Segments: saved filters over tags, forms, sequences and custom fields. engine/audience.py finds the people in one.

    {"match": "all" | "any", "conditions": [
        {"type": "tag" | "form" | "sequence", "operator": "in" | "not_in", "ids": [3]},
        {"type": "field", "operator": "equals" | "not_equals" | "contains" | "is_set" | "is_not_set",
         "key": "company", "value": "Acme"}]}

Kept with `field_id`, the field's id as text, in place of `key`: a rename changes no segment.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from dripstone.given import MAX_NAME, Checked, Given
from dripstone.subscribers.models import CustomField, Form, Segment, Tag

MAX_CONDITIONS = 100  # each is a query whenever somebody is looked at
MAX_VALUE = 65_536  # characters; a person's values are no longer
MATCHES = ("all", "any")
SOURCES = ("tag", "form", "sequence")
TYPES = (*SOURCES, "field")
SOURCE_OPERATORS = ("in", "not_in")
VALUE_OPERATORS = ("equals", "not_equals", "contains")
FIELD_OPERATORS = (*VALUE_OPERATORS, "is_set", "is_not_set")


def create(account_id: int, given: Given, now: datetime, *, sequence_ids: Collection[int]) -> Segment:
    """given          `name` and `filter`, as above; `match` is `all` unless it says otherwise
    sequence_ids   the account's sequences, which this package cannot see

    Raises Invalid with every problem.
    """
    read = Checked(given, required=("name", "filter"))
    read.name("name")
    saved: dict[str, Any] = {"match": MATCHES[0], "conditions": []}
    if filter := read.part("filter", required=("conditions",)):
        filter.choice("match", MATCHES)
        saved |= filter.values | {"conditions": _conditions(filter, account_id, sequence_ids)}
    return Segment.objects.create(account_id=account_id, name=read.sound()["name"], filter=saved, created_at=now)


def _conditions(filter: Checked, account_id: int, sequence_ids: Collection[int]) -> list[dict[str, Any]]:
    """The conditions as they are stored. Too many are refused before any of them is looked at."""
    given = filter.take("conditions")
    if isinstance(given, list) and len(given) <= MAX_CONDITIONS:
        numbered = enumerate(given)
        inside = (filter.inside(f"conditions[{place}]", one, required=("type", "operator")) for place, one in numbered)
        return [_condition(one, account_id, sequence_ids) for one in inside if one]
    if given is None:
        filter.blank("conditions")
    elif isinstance(given, list):
        filter.wrong("conditions", f"can't have more than {MAX_CONDITIONS} entries")
    else:
        filter.wrong("conditions", "must be an array")
    return []


def _condition(one: Checked, account_id: int, sequence_ids: Collection[int]) -> dict[str, Any]:
    one.choice("type", TYPES)
    one.text("operator")
    one.ids_or_null("ids")
    one.text_or_null("key", MAX_NAME)
    one.text_or_null("value", MAX_VALUE)
    kind, operator = one.values.get("type"), one.values.get("operator")
    operators = FIELD_OPERATORS if kind == "field" else SOURCE_OPERATORS
    if kind and operator is not None and operator not in operators:
        one.wrong("operator", f"must be one of: {', '.join(operators)}")
    if kind == "field":
        return {"type": kind, "operator": operator} | _of_field(one, account_id)
    return {"type": kind, "operator": operator} | _of_source(one, account_id, sequence_ids)


def _of_source(one: Checked, account_id: int, sequence_ids: Collection[int]) -> dict[str, Any]:
    kind, ids = one.values.get("type"), set(one.values.get("ids") or ())
    if kind and not ids and _is_sound(one, "ids"):
        one.blank("ids")
    for unknown in sorted(ids - _known(kind, ids, account_id, sequence_ids)) if kind else ():
        one.wrong("ids", f"contains the unknown {kind} {unknown}")
    return {"ids": sorted(ids)}


def _of_field(one: Checked, account_id: int) -> dict[str, Any]:
    key, value = one.values.get("key"), one.values.get("value")
    field = CustomField.objects.filter(account_id=account_id, key=key).first() if key else None
    if field is None and _is_sound(one, "key"):
        one.wrong("key", "is not the key of a custom field" if key else "can't be blank")
    saved = {"field_id": str(field.pk) if field else ""}
    if one.values.get("operator") not in VALUE_OPERATORS:
        return saved
    if value is None and _is_sound(one, "value"):
        one.blank("value")
    return saved | {"value": value}


def _is_sound(one: Checked, name: str) -> bool:
    """No problem has been found with the member so far. It may have been left out."""
    return name in one.values or name not in one.given


def _known(kind: str | None, ids: Collection[int], account_id: int, sequence_ids: Collection[int]) -> set[int]:
    if kind == "sequence":
        return set(ids) & set(sequence_ids)
    rows = (Form if kind == "form" else Tag)._default_manager.filter(account_id=account_id, pk__in=ids)
    return set(rows.values_list("pk", flat=True))
