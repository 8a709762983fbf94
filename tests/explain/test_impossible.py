"""Conditions that nobody can meet, whatever there is."""

from typing import Any

import pytest

from dripstone.explain import impossible
from dripstone.grammar import Condition

NAMES = {("tag", 1): "A", ("tag", 2): "B", ("form", 1): "News"}


def has(*ids: int, **more: Any) -> Condition:
    return {"type": "tags", "ids": list(ids), **more}


def is_in(*states: str) -> Condition:
    return {"type": "subscriber_state", "states": list(states)}


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (
            {"all": [has(1), {"not": has(1)}]},
            "Nobody can have the tag “A” and not have the tag “A” at once.",
        ),
        (
            {"all": [{"all": [{"not": has(1, 2)}, is_in("active")]}, has(2)]},
            "Nobody can not have the tag “A” or “B” and have the tag “B” at once.",
        ),
        (
            {"all": [has(1, 2, has="all"), {"not": has(2)}]},
            "Nobody can have all of the tags “A” and “B” and not have the tag “B” at once.",
        ),
        (
            {"all": [is_in("active", "bounced"), is_in("cancelled")]},
            "Nobody who comes here can be one of those who unsubscribed.",
        ),
    ],
)
def test_a_contradiction_is_told(condition: Condition, why: str) -> None:
    assert impossible.why(condition, NAMES) == why


@pytest.mark.parametrize(
    "condition",
    [
        {"all": []},
        has(1),
        {"not": has(1)},
        {"any": [has(1), {"not": has(1)}]},
        {"all": [has(1), {"not": has(2)}]},
        {"all": [has(1, 2), {"not": has(2)}]},
        {"all": [{"type": "forms", "ids": [1]}, {"not": has(1)}]},
        is_in("active", "inactive"),
    ],
)
def test_what_people_may_meet_is_not(condition: Condition) -> None:
    assert impossible.why(condition, NAMES) == ""


def test_whoever_walks_is_active() -> None:
    nobody = is_in("cancelled", "bounced")
    assert impossible.why(nobody, NAMES) == ""
    assert impossible.why(nobody, NAMES, states=["active"]).startswith("Nobody who comes here can")
