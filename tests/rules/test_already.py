"""People who are there already: whom a rule would have taken, had it been on when it happened to them."""

from datetime import datetime
from typing import Any

import pytest

from dripstone import conditions
from dripstone.accounts.models import Account
from dripstone.conditions import segments
from dripstone.engine import transitions
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.rules import already, uses
from dripstone.rules.models import Rule
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber
from tests.factories import make_enrollment, make_purchase, make_sequence, make_subscriber, make_tag
from tests.rules.making import NOW, has, rule, tag, tag_added

pytestmark = pytest.mark.django_db


@pytest.fixture
def noor(alice: Account) -> Subscriber:
    """Somebody beside her has had nothing happen to them."""
    make_subscriber(alice)
    return make_subscriber(alice)


@pytest.fixture
def city(alice: Account) -> CustomField:
    return fields.create(alice.pk, {"label": "City"}, NOW, cause=causes.OWNER)[0]


def waiting(account: Account, *triggers: dict[str, Any], only_if: Any = None) -> Rule:
    return rule(account, {"kind": "unsubscribe"}, when=list(triggers), only_if=only_if)


def found(one: Rule, now: datetime = NOW) -> set[Subscriber]:
    return set(conditions.matching(already.whom(one, now), one.account, now))


def write(person: Subscriber, field: CustomField, value: str) -> None:
    subscribe.update(person.pk, {"fields": {field.key: value}}, NOW, cause=causes.API)


def test_what_a_trigger_leaves_behind_finds_them(alice: Account, noor: Subscriber, city: CustomField) -> None:
    course = make_tag(alice, noor, name="Course")
    form = forms.create(alice.pk, {"name": "News"}, NOW)
    forms.add(form, noor, {}, NOW, cause=causes.API)
    sequence = make_sequence(alice, {})
    make_enrollment(sequence, noor)
    purchase = make_purchase(alice, email_address=noor.email_address)
    write(noor, city, "Bonn")
    of_city = {"trigger": "field_changed", "custom_field_id": city.pk}
    for trigger in (
        tag_added(course),
        {"trigger": "form_joined", "form_id": form.pk},
        {"trigger": "form_joined"},
        {"trigger": "sequence_entered", "sequence_id": sequence.pk},
        {"trigger": "purchased", "product_id": purchase.lines.get().product_id},
        {"trigger": "purchased"},
        {**of_city, "value": "Bonn"},
    ):
        assert found(waiting(alice, trigger)) == {noor}, trigger
    assert noor not in found(waiting(alice, {**of_city, "value": ""}))
    assert noor not in found(waiting(alice, {"trigger": "sequence_completed", "sequence_id": sequence.pk}))
    transitions.cancel(noor.pk, NOW, cause=causes.API)
    assert found(waiting(alice, {"trigger": "cancelled"})) == {noor}
    assert noor not in found(waiting(alice, {"trigger": "became_active"}))


def test_any_of_them_and_its_condition(alice: Account, noor: Subscriber) -> None:
    a, b = make_tag(alice, noor, name="A"), make_tag(alice, make_subscriber(alice), name="B")
    assert len(found(waiting(alice, tag_added(a), tag_added(b), {"trigger": "link_clicked"}))) == 2
    assert found(waiting(alice, tag_added(a), tag_added(b), only_if={"not": has(b)})) == {noor}
    assert found(waiting(alice, tag_added(a), tag_added(b), only_if={"all": [has(a), {"not": has(b)}]})) == {noor}
    old = {"match": "all", "conditions": [{"type": "tag", "operator": "in", "ids": [b.pk]}]}
    assert noor not in found(waiting(alice, tag_added(a), tag_added(b), only_if=old))


def test_who_leaves_no_trace_is_not_found(alice: Account, noor: Subscriber, city: CustomField) -> None:
    lost = {"trigger": "tag_removed", "tag_id": make_tag(alice).pk}
    changed = {"trigger": "field_changed", "custom_field_id": city.pk}
    nothing = waiting(alice, lost, changed, {"trigger": "link_clicked"})
    with pytest.raises(Invalid, match="leaves a trace"):
        already.whom(nothing, NOW)
    assert already.traceless(nothing, NOW) == nothing.triggers
    with pytest.raises(Invalid):
        already.whom(waiting(alice, {"trigger": "form_joined"}), NOW)


@pytest.mark.parametrize(
    ("days", "hour", "value", "is_over"),
    [
        (0, 9, "2026-11-22", True),
        (0, 9, "2026-11-23", True),
        (0, 10, "2026-11-23", False),
        (0, 9, "2026-11-24", False),
        (-3, 9, "2026-11-26", True),
        (-3, 10, "2026-11-26", False),
        (2, 9, "2026-11-21", True),
        (2, 9, "2026-11-22", False),
    ],
)
def test_a_date_is_over_at_its_hour(
    alice: Account, noor: Subscriber, city: CustomField, days: int, hour: int, value: str, is_over: bool
) -> None:
    """It is the 23rd, nine o'clock, in the account's zone."""
    assert (alice.time_zone, NOW.hour) == ("UTC", 9)
    write(noor, city, value)
    trigger = {"trigger": "field_date", "custom_field_id": city.pk, "days": days, "hour": hour}
    assert (noor in found(waiting(alice, trigger))) is is_over


# --- Where a thing stands -----------------------------------------------------------------------------------------


def test_rules_that_name_a_thing_are_found_by_their_part_and_through_segments(alice: Account) -> None:
    a, b, c = (make_tag(alice, name=name) for name in "abc")
    segment = segments.create(alice.pk, {"name": "Readers", "filter": has(c)}, NOW)
    outer = {"type": "segments", "ids": [segment.pk]}
    around = segments.create(alice.pk, {"name": "Around", "filter": {"not": outer}}, NOW)
    one = rule(alice, tag(b), tag(a), when=tag_added(a), only_if=has(b))
    two = rule(alice, tag(b), when=tag_added(b), only_if={"type": "segments", "ids": [around.pk]})
    found = uses.of_each([("tag", a.pk), ("tag", b.pk), ("tag", c.pk)], alice.pk)
    assert [(use.rule_id, use.parts) for use in found["tag", a.pk]] == [(one.pk, ("trigger", "action"))]
    assert [(use.rule_id, use.parts) for use in found["tag", b.pk]] == [
        (one.pk, ("condition", "action")),
        (two.pk, ("trigger", "action")),
    ]
    assert [(use.rule_id, use.through) for use in found["tag", c.pk]] == [(two.pk, (segment.pk, around.pk))]
    assert uses.of(("tag", c.pk), alice.pk)[0].words == "the rule “Rule”"
    tags.delete(a, NOW, cause=causes.OWNER)
    assert uses.of(("tag", a.pk), alice.pk), "it is named still"
