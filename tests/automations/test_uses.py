"""Where a thing stands in automations, so that nobody deletes it unawares."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.automations import uses, verbs
from dripstone.conditions import segments
from tests.automations.drawing import asking, automation, course, event, tagging, wait
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_account, make_sequence, make_tag
from tests.rules.making import has, tag_added

pytestmark = pytest.mark.django_db


def test_entries_nodes_and_conditions_name_things(alice: Account) -> None:
    a, b, sequence = make_tag(alice, name="A"), make_tag(alice, name="B"), make_sequence(alice, {})
    one = automation(
        alice, course("go", sequence, "ask"), asking("ask", has(a), yes="end", no="got"), event("got", tag_added(b)),
        tagging("end", a), when=tag_added(a),
    )  # fmt: skip
    [use] = uses.of(("tag", a.pk), alice.pk)
    assert (use.automation_id, use.parts, use.nodes) == (one.pk, ("entry", "node"), ("ask", "end"))
    assert use.words == "the automation “After the course”" and use.is_active and not use.is_draft
    [use] = uses.of(("tag", b.pk), alice.pk)
    assert (use.parts, use.nodes) == (("node",), ("got",))
    assert [use.nodes for use in uses.of(("sequence", sequence.pk), alice.pk)] == [("go",)]
    assert uses.of(("tag", a.pk + b.pk), alice.pk) == []
    assert uses.of(("tag", a.pk), make_account("Mallory").pk) == []


def test_a_segment_between_is_named(alice: Account) -> None:
    a = make_tag(alice, name="A")
    inner = segments.create(alice.pk, {"name": "Inner", "filter": has(a)}, NOW)
    outer = segments.create(alice.pk, {"name": "Outer", "filter": {"type": "segments", "ids": [inner.pk]}}, NOW)
    automation(alice, asking("ask", {"type": "segments", "ids": [outer.pk]}))
    [use] = uses.of(("tag", a.pk), alice.pk)
    assert use.through == (inner.pk, outer.pk) and use.nodes == ("ask",)
    [use] = uses.of(("segment", outer.pk), alice.pk)
    assert use.through == ()


def test_what_is_not_published_yet_counts_and_is_told_from_the_rest(alice: Account) -> None:
    a, b = make_tag(alice, name="A"), make_tag(alice, name="B")
    one = automation(alice, tagging("a", a))
    nodes = [tagging("a", a, "b"), tagging("b", b)]
    verbs.save_draft(one, {"entries": [], "start": "a", "nodes": nodes}, NOW)
    [published], [drafted] = (uses.of(("tag", tag.pk), alice.pk) for tag in (a, b))
    assert not published.is_draft
    assert drafted.is_draft and drafted.nodes == ("b",)


def test_automations_name_one_another(alice: Account) -> None:
    other = automation(alice, wait("w"), name="Other")
    moves = {"id": "m", "kind": "move", "automation_id": other.pk, "way": "in", "next": "ask"}
    inside = {"type": "automations", "ids": [other.pk], "place": "inside"}
    one = automation(alice, moves, asking("ask", inside))
    [use] = uses.of(("automation", other.pk), alice.pk)
    assert (use.automation_id, use.nodes) == (one.pk, ("m", "ask"))


def test_it_asks_no_more_for_many_than_for_one(alice: Account) -> None:
    tags = [make_tag(alice, name=f"T{number}") for number in range(4)]

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            uses.of_each([("tag", tag.pk) for tag in tags], alice.pk)
        return len(queries)

    automation(alice, tagging("a", tags[0]))
    few = n_queries()
    for tag in tags:
        automation(alice, asking("ask", has(tag), yes="a"), tagging("a", tag), when=tag_added(tag))
    assert n_queries() == few
