"""What is wrong with a rule: why it never fires, does nothing, undoes itself or goes in a circle."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account, SendingAddress
from dripstone.conditions import segments
from dripstone.events import causes
from dripstone.explain import rule_checks
from dripstone.explain.findings import Finding
from dripstone.rules import reasons
from dripstone.rules.models import Firing, Rule
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, forms, tags
from dripstone.subscribers.models import Form, Tag
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.rules.making import has, rule, tag, tag_added, untag, work_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def a(alice: Account) -> Tag:
    return make_tag(alice, make_subscriber(alice), name="A")


@pytest.fixture
def b(alice: Account) -> Tag:
    return make_tag(alice, make_subscriber(alice), name="B")


def found(one: Rule) -> dict[str, Finding]:
    return {finding.code: finding for finding in rule_checks.of([one], one.account, MONDAY_9)[one.pk]}


def removed(tag: Tag) -> dict[str, Any]:
    return {"trigger": "tag_removed", "tag_id": tag.pk}


def enter(sequence: Sequence) -> dict[str, Any]:
    return {"kind": "enter_sequence", "sequence_id": sequence.pk}


def of_sequence(kind: str, sequence: Sequence) -> dict[str, Any]:
    return {"trigger": kind, "sequence_id": sequence.pk}


def test_nothing_is_wrong_with_a_sound_rule(alice: Account, a: Tag, b: Tag) -> None:
    assert found(rule(alice, tag(b), when=tag_added(a), only_if=has(b))) == {}


def test_what_was_deleted_is_named(alice: Account, a: Tag, b: Tag) -> None:
    c = make_tag(alice, name="C")
    one = rule(alice, tag(b), when=[tag_added(a), tag_added(b)], only_if=has(c))
    gone = a.pk, b.pk, c.pk
    for each in (a, b, c):
        tags.delete(each, MONDAY_9, cause=causes.OWNER)
    findings = found(one)
    assert findings["trigger_gone"].sentence.startswith("It waits for the tag number")
    assert findings["action_gone"].sentence == (
        f"The tag number {gone[1]} is gone, so this action passes everybody by."
    )
    assert findings["condition_met_by_nobody"].sentence == (
        f"Its condition is never met. The tag number {gone[2]} is gone, so nobody is found by it."
    )


def test_a_tag_that_nothing_adds_is_told_until_something_does(alice: Account, a: Tag) -> None:
    rare = make_tag(alice, name="Rare")
    one = rule(alice, tag(a), when=tag_added(rare))
    assert "no rule that is on, no automation and no form adds it" in found(one)["tag_nothing_adds"].sentence
    assert not rule_checks.is_grave(found(one).values())
    other = rule(alice, tag(rare), when=tag_added(a))
    assert "tag_nothing_adds" not in found(one)
    Rule.objects.filter(pk=other.pk).update(is_on=False)
    form = forms.create(alice.pk, {"name": "News", "tag_ids": [rare.pk]}, MONDAY_9)
    assert "tag_nothing_adds" not in found(one)
    forms.set_status(form, Form.Status.ARCHIVED)
    assert "tag_nothing_adds" in found(one)
    tags.add(rare, make_subscriber(alice), MONDAY_9, cause=causes.OWNER)
    assert "tag_nothing_adds" not in found(one)


def test_sequences_that_do_not_run_or_have_nothing_to_send_are_told(alice: Account, a: Tag) -> None:
    sequence = make_sequence(alice, name="Welcome", active=False)
    one = rule(alice, enter(sequence), when=tag_added(a))
    assert {"sequence_paused", "sequence_without_emails"} == set(found(one))
    running = make_sequence(alice, {"published": False}, {}, name="Running")
    assert found(rule(alice, enter(running), when=tag_added(a))) == {}
    holding = make_sequence(alice, {}, hold=True, name="Holding")
    assert "sequence_holds" in found(rule(alice, tag(a), when=of_sequence("sequence_completed", holding)))
    assert "trigger_sequence_paused" in found(rule(alice, tag(a), when=of_sequence("sequence_completed", sequence)))


def test_a_closed_form_and_a_link_are_told(alice: Account, a: Tag) -> None:
    form = forms.create(alice.pk, {"name": "News"}, MONDAY_9)
    one = rule(alice, tag(a), when={"trigger": "form_joined", "form_id": form.pk})
    assert found(one) == {}
    forms.set_status(form, Form.Status.TRASHED)
    assert found(one)["form_closed"].sentence == "Nobody can sign up on the form “News”: it is archived or deleted."
    assert "trigger_not_recorded" in found(rule(alice, tag(a), when={"trigger": "link_clicked"}))
    opened = {"type": "opens", "count_greater_than_or_equal": 1}
    readers = segments.create(alice.pk, {"name": "Readers", "filter": opened}, MONDAY_9)
    for nobody in (opened, {"type": "segments", "ids": [readers.pk]}):
        assert "condition_met_by_nobody" in found(rule(alice, tag(a), when=tag_added(a), only_if=nobody))


def test_owners_cannot_be_mailed_without_a_sender(alice: Account, a: Tag) -> None:
    SendingAddress.objects.filter(account=alice).delete()
    one = rule(alice, {"kind": "mail_owner", "text": "Hello"}, when=tag_added(a))
    assert found(one)["no_sender"].mend_by


def test_a_condition_that_the_trigger_makes_false_is_told(alice: Account, a: Tag, b: Tag) -> None:
    one = rule(alice, tag(b), when=tag_added(a), only_if={"all": [has(b), {"not": has(a)}]})
    assert found(one)["condition_against_trigger"].sentence == (
        "When somebody gets the tag “A”, nobody can not have the tag “A”: its condition is not met then."
    )
    assert "condition_against_trigger" in found(rule(alice, tag(b), when=removed(a), only_if=has(a)))
    for fine in ({"any": [has(b), {"not": has(a)}]}, has(a), {"not": has(b)}):
        assert "condition_against_trigger" not in found(rule(alice, tag(b), when=tag_added(a), only_if=fine))


def test_an_action_against_its_trigger_is_told(alice: Account, a: Tag, b: Tag) -> None:
    one = rule(alice, untag(a), when=tag_added(a))
    assert found(one)["undoes_trigger"].sentence == (
        "When somebody gets the tag “A”, it would take the tag “A” away: that undoes what sets it off."
    )
    assert "does_nothing" in found(rule(alice, tag(a), when=tag_added(a)))
    sequence = make_sequence(alice, {})
    leaves = {"kind": "leave_sequence", "sequence_id": sequence.pk}
    assert "undoes_trigger" in found(rule(alice, leaves, when=of_sequence("sequence_entered", sequence)))
    assert "not_mailed" in found(rule(alice, enter(sequence), when={"trigger": "cancelled"}))
    assert found(rule(alice, untag(b), when=tag_added(a))) == {}


def test_rules_that_feed_each_other_are_told(alice: Account, a: Tag, b: Tag) -> None:
    one = rule(alice, untag(a), tag(b), when=tag_added(a))
    Rule.objects.filter(pk=one.pk).update(name="One")
    two = rule(alice, untag(b), tag(a), when=tag_added(b))
    Rule.objects.filter(pk=two.pk).update(name="Two")
    for each, other in ((one, "Two"), (two, "One")):
        sentence = found(Rule.objects.get(pk=each.pk))["circle"].sentence
        assert sentence == (
            f"It goes in a circle: what it does sets off the rule “{other}”, which sets this one off again. "
            "Before it acts twice in one chain it is stopped, and the log says so."
        )
    Rule.objects.filter(pk=two.pk).update(is_on=False)
    assert "circle" not in found(Rule.objects.get(pk=one.pk))
    assert "circle" in found(Rule.objects.get(pk=two.pk)), "as it would be, were it on"


def test_what_can_happen_but_once_leads_round_no_circle(alice: Account, a: Tag, b: Tag) -> None:
    one, two = rule(alice, tag(b), when=tag_added(a)), rule(alice, tag(a), when=tag_added(b))
    assert "circle" not in found(one) and "circle" not in found(two)
    untagging = rule(alice, untag(a), untag(b), when={"trigger": "became_active"})
    assert "circle" in found(one), "they are taken away now"
    Rule.objects.filter(pk=untagging.pk).delete()
    assert "circle" not in found(one)


def test_a_longer_circle_and_one_through_time_are_told(alice: Account, a: Tag, b: Tag) -> None:
    field, _ = fields.create(alice.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    change = {"trigger": "field_changed", "custom_field_id": field.pk}
    upper = {"kind": "field", "custom_field_id": field.pk, "value": "{{ subscriber.first_name }}"}
    assert "circle" in found(rule(alice, upper, when=change))
    fixed = {**upper, "value": "Bonn"}
    Rule.objects.all().delete()
    assert "circle" not in found(rule(alice, fixed, when=change)), "it is Bonn by then"
    Rule.objects.all().delete()
    assert "circle" not in found(rule(alice, {**upper, "value": "Köln"}, when={**change, "value": "Bonn"}))
    Rule.objects.all().delete()
    again = make_sequence(alice, {}, repeat=True, name="Again")
    late = rule(alice, enter(again), when=of_sequence("sequence_completed", again))
    assert "at most ten times within 24 hours" in found(late)["circle"].sentence


def test_what_was_cut_lately_stands_there_with_its_chain(alice: Account, a: Tag, b: Tag) -> None:
    one = rule(alice, untag(a), tag(b), when=tag_added(a))
    rule(alice, untag(b), tag(a), when=tag_added(b))
    tags.add(a, make_subscriber(alice), MONDAY_9, cause=causes.API)
    work_off()
    assert Firing.objects.filter(rule_id=one.pk, reason=reasons.IN_ITS_OWN_CHAIN).exists()
    sentence = found(one)["was_cut"].sentence
    assert sentence.startswith("Within the last week it was kept from going in a circle 1 time, the last time by")
    assert "API" in sentence
    Firing.objects.filter(rule_id=one.pk, outcome="not_fired").update(reason=reasons.OUR_MISTAKE)
    assert "failed" in found(one) and "was_cut" not in found(one)


def test_it_asks_no_more_of_many_rules_than_of_one(alice: Account, a: Tag, b: Tag) -> None:
    def n_queries() -> int:
        rules = list(Rule.objects.filter(account=alice).select_related("account"))
        with CaptureQueriesContext(connection) as queries:
            rule_checks.of(rules, alice, MONDAY_9)
        return len(queries)

    rule(alice, tag(b), when=tag_added(a), only_if=has(b))
    few = n_queries()
    for _ in range(10):
        rule(alice, tag(b), when=tag_added(a), only_if={"not": has(a)})
    assert n_queries() == few
