"""Reads a condition that somebody gave for an account: in the grammar, or in the old form of a segment's filter."""

from collections.abc import Collection, Mapping
from typing import Any

from dripstone import grammar
from dripstone.conditions.people import MAX_EXPANDED, expanded
from dripstone.given import ABSENT, Checked
from dripstone.grammar import Condition, Known, matches
from dripstone.sequences import known
from dripstone.subscribers.models import CustomField


def read(given: Checked, name: str, account_id: int, *, exists: Known | None = None) -> Condition | None:
    """As it is to be kept; None for null, for a member that is not there, and where there are problems, which join
    those of `given`.

    exists   what may be named; what is there in the account, unless given
    """
    exists = exists or known.known(account_id)
    value = given.take(name, grammar.from_json)
    if value is ABSENT or value is None:
        return None
    if not matches.is_one(value):
        found = grammar.read(given, name, exists)
        names_segments = any(kind == "segment" for kind, _ in grammar.things(found))
        if found is not None and names_segments and expanded(found, account_id).is_too_large:
            given.wrong(name, f"has more than {MAX_EXPANDED} conditions with those of the segments that it names")
        return found
    n_problems = len(given.problems)
    filter = given.inside(name, value, required=("conditions",))
    kept = matches.read(filter, exists, _field_ids(account_id)) if filter else None
    return kept if len(given.problems) == n_problems else None


def _field_ids(account_id: int) -> matches.FieldIds:
    def ids(keys: Collection[str]) -> Mapping[str, int]:
        rows = CustomField.objects.filter(account_id=account_id, key__in=keys)
        return dict(rows.values_list("key", "pk")) if keys else {}

    return ids


def as_given(kept: Condition, account_id: int) -> Condition:
    """What a caller may give back: in the old form fields go by their keys of today, null where one is gone."""
    if not matches.is_one(kept):
        return kept
    ids = [int(one["field_id"]) for one in kept["conditions"] if "field_id" in one]
    rows = CustomField.objects.filter(account_id=account_id, pk__in=ids)
    keys = dict(rows.values_list("pk", "key")) if ids else {}
    return {**kept, "conditions": [_with_key(one, keys) for one in kept["conditions"]]}


def _with_key(one: Mapping[str, Any], keys: Mapping[int, str]) -> dict[str, Any]:
    if "field_id" not in one:
        return dict(one)
    rest = {name: value for name, value in one.items() if name not in ("type", "operator", "field_id")}
    return {"type": one["type"], "operator": one["operator"], "key": keys.get(int(one["field_id"])), **rest}
