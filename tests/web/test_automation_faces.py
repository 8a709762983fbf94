"""What stands in the boxes of a picture: short, and about what it is, also when that is gone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.automations import graph as graphs
from dripstone.automations import kinds
from dripstone.automations.graph import GraphNode
from dripstone.web import automation_faces as faces

NAMES = {
    ("sequence", 7): "Write better emails",
    ("tag", 3): "Course",
    ("form", 4): "News",
    ("custom_field", 5): "Birthday",
    ("automation", 2): "Win back",
    ("product", 6): "The book",
}
UNTIL = {"custom_field_id": 5, "days": -3, "hour": 9}
SPLIT = [{"if": {"type": "tags", "ids": [3]}}, {"if": {"type": "tags", "ids": [3]}}]

SAID: list[tuple[str, dict[str, Any], str, str]] = [
    (kinds.SEQUENCE, {"sequence_id": 7, "wait": "completed"}, "Write better emails", "sequence, until completed"),
    (kinds.SEQUENCE, {"sequence_id": 7, "wait": "last_email"}, "Write better emails", "sequence, until its last email"),
    (kinds.SEQUENCE, {"sequence_id": 7, "wait": False}, "Write better emails", "sequence, going on at once"),
    (kinds.SEQUENCE, {"sequence_id": 8, "wait": False}, "Number 8, which is gone", "sequence, going on at once"),
    (kinds.WAIT, {"for": {"days": 3}}, "Wait 3 days", ""),
    (kinds.WAIT, {"until": {"weekdays": ["monday", "friday"], "hour": 9}}, "Wait for Mon and Fri", "at 9:00"),
    (kinds.WAIT, {"until": {"at": "2026-12-24T18:00:00+01:00"}}, "Wait", "until 24 December 2026, 18:00"),
    (kinds.WAIT, {"until": UNTIL}, "Wait for Birthday", "3 days before, at 9:00"),
    (kinds.TAG, {"tag_id": 3}, "Add tag “Course”", ""),
    (kinds.UNTAG, {"tag_id": 3}, "Take away “Course”", ""),
    (kinds.FORM, {"form_id": 4}, "Onto form “News”", ""),
    (kinds.FIELD, {"custom_field_id": 5, "value": "1 May"}, "Set “Birthday”", "to “1 May”"),
    (kinds.FIELD, {"custom_field_id": 5, "value": ""}, "Empty “Birthday”", ""),
    (kinds.UNSUBSCRIBE, {}, "Unsubscribe", "and nothing else"),
    (kinds.CONDITION, {"if": {"type": "tags", "ids": [3]}}, "Have tag “Course”?", "asked on arrival"),
    (
        kinds.CONDITION,
        {"if": {"type": "tags", "ids": [3]}, "within": {"days": 1}},
        "Have tag “Course”?",
        "within 1 day",
    ),
    (kinds.SPLIT, {"branches": [{"percent": 50}, {"percent": 50}]}, "Split into 2", "by chance"),
    (kinds.SPLIT, {"branches": SPLIT}, "Split into 3", "the first way that fits"),
    (kinds.EVENT, {"trigger": "purchased", "product_id": 6}, "Buys “The book”", "event, pulls forward"),
    (
        kinds.EVENT,
        {"trigger": "tag_added", "tag_id": 3, "within": {"weeks": 2}},
        "Gets tag “Course”",
        "event, for 2 weeks",
    ),
    (kinds.MOVE, {"automation_id": 2, "way": "in", "and_leave": True}, "Into “Win back”", "automation, and leave"),
    (kinds.MOVE, {"automation_id": 2, "way": "out", "and_leave": False}, "Out of “Win back”", "automation"),
    (kinds.CALL, {"url": "https://hooks.example.com/x?y", "body": ""}, "Call a URL", "hooks.example.com"),
    (kinds.MAIL_OWNER, {"text": "Somebody bought it"}, "Mail the owners", "“Somebody bought it”"),
]


@pytest.mark.parametrize(("kind", "settings", "title", "sub"), SAID)
def test_each_kind_has_a_face(kind: str, settings: dict[str, Any], title: str, sub: str) -> None:
    assert faces.of(GraphNode("a", kind, settings, {}), NAMES) == (title, sub)


def test_every_kind_is_tried() -> None:
    assert {kind for kind, *_ in SAID} == set(kinds.ALL)


def test_the_entry_says_its_first_trigger_and_how_many_others() -> None:
    def said(*entries: dict[str, Any]) -> tuple[str, str]:
        given = [{"id": str(place), **one} for place, one in enumerate(entries)]
        return faces.of_entry(graphs.from_json({"entries": given, "start": None, "nodes": []}), NAMES)

    tag, form, active = {"trigger": "tag_added", "tag_id": 3}, {"trigger": "form_joined", "form_id": 4}, "became_active"
    assert said() == ("Nobody enters by itself", "by hand, or by a move")
    assert said(tag) == ("Gets tag “Course”", "")
    assert said(tag, form) == ("Gets tag “Course”", "or joins form “News”")
    assert said(tag, form, {"trigger": active}) == ("Gets tag “Course”", "or one of 2 others")


@given(st.text(), st.integers(1, 40))
def test_what_is_cut_has_room(text: str, room: int) -> None:
    kept = faces.cut(text, room)
    whole = " ".join(text.split())
    assert kept == whole or (kept.endswith("…") and whole.startswith(kept[:-1]))
    assert faces.width_of(kept) <= max(room, 1.4) + 0.001


def test_wide_letters_take_two_places() -> None:
    assert faces.cut("鍾乳石の手紙", 9) == "鍾乳石…"


def test_a_list_has_room_for_the_whole_name() -> None:
    node = GraphNode("welcome", kinds.SEQUENCE, {"sequence_id": 7, "wait": "completed"}, {})
    names = {("sequence", 7): "From the welcome to the course"}
    assert faces.of(node, names).title == "From the welcome to the…"
    assert faces.title(node, names) == "From the welcome to the course"
