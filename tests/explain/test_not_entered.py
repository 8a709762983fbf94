"""Why did she not enter?"""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations.models import Automation, Walk
from dripstone.events import causes, reading
from dripstone.events.models import Event, Number, Reader
from dripstone.explain import not_entered
from dripstone.subscribers import fields, tags
from dripstone.subscribers.models import Subscriber, Tag
from dripstone.triggers.turn import READER
from tests.automations.drawing import automation, logged, stands, tagging, wait
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_subscriber, make_tag
from tests.rules.making import tag_added

pytestmark = pytest.mark.django_db


@pytest.fixture
def a(alice: Account) -> Tag:
    return make_tag(alice, name="A")


@pytest.fixture
def noor(alice: Account) -> Subscriber:
    return make_subscriber(alice, email_address="noor@example.com")


@pytest.fixture
def one(alice: Account, a: Tag) -> Automation:
    return automation(alice, wait("w", "t"), tagging("t", a), when=tag_added(a))


def told(one: Automation, person: Subscriber) -> tuple[str, ...]:
    return not_entered.of(Automation.objects.get(pk=one.pk), Subscriber.objects.get(pk=person.pk), NOW).sentences


def read_up_to_now() -> None:
    reading.number_visible()
    last = Number.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    Reader.objects.update_or_create(name=READER, defaults={"number": last})


def change(one: Automation, **values: Any) -> None:
    Automation.objects.filter(pk=one.pk).update(**values)


def test_what_never_happened_is_said(one: Automation, noor: Subscriber) -> None:
    assert told(one, noor) == ("An entry waits until the person gets the tag “A”: that has not happened to them.",)


def test_what_is_so_without_a_trace_is_said(one: Automation, noor: Subscriber, a: Tag) -> None:
    make_tag(one.account, noor, name="B")
    a.taggings.create(subscriber=noor, tagged_at=NOW)
    [sentence] = told(one, noor)
    assert "that is so, but nothing that is kept says since when" in sentence


def test_what_happened_before_it_was_switched_on_is_said(one: Automation, noor: Subscriber, a: Tag) -> None:
    tags.add(a, noor, NOW - timedelta(days=1), cause=causes.API)
    [sentence] = told(one, noor)
    assert sentence.endswith("that happened yesterday, 09:00, and has not been read yet.")
    read_up_to_now()
    change(one, listens_after=Number.objects.latest("pk").pk)
    [sentence] = told(one, noor)
    assert "that happened yesterday, 09:00, before the automation was switched on" in sentence
    change(one, listens_after=0)
    [sentence] = told(one, noor)
    assert "before this entry was there" in sentence


def test_what_was_told_to_let_nobody_in_is_said(one: Automation, noor: Subscriber, a: Tag) -> None:
    tags.add(a, noor, NOW, cause=causes.quietly(causes.API))
    read_up_to_now()
    [sentence] = told(one, noor)
    assert sentence.endswith("that happened today, 09:00, but it was told to let nobody in.")


def test_what_the_log_says_comes_first(one: Automation, noor: Subscriber, a: Tag) -> None:
    tags.add(a, noor, NOW, cause=causes.API)
    event = Event.objects.get(type="subscriber.tag_added")
    logged(one, noor, "not_entered", reason="too_often", event_id=event.pk, cause=event.cause)
    assert told(one, noor) == (
        "They did not enter today, 09:00 (got the tag “A”, by API), because it had taken this person ten times within "
        "24 hours, by what rules, automations or emails did.",
    )


def test_what_keeps_them_out_is_said(one: Automation, noor: Subscriber) -> None:
    change(one, status="inactive")
    assert told(one, noor)[0] == "The automation is switched off: nobody enters."
    change(one, status="paused")
    assert told(one, noor)[0] == "The automation is paused: whoever enters waits at the entry."
    change(one, status="active", reenter="never")
    Subscriber.objects.filter(pk=noor.pk).update(state="inactive")
    assert "They have not confirmed their address" in told(one, noor)[0]
    Subscriber.objects.filter(pk=noor.pk).update(state="cancelled", canceled_at=NOW)
    assert told(one, noor)[0] == "They unsubscribed, and so they do not enter."
    Subscriber.objects.filter(pk=noor.pk).update(state="active", canceled_at=None)
    walk = stands(one, noor, "t", left_at=NOW, left_because="end", is_completed=True)
    assert told(one, noor)[:2] == (
        "They were inside and left today, 09:00, because nothing comes next.",
        "Nobody enters it a second time, and they have been through it.",
    )
    Walk.objects.filter(pk=walk.pk).update(node="", is_completed=False, left_because="by_hand")
    assert "Nobody enters it a second time, and they have been through it." not in told(one, noor)


def test_a_date_is_said_to_be_missing_to_come_or_over(alice: Account, noor: Subscriber) -> None:
    field, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    trigger = {"trigger": "field_date", "custom_field_id": field.pk, "days": 0, "hour": 9}
    one = automation(alice, wait("w"), when=trigger)

    def of(value: str) -> str:
        Subscriber.objects.filter(pk=noor.pk).update(fields={str(field.pk): value} if value else {})
        [sentence] = told(one, noor)
        return sentence.partition(", at 9:00: ")[2]

    assert of("") == "there is nothing in the field."
    assert of("soon") == "“soon” in the field is no date."
    assert of("2026-12-01") == "that comes on Tue 1 Dec, 09:00."
    assert of("2026-11-20") == (
        "that was on Fri 20 Nov, 09:00, before the automation was switched on or the value was there."
    )


def test_who_is_inside_is_said_to_be(one: Automation, noor: Subscriber) -> None:
    stands(one, noor, "w", ends_at=NOW + timedelta(days=3))
    found = not_entered.of(one, noor, NOW)
    assert found.is_inside
    assert found.sentences == ("They are inside: they entered today, 09:00, and stand at “Wait 3 days”.",)
    change(one, status="paused")
    assert told(one, noor)[1] == "The automation is paused, so nobody goes on."


def test_an_automation_without_entries_and_one_whose_thing_is_gone_are_said(
    alice: Account, noor: Subscriber, a: Tag
) -> None:
    [sentence] = told(automation(alice, wait("w")), noor)
    assert sentence.startswith("Nothing lets people in by itself")
    one = automation(alice, wait("w"), when=tag_added(a))
    tags.delete(a, NOW, cause=causes.OWNER)
    [sentence] = told(one, noor)
    assert sentence == f"An entry waits for the tag number {a.pk}, which is gone: that never happens."
