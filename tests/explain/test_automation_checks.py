"""What is wrong with an automation: each finding with its node, and a way to mend it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account, SendingAddress
from dripstone.automations import beginnings, templates, verbs
from dripstone.automations import graph as graphs
from dripstone.automations.models import Automation
from dripstone.automations.templates import Template
from dripstone.conditions import segments
from dripstone.events import causes
from dripstone.explain import automation_checks, rule_checks
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, tags
from dripstone.subscribers.models import Tag
from tests.automations.drawing import (
    asking,
    automation,
    course,
    event,
    logged,
    shares,
    tagging,
    until,
    wait,
)  # fmt: skip
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_email, make_sequence, make_subscriber, make_tag
from tests.rules.making import has, rule, tag, tag_added

pytestmark = pytest.mark.django_db


@pytest.fixture
def a(alice: Account) -> Tag:
    return make_tag(alice, make_subscriber(alice), name="A")


@pytest.fixture
def b(alice: Account) -> Tag:
    return make_tag(alice, make_subscriber(alice), name="B")


def found(one: Automation) -> dict[str, Finding]:
    findings = automation_checks.of([one], one.account, NOW)[one.pk]
    assert all(finding.mend or finding.mend_by for finding in findings if finding.code not in _SELF_EVIDENT)
    return {finding.code: finding for finding in findings}


_SELF_EVIDENT = ("tag_nothing_adds", "trigger_gone", "trigger_not_recorded", "form_closed", "was_cut")


def nodes_of(one: Automation, code: str) -> list[str]:
    findings = automation_checks.of([one], one.account, NOW)[one.pk]
    return [finding.node for finding in findings if finding.code == code]


def test_nothing_is_wrong_with_a_sound_automation(alice: Account, a: Tag, b: Tag) -> None:
    sequence = make_sequence(alice, {})
    one = automation(
        alice, course("go", sequence, "pause"), wait("pause", "ask"),
        asking("ask", has(b), yes="end", no="end", days=2), tagging("end", b), when=tag_added(a),
    )  # fmt: skip
    assert found(one) == {}


def test_ways_that_lead_nowhere_are_told(alice: Account, a: Tag, b: Tag) -> None:
    early = automation(alice, asking("ask", has(b), yes=None, no="end"), tagging("end", b), when=tag_added(a))
    assert found(early)["leads_nowhere"].sentence == (
        "Whoever goes by “yes” leaves before anything has happened to them."
    )
    assert (found(early)["leads_nowhere"].node, found(early)["leads_nowhere"].severity) == ("ask", NOTICE)
    late = automation(
        alice, tagging("t", b, "ask"), asking("ask", has(b), no="end"), tagging("end", a), when=tag_added(a)
    )
    assert "leads_nowhere" not in found(late), "something has happened by then"
    useless = automation(alice, asking("ask", has(b)), when=tag_added(a))
    assert found(useless)["leads_nowhere"].severity == WARNING
    last = automation(alice, tagging("t", b, "w"), wait("w"), when=tag_added(a))
    assert found(last)["leads_nowhere"].sentence == "After this wait nothing comes: whoever has waited leaves."
    drawn = automation(alice, shares("s", (50, "t"), (50, None)), tagging("t", b), when=tag_added(a))
    assert found(drawn)["leads_nowhere"].sentence.startswith("Whoever goes by “50%”")
    empty = automation(alice, when=tag_added(a))
    assert found(empty)["leads_nowhere"].sentence.startswith("It has no first step")


def test_a_step_that_nothing_leads_to_and_a_graph_without_entries_are_told(alice: Account, a: Tag) -> None:
    one = automation(alice, tagging("t", a), tagging("lost", a))
    assert found(one)["unreachable"].node == "lost"
    assert found(one)["no_entry"].severity == NOTICE


def test_a_condition_that_nobody_can_meet_is_told(alice: Account, a: Tag, b: Tag) -> None:
    gone, opened = make_tag(alice, name="Gone"), {"type": "opens", "count_greater_than_or_equal": 1}
    readers = segments.create(alice.pk, {"name": "Readers", "filter": opened}, NOW)
    one = automation(
        alice, asking("gone", has(gone), "never", "never"), asking("never", opened, "inside", "inside"),
        asking("inside", {"type": "segments", "ids": [readers.pk]}, "both", "both"),
        asking("both", {"all": [has(a), {"not": has(a)}]}, "left", "left"),
        asking("left", {"type": "subscriber_state", "states": ["cancelled"]}, "fine", "fine"),
        asking("fine", has(b), "t", "t"), tagging("t", b), when=tag_added(a),
    )  # fmt: skip
    tags.delete(gone, NOW, cause=causes.OWNER)
    assert sorted(nodes_of(one, "condition_met_by_nobody")) == ["both", "gone", "inside", "left", "never"]
    assert found(one)["condition_met_by_nobody"].severity == ERROR


def test_an_event_that_is_waited_for_without_end_is_told(alice: Account, a: Tag, b: Tag) -> None:
    forever = automation(alice, event("e", tag_added(b), "t"), tagging("t", a), when=tag_added(a))
    assert found(forever)["waits_without_end"].sentence == (
        "Whoever comes here waits until the person gets the tag “B”, however long that takes."
    )
    limited = automation(alice, event("e", tag_added(b), "t", "t", days=3), tagging("t", a), when=tag_added(a))
    assert "waits_without_end" not in found(limited)


def test_waits_in_the_past_are_told(alice: Account, a: Tag) -> None:
    past, to_come = NOW - timedelta(days=1), NOW + timedelta(days=1)
    one = automation(
        alice, until("past", {"at": past.isoformat()}, "soon"), until("soon", {"at": to_come.isoformat()}, "over"),
        event("over", {"trigger": "date", "at": past.isoformat()}, "end"),
        event("end", {"trigger": "date", "at": to_come.isoformat()}, "t"), tagging("t", a), when=tag_added(a),
    )  # fmt: skip
    assert nodes_of(one, "wait_in_the_past") == ["past", "over"]
    assert found(one)["wait_in_the_past"].sentence.startswith("Sunday, 22 November 2026 at 09:00 has passed")


def test_sequences_that_hold_do_not_run_or_have_nothing_to_send_are_told(alice: Account, a: Tag) -> None:
    holds = make_sequence(alice, {}, name="Holds", hold=True)
    empty = make_sequence(alice, name="Empty", active=False)
    one = automation(alice, course("h", holds, "e"), course("e", empty, "t"), tagging("t", a), when=tag_added(a))
    holding = found(one)["sequence_holds"]
    assert holding.node == "h" and holding.mend is not None and holding.mend.body == {"hold": False}
    assert found(one)["sequence_without_emails"].node == found(one)["sequence_paused"].node == "e"
    goes_on = automation(alice, course("h", holds, "t", wait="last_email"), tagging("t", a), when=tag_added(a))
    assert found(goes_on) == {}


def test_what_is_gone_is_told_at_its_node(alice: Account, a: Tag, b: Tag) -> None:
    c, d = make_tag(alice, name="C"), make_tag(alice, name="D")
    one = automation(alice, tagging("t", b, "e"), event("e", tag_added(c), "x"), tagging("x", a), when=tag_added(d))
    for each in (b, c, d):
        tags.delete(each, NOW, cause=causes.OWNER)
    assert found(one)["thing_gone"].node == "t"
    assert sorted(nodes_of(one, "trigger_gone")) == ["", "e"]


def test_a_tag_that_nothing_adds_is_told_until_an_automation_does(alice: Account, a: Tag) -> None:
    rare = make_tag(alice, name="Rare")
    one = automation(alice, tagging("t", a), when=tag_added(rare))
    assert "no automation" in found(one)["tag_nothing_adds"].sentence
    other = automation(alice, tagging("t", rare), when=tag_added(a), name="Other")
    assert "tag_nothing_adds" not in found(one)
    waiting = rule(alice, tag(a), when=tag_added(rare))
    assert rule_checks.of([waiting], alice, NOW)[waiting.pk] == []
    Automation.objects.filter(pk=other.pk).update(status="inactive")
    assert "tag_nothing_adds" in found(one)


def test_a_move_into_what_does_not_run_is_told(alice: Account, a: Tag) -> None:
    other = automation(alice, tagging("t", a), name="Other", is_on=False)
    moves = {"id": "m", "kind": "move", "automation_id": other.pk, "way": "in", "next": None}
    one = automation(alice, moves, when=tag_added(a))
    told = found(one)["automation_inactive"]
    assert told.node == "m" and told.mend is not None
    assert told.mend.path == f"/ext/v1/automations/{other.pk}/activate"
    Automation.objects.filter(pk=other.pk).update(status="paused")
    assert "automation_paused" in found(one)
    Automation.objects.filter(pk=other.pk).update(status="active")
    assert found(one) == {}
    out = automation(alice, {**moves, "way": "out"}, when=tag_added(a))
    assert "automation_inactive" not in found(out)


def test_owners_cannot_be_mailed_without_a_sender(alice: Account, a: Tag) -> None:
    SendingAddress.objects.filter(account=alice).delete()
    one = automation(alice, {"id": "m", "kind": "mail_owner", "text": "Hello", "next": None}, when=tag_added(a))
    assert found(one)["no_sender"].node == "m"


def test_automations_that_feed_each_other_are_told(alice: Account, a: Tag, b: Tag) -> None:
    def untagging(key: str, tag: Tag, to: str | None) -> dict[str, Any]:
        return tagging(key, tag, to, kind="untag")

    one = automation(alice, untagging("u", a, "t"), tagging("t", b), when=tag_added(a), name="One")
    two = automation(alice, untagging("u", b, "w"), wait("w", "t"), tagging("t", a), when=tag_added(b), name="Two")
    assert found(one)["circle"].sentence == (
        "It goes in a circle: what it does sets off the automation “Two”, which sets this one off again. "
        "Each round takes a while; a person is taken at most ten times within 24 hours."
    )
    assert "circle" in found(two)
    Automation.objects.filter(pk=two.pk).update(reenter="never")
    assert "circle" not in found(one), "nobody goes round twice"
    Automation.objects.filter(pk=two.pk).update(reenter="always", status="inactive")
    assert "circle" not in found(one)


def test_a_circle_through_a_rule_and_a_move_is_told_at_both(alice: Account, a: Tag, b: Tag) -> None:
    one = automation(alice, tagging("t", b, "u"), tagging("u", b, kind="untag"), name="One")
    moving = rule(alice, {"kind": "move", "automation_id": one.pk, "way": "in"}, when=tag_added(b))
    assert "the rule “Rule”" in found(one)["circle"].sentence
    [told] = (x for x in rule_checks.of([moving], alice, NOW)[moving.pk] if x.code == "circle")
    assert "the automation “One”" in told.sentence and "in one chain it is stopped" in told.sentence


def test_a_condition_that_asks_before_a_rule_has_acted_is_told(alice: Account, a: Tag, b: Tag) -> None:
    c = make_tag(alice, make_subscriber(alice), name="C")
    rule(alice, tag(c), when=tag_added(b))
    nodes = [tagging("t", b, "ask"), asking("ask", has(c), "x", "y"), tagging("x", b), tagging("y", c)]
    one = automation(alice, *nodes, when=tag_added(a))
    told = found(one)["asks_too_early"]
    assert told.node == "ask" and "“Add the tag “B””" in told.sentence and "the rule “Rule”" in told.sentence
    nodes[0] = tagging("t", b, "w")
    assert "asks_too_early" not in found(automation(alice, *nodes, wait("w", "ask"), when=tag_added(a)))


def test_what_the_log_says_stands_there(alice: Account, a: Tag) -> None:
    field = {"custom_field_id": _field(alice), "days": 0, "hour": 9}
    one = automation(alice, until("w", field, "t"), tagging("t", a), when=tag_added(a))
    person = make_subscriber(alice)
    path = [{"node": "w", "what": "passed", "reason": "no_date"}, {"node": "t", "what": "acted", "reason": ""}]
    logged(one, person, "entered", run=1, path=path)
    logged(one, person, "not_entered", reason="too_deep", cause=["api", "rule 99"])
    logged(one, person, "not_entered", NOW - timedelta(days=8), reason="our_mistake")
    told = found(one)
    assert told["without_date"].node == "w" and "1 person had no date" in told["without_date"].sentence
    assert told["was_cut"].sentence.endswith("1 time, the last time by the rule 99, by API.")
    assert "failed" not in told, "that was more than a week ago"


def _field(alice: Account) -> int:
    field, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    return field.pk


def test_a_draft_is_looked_at_as_if_it_were_published(alice: Account, a: Tag, b: Tag) -> None:
    one = automation(alice, tagging("t", b), when=tag_added(a))
    verbs.save_draft(one, {"entries": [tag_added(a)], "start": "w", "nodes": [tagging("t", b), wait("w")]}, NOW)
    one.refresh_from_db()
    assert found(one) == {} and one.draft is not None
    draft = automation_checks.of_graph(graphs.from_json(one.draft), one, NOW)
    assert {(x.code, x.node) for x in draft} == {("leads_nowhere", "w"), ("unreachable", "t")}


def test_it_asks_no_more_of_many_automations_than_of_one(alice: Account, a: Tag, b: Tag) -> None:
    def n_queries() -> int:
        rows = list(Automation.objects.filter(account=alice).select_related("account"))
        with CaptureQueriesContext(connection) as queries:
            automation_checks.of(rows, alice, NOW)
        return len(queries)

    nodes = [asking("ask", has(b), "t", "t"), tagging("t", b)]
    automation(alice, *nodes, when=tag_added(a))
    few = n_queries()
    for _ in range(10):
        automation(alice, *nodes, when=tag_added(a))
    assert n_queries() == few


@pytest.mark.parametrize("template", templates.ALL, ids=lambda one: one.key)
def test_nothing_is_wrong_with_a_template_whose_sequences_have_emails(alice: Account, template: Template) -> None:
    given = {one.name: int(one.usual) if one.kind == "days" else one.usual for one in template.questions}
    given |= {"day": "2026-12-01", "day_hour": 10} if "day" in given else {}
    one = beginnings.create(alice, template.key, given, NOW).automation
    for sequence in Sequence.objects.filter(account=alice):
        make_email(sequence, position=100)
        sequence.active = True
        sequence.save()
    grave = [finding for finding in automation_checks.of([one], alice, NOW)[one.pk] if finding.severity != NOTICE]
    assert grave == []
