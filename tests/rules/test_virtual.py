"""Rules under the virtual clock: before the mail of an instant and again after it, at the instants of dates, as by
small steps."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.engine import enroll
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.rules.models import Firing
from dripstone.subscribers import fields, subscribe, tags
from tests.driving import Engine
from tests.factories import make_sequence, make_subscriber, make_tag
from tests.rules.making import NOW, has, outcomes, rule, tag, tag_added, tags_of

pytestmark = pytest.mark.django_db

HOURS = timedelta(hours=1)


def test_what_happened_is_worked_off_before_the_mail_of_that_instant(alice: Account, engine: Engine) -> None:
    """An email for those without the tag, due now; the rule gives the tag to whoever is tagged now."""
    first, then = make_tag(alice), make_tag(alice)
    rule(alice, tag(then), when=tag_added(first))
    course = make_sequence(alice, {"delay_value": 0, "filter": {"not": has(then)}}, {"subject": "second"})
    tagged, other = make_subscriber(alice), make_subscriber(alice)
    enroll.add(course, [tagged.pk, other.pk], "api", NOW)
    tags.add(first, tagged, NOW, cause=causes.API)
    assert leap.to(NOW, alice.pk)["sent"] == 1
    assert [len(engine.sent(person)) for person in (tagged, other)] == [0, 1]


def test_an_email_sets_off_a_rule_whose_email_goes_at_the_same_instant(alice: Account, engine: Engine) -> None:
    welcome, offer = (
        make_sequence(alice, {"delay_value": 0, "subject": "Welcome"}),
        make_sequence(alice, {"delay_value": 0, "subject": "Offer"}),
    )
    enter = {"kind": "enter_sequence", "sequence_id": offer.pk}
    made = rule(alice, enter, when={"trigger": "sequence_completed", "sequence_id": welcome.pk})
    person = make_subscriber(alice)
    enroll.add(welcome, [person.pk], "api", NOW)
    assert leap.to(NOW, alice.pk)["sent"] == 2
    assert engine.sent(person) == [("Welcome", NOW), ("Offer", NOW)]
    assert Firing.objects.get(rule=made).cause == []
    assert Enrollment.objects.get(sequence=offer).source == "rule"


def dated(account: Account, **more: Any) -> tuple[Any, dict[str, Any]]:
    field, _ = fields.create(account.pk, {"label": "Day"}, NOW, cause=causes.OWNER)
    return field, {"trigger": "field_date", "custom_field_id": field.pk, "days": 0, "hour": 12, **more}


def test_a_date_fires_at_its_instant_and_what_it_causes_comes_before_the_next(alice: Account, engine: Engine) -> None:
    field, trigger = dated(alice)
    a, b, c = make_tag(alice, name="a"), make_tag(alice, name="b"), make_tag(alice, name="c")
    first = rule(alice, tag(a), when=trigger)
    second = rule(alice, tag(c), when=trigger, only_if=has(b))
    between = rule(alice, tag(b), when=tag_added(a))
    person = make_subscriber(alice)
    subscribe.update(person.pk, {"fields": {field.key: "2026-11-25"}}, NOW, cause=causes.API)
    leap.to(NOW + timedelta(days=1), alice.pk)
    assert tags_of(person) == set()
    leap.to(NOW + timedelta(days=9), alice.pk)
    assert tags_of(person) == {"a", "b", "c"}, "the second date sees what the first one has caused"
    assert outcomes(first) == outcomes(second) == outcomes(between) == ["fired"]
    noon = datetime.fromisoformat("2026-11-25T12:00:00+00:00")
    one = Firing.objects.get(rule=first)
    assert (one.at, one.event_id, one.cause, one.is_from_outside) == (noon, None, [], False)
    assert Firing.objects.get(rule=between).cause == [f"rule {first.pk}"]


def test_a_rule_switched_off_hears_of_no_date(alice: Account, engine: Engine) -> None:
    from dripstone.rules import verbs

    field, trigger = dated(alice)
    made = rule(alice, tag(make_tag(alice)), when=trigger)
    person = make_subscriber(alice)
    subscribe.update(person.pk, {"fields": {field.key: "2026-11-25"}}, NOW, cause=causes.API)
    leap.to(NOW + timedelta(hours=1), alice.pk)
    verbs.switch(made, False, NOW)
    leap.to(NOW + timedelta(days=9), alice.pk)
    assert outcomes(made) == []


@pytest.mark.parametrize("steps", [[72], [5] * 14 + [2], [24, 24, 24]])
def test_a_leap_does_what_small_steps_do(alice: Account, engine: Engine, steps: list[int]) -> None:
    """Two sequences that enter each other on completion, and a date: by hours, by days, at once."""
    one, two = (make_sequence(alice, {"delay_value": 5, "delay_unit": "hours"}, repeat=True) for _ in range(2))
    field, trigger = dated(alice)
    to_one, to_two = ({"kind": "enter_sequence", "sequence_id": each.pk} for each in (one, two))
    rule(alice, to_two, when={"trigger": "sequence_completed", "sequence_id": one.pk})
    rule(alice, to_one, when={"trigger": "sequence_completed", "sequence_id": two.pk})
    rule(alice, to_one, when=trigger)
    person = make_subscriber(alice)
    subscribe.update(person.pk, {"fields": {field.key: "2026-11-24"}}, NOW, cause=causes.API)
    for hours in steps:
        leap.to(engine.clock.now() + timedelta(hours=hours), alice.pk)
    log = [(row.rule_id - Firing.objects.order_by("pk")[0].rule_id, row.at) for row in Firing.objects.order_by("pk")]
    noon = datetime.fromisoformat("2026-11-24T12:00:00+00:00")
    assert log[0] == (0, noon)
    assert [at for _, at in log[1:]] == [noon + 5 * n * HOURS for n in range(1, len(log))]
    assert len(log) == 10 and len(engine.sent(person)) == 9
