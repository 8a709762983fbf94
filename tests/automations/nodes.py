"""Nodes, triggers and conditions in one line, as the API takes them."""

from typing import Any

Node = dict[str, Any]


def wait(key: str, to: str | None = None, **how_long: int) -> Node:
    """`wait("w", "x", days=2)`"""
    return {"id": key, "kind": "wait", "for": how_long, "next": to}


def until(key: str, to: str | None = None, otherwise: str | None = None, **when: Any) -> Node:
    """`at`, `weekdays` and `hour`, or `custom_field_id`, `days` and `hour`"""
    last = {"otherwise": otherwise} if "custom_field_id" in when else {}
    return {"id": key, "kind": "wait", "until": when, "next": to, **last}


def tag(key: str, tag_id: int, to: str | None = None) -> Node:
    return {"id": key, "kind": "tag", "tag_id": tag_id, "next": to}


def untag(key: str, tag_id: int, to: str | None = None) -> Node:
    return {"id": key, "kind": "untag", "tag_id": tag_id, "next": to}


def fill(key: str, field_id: int, value: str | None, to: str | None = None) -> Node:
    return {"id": key, "kind": "field", "custom_field_id": field_id, "value": value, "next": to}


def sequence(key: str, sequence_id: int, to: str | None = None, wait: Any = "completed") -> Node:
    return {"id": key, "kind": "sequence", "sequence_id": sequence_id, "wait": wait, "next": to}


def ask(key: str, condition: Any, yes: str | None = None, no: str | None = None, **within: int) -> Node:
    limit = {"within": within} if within else {}
    return {"id": key, "kind": "condition", "if": condition, "yes": yes, "no": no, **limit}


def event(
    key: str, trigger: Node, to: str | None = None, *, already: bool | None = None, otherwise: str | None = None,
    **within: int,
) -> Node:  # fmt: skip
    node = {"id": key, "kind": "event", **trigger, "next": to}
    if already is not None:
        node["already"] = already
    return node | ({"within": within, "otherwise": otherwise} if within else {})


def shares(key: str, *branches: tuple[int, str | None]) -> Node:
    """`shares("s", (50, "a"), (50, None))`"""
    return {"id": key, "kind": "split", "branches": [{"percent": percent, "next": to} for percent, to in branches]}


def sort(key: str, *branches: tuple[Any, str | None], otherwise: str | None = None) -> Node:
    """`sort("s", (has(tag), "a"), otherwise="b")`"""
    found = [{"if": condition, "next": to} for condition, to in branches]
    return {"id": key, "kind": "split", "branches": found, "otherwise": otherwise}


def move(key: str, automation_id: int, way: str, to: str | None = None, *, and_leave: bool = False) -> Node:
    node = {"id": key, "kind": "move", "automation_id": automation_id, "way": way, "next": to}
    return node | ({"and_leave": True} if and_leave else {})


def unsubscribe(key: str) -> Node:
    return {"id": key, "kind": "unsubscribe"}


def call(key: str, to: str | None = None) -> Node:
    return {"id": key, "kind": "call", "url": "https://example.com/in", "next": to}


def mail_owner(key: str, to: str | None = None) -> Node:
    return {"id": key, "kind": "mail_owner", "text": "Somebody is here", "next": to}


# --- Triggers -----------------------------------------------------------------------------------------------------


def tagged(tag_id: int) -> Node:
    return {"trigger": "tag_added", "tag_id": tag_id}


def untagged(tag_id: int) -> Node:
    return {"trigger": "tag_removed", "tag_id": tag_id}


def completed(sequence_id: int) -> Node:
    return {"trigger": "sequence_completed", "sequence_id": sequence_id}


def reached(field_id: int, days: int = 0, hour: int = 9, *, yearly: bool = False) -> Node:
    return {"trigger": "field_date", "custom_field_id": field_id, "days": days, "hour": hour, "yearly": yearly}


def on_date(at: str) -> Node:
    return {"trigger": "date", "at": at}


ACTIVE: Node = {"trigger": "became_active"}


# --- Conditions ---------------------------------------------------------------------------------------------------


def has(*tag_ids: int) -> Node:
    return {"type": "tags", "ids": list(tag_ids)}


def lacks(tag_id: int) -> Node:
    return {"not": has(tag_id)}
