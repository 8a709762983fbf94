"""Segments: saved filters over tags, forms, sequences and custom fields. engine/audience.py says who is in one.

    {"match": "all" | "any", "conditions": [
        {"type": "tag" | "form" | "sequence", "operator": "in" | "not_in", "ids": [3]},
        {"type": "field", "operator": "equals" | "not_equals" | "contains" | "is_set" | "is_not_set",
         "key": "company", "value": "Acme"}]}

Kept with `field_id`, the field's id as text, in place of `key`: a rename changes no segment.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from dripstone.errors import Invalid
from dripstone.subscribers.models import CustomField, Form, Segment, Tag

SOURCES = ("tag", "form", "sequence")
SOURCE_OPERATORS = ("in", "not_in")
VALUE_OPERATORS = ("equals", "not_equals", "contains")
FIELD_OPERATORS = (*VALUE_OPERATORS, "is_set", "is_not_set")


def create(
    account_id: int, name: str, filter: Mapping[str, Any], now: datetime, *, sequence_ids: Collection[int]
) -> Segment:
    """sequence_ids   the account's sequences, which this package cannot see

    Raises Invalid with every problem of the filter.
    """
    problems: list[str] = []
    conditions = [
        _condition(f"filter.conditions[{number}]", condition, account_id, sequence_ids, problems)
        for number, condition in enumerate(filter["conditions"])
    ]
    if problems:
        raise Invalid(problems)
    saved = {"match": filter["match"], "conditions": conditions}
    return Segment.objects.create(account_id=account_id, name=name, filter=saved, created_at=now)


def _condition(
    where: str, condition: Mapping[str, Any], account_id: int, sequence_ids: Collection[int], problems: list[str]
) -> dict[str, Any]:
    """The condition as it is kept; what is wrong with it is added to `problems`."""
    is_field = condition["type"] == "field"
    operators = FIELD_OPERATORS if is_field else SOURCE_OPERATORS
    if condition["operator"] not in operators:
        problems.append(f"{where}.operator must be one of: {', '.join(operators)}")
    if is_field:
        return _field_condition(where, condition, account_id, problems)
    ids = condition.get("ids") or []
    if not ids:
        problems.append(f"{where}.ids can't be blank")
    unknown = sorted(set(ids) - _known(condition["type"], ids, account_id, sequence_ids))
    problems.extend(f"{where}.ids contains the unknown {condition['type']} {pk}" for pk in unknown)
    return {"type": condition["type"], "operator": condition["operator"], "ids": sorted(set(ids))}


def _field_condition(where: str, condition: Mapping[str, Any], account_id: int, problems: list[str]) -> dict[str, Any]:
    key, value = condition.get("key"), condition.get("value")
    field = CustomField.objects.filter(account_id=account_id, key=key).first() if key else None
    if field is None:
        problems.append(f"{where}.key is not the key of a custom field" if key else f"{where}.key can't be blank")
    if condition["operator"] in VALUE_OPERATORS and value is None:
        problems.append(f"{where}.value can't be blank")
    saved = {"type": "field", "operator": condition["operator"], "field_id": str(field.pk) if field else ""}
    return saved | ({"value": value} if condition["operator"] in VALUE_OPERATORS else {})


def _known(kind: str, ids: list[int], account_id: int, sequence_ids: Collection[int]) -> set[int]:
    if kind == "sequence":
        return set(ids) & set(sequence_ids)
    rows = {"tag": Tag, "form": Form}[kind].objects.filter(account_id=account_id, pk__in=ids)  # type: ignore[attr-defined]
    return set(rows.values_list("pk", flat=True))
