"""Kit's filter (`POST /v4/subscribers/filter`), read into the grammar: a list of conditions, all of which must be met.

    [{"type": "tags", "any": [{"type": "ids", "matching": [3]}]}, {"type": "sent", "count_greater_than": 5}]

Most of them are leaves of the grammar as they stand. What differs: how tags are named; that a day begins what comes
after it, as an instant does in Kit's lists; that a radius is that of a box; and `counting_mode`, said once for all.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from dripstone.given import ABSENT, Checked
from dripstone.grammar import MAX_LEAVES, Leaf, kinds

MAIL: Final = (kinds.OPENS, kinds.CLICKS, kinds.SENT, kinds.DELIVERED)
COUNTING_MODES: Final = ("raw", kinds.UNIQUE_EMAIL)


def read(given: Checked) -> list[Leaf]:
    """The leaves of `all`. Their problems join those of `given`, each with its path: `all[0].any[0].matching`."""
    given.drop_nulls("counting_mode")
    given.choice("counting_mode", COUNTING_MODES)
    mode = given.values.get("counting_mode", COUNTING_MODES[0])
    value = given.take("all")
    if value is None or value is ABSENT:
        given.blank("all")
    elif not isinstance(value, list):
        given.wrong("all", "must be an array")
    elif len(value) > MAX_LEAVES:
        given.wrong("all", f"can't have more than {MAX_LEAVES} conditions")
    else:
        inside = (given.inside(f"all[{place}]", item) for place, item in enumerate(value))
        return [leaf for one in inside if one is not None and (leaf := _leaf(one, mode))]
    return []


def _leaf(read: Checked, mode: str) -> Leaf | None:
    if read.given.get("type") is None:
        read.blank("type")
        return None
    read.choice("type", READERS)
    kind = read.values.get("type")
    if kind is None:
        return None
    leaf: Leaf = {"type": kind, **READERS[kind](read)}
    if leaf.get("after"):
        leaf["after"] = (date.fromisoformat(leaf["after"]) - timedelta(days=1)).isoformat()
    if kind in MAIL:
        leaf["counting_mode"] = mode
    if "radius" in leaf:
        leaf["is_box"] = True
    return leaf


def _tags(read: Checked) -> dict[str, Any]:
    if read.given.get("any") is None:
        read.blank("any")
    parts = kinds.alternatives(read, {"ids": lambda one: {"ids": kinds.ids(one, "matching")}})
    return {"ids": list(dict.fromkeys(pk for part in parts for pk in part["ids"]))}


READERS: Mapping[str, Callable[[Checked], dict[str, Any]]] = {
    **{kind: kinds.READERS[kind] for kind in (*MAIL, kinds.SUBSCRIBED, kinds.STATE)},
    kinds.TAGS: _tags,
    **{kind: kinds.READERS[kind] for kind in (kinds.ATTRIBUTION, kinds.FIELD, kinds.LOCATION)},
}
