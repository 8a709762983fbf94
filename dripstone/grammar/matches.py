"""The form that a segment's filter had before there was a grammar. It is still taken, and given back as it was given.

    {"match": "all" | "any", "conditions": [
        {"type": "tag" | "form" | "sequence", "operator": "in" | "not_in", "ids": [3]},
        {"type": "field", "operator": "equals" | "not_equals" | "contains" | "is_set" | "is_not_set",
         "key": "company", "value": "Acme"}]}

Kept with `field_id`, the field's id as text, in place of `key`: a rename changes no segment. People are in a sequence,
in this form, from entry on and for ever once they completed it; not after they were taken out.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from dripstone.given import MAX_NAME, Checked
from dripstone.grammar import kinds

MAX_CONDITIONS = 100
MATCHES = ("all", "any")
SOURCES = {"tag": kinds.TAGS, "form": kinds.FORMS, "sequence": kinds.SEQUENCES}
TYPES = (*SOURCES, "field")
SOURCE_OPERATORS = ("in", "not_in")
VALUE_OPERATORS = ("equals", "not_equals", "contains")
FIELD_OPERATORS = (*VALUE_OPERATORS, "is_set", "is_not_set")

Known = Callable[[str, Collection[int]], Collection[int]]
FieldIds = Callable[[Collection[str]], Mapping[str, int]]
"""Keys of custom fields → the ids of those that exist."""


def is_one(given: Any) -> bool:
    return isinstance(given, Mapping) and ("conditions" in given or "match" in given)


# --- Reading ------------------------------------------------------------------------------------------------------


def read(filter: Checked, known: Known, field_ids: FieldIds) -> dict[str, Any]:
    """The filter as it is kept. Its problems are those of `filter`."""
    filter.choice("match", MATCHES)
    read = [(one, _shape(one)) for one in _conditions(filter)]
    wanted: dict[str, set[int]] = defaultdict(set)
    for one, kept in read:
        wanted[str(kept["type"])].update(one.values.get("ids") or ())
    there = {kind: set(known(kind, ids)) for kind, ids in wanted.items() if kind in SOURCES and ids}
    fields = field_ids([one.values["key"] for one, kept in read if kept["type"] == "field" and one.values.get("key")])
    conditions = [
        kept | (_field(one, fields) if kept["type"] == "field" else _source(one, there.get(kept["type"], set())))
        for one, kept in read
    ]
    return {"match": filter.values.get("match", MATCHES[0]), "conditions": conditions}


def _conditions(filter: Checked) -> Iterator[Checked]:
    """Too many are refused before any of them is looked at."""
    given = filter.take("conditions")
    if given is None:
        filter.blank("conditions")
    elif not isinstance(given, list):
        filter.wrong("conditions", "must be an array")
    elif len(given) > MAX_CONDITIONS:
        filter.wrong("conditions", f"can't have more than {MAX_CONDITIONS} entries")
    else:
        numbered = enumerate(given)
        inside = (filter.inside(f"conditions[{place}]", one, required=("type", "operator")) for place, one in numbered)
        yield from (one for one in inside if one)


def _shape(one: Checked) -> dict[str, Any]:
    one.choice("type", TYPES)
    one.text("operator")
    one.ids_or_null("ids")
    one.text_or_null("key", MAX_NAME)
    one.text_or_null("value", kinds.MAX_VALUE)
    kind, operator = one.values.get("type"), one.values.get("operator")
    operators = FIELD_OPERATORS if kind == "field" else SOURCE_OPERATORS
    if kind and operator is not None and operator not in operators:
        one.wrong("operator", f"must be one of: {', '.join(operators)}")
    return {"type": kind, "operator": operator}


def _source(one: Checked, there: Collection[int]) -> dict[str, Any]:
    kind, ids = one.values.get("type"), set(one.values.get("ids") or ())
    if kind and not ids and kinds.is_sound(one, "ids"):
        one.blank("ids")
    for unknown in sorted(ids - set(there)) if kind else ():
        one.wrong("ids", f"contains the unknown {kind} {unknown}")
    return {"ids": sorted(ids)}


def _field(one: Checked, fields: Mapping[str, int]) -> dict[str, Any]:
    key, value = one.values.get("key"), one.values.get("value")
    if key not in fields and kinds.is_sound(one, "key"):
        one.wrong("key", "is not the key of a custom field" if key else "can't be blank")
    kept = {"field_id": str(fields.get(key or "", ""))}
    if one.values.get("operator") not in VALUE_OPERATORS:
        return kept
    if value is None and kinds.is_sound(one, "value"):
        one.blank("value")
    return kept | {"value": value}


# --- Using --------------------------------------------------------------------------------------------------------


def translated(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What it says, in the grammar. Without conditions it is everybody, whatever `match` says."""
    conditions = [_translated(one) for one in kept["conditions"]]
    return {kept["match"] if conditions else "all": conditions}


def _translated(one: Mapping[str, Any]) -> dict[str, Any]:
    operator = one["operator"]
    if one["type"] == "sequence":
        places = ("inside", "completed")
        leaf: dict[str, Any] = {"any": [{"type": kinds.SEQUENCES, "ids": one["ids"], "place": at} for at in places]}
    elif one["type"] == "field":
        leaf = {"type": kinds.FIELD, "subscriber_custom_field_id": int(one["field_id"])} | _comparison(one)
    else:
        leaf = {"type": SOURCES[one["type"]], "ids": one["ids"]}
    return {"not": leaf} if operator in ("not_in", "not_equals", "is_not_set") else leaf


def _comparison(one: Mapping[str, Any]) -> dict[str, Any]:
    match one["operator"]:
        case "equals" | "not_equals":
            return {"comparison": "is", "value": one["value"]}
        case "contains":
            return {"comparison": "contains", "value": one["value"]}
    return {"comparison": "has_value"}
