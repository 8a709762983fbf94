"""Events become calls: whom they reach, in which order, in which batches, with what in them."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.calls.models import Call
from dripstone.engine import enroll, transitions
from dripstone.engine.acts import edits, forget
from dripstone.events import causes, reading, types
from dripstone.events.models import Event, Numbering, Reader
from dripstone.events.record import event, record
from dripstone.sequences.models import Sequence
from dripstone.shapes import purchases as purchase_shapes
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import Subscriber
from dripstone.webhooks import endpoints, kinds, legacy, payloads, read
from dripstone.webhooks.models import Endpoint, Webhook
from tests.factories import make_account, make_purchase, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/incoming"


def listen(account: Account, now: datetime, *names: str) -> Endpoint:
    return endpoints.create(account, {"url": URL, "events": list(names)}, now)[0]


def webhook(account: Account, now: datetime, name: str, **thing: int) -> Webhook:
    return legacy.create(account, {"target_url": URL, "event": {"name": name, **thing}}, now)


def told(receiver: Any = None) -> list[Any]:
    """What the calls say, in the order in which they go."""
    rows = Call.objects.order_by("pk")
    return [json.loads(bytes(row.body)) for row in (rows.filter(receiver=receiver.pk) if receiver else rows)]


def kinds_told(receiver: Any = None) -> list[list[str]]:
    return [[one["type"] for one in body["events"]] for body in told(receiver)]


def test_an_endpoint_hears_of_what_it_asked_for_and_of_what_happens_from_now_on(alice: Account, now: datetime) -> None:
    subscribe.upsert(alice.pk, {"email_address": "early@example.org"}, now, cause=causes.API)
    endpoint = listen(alice, now, "subscriber.created")
    subscribe.upsert(alice.pk, {"email_address": "late@example.org"}, now, cause=causes.API)
    read.all_events(now)
    (body,) = told(endpoint)
    (one,) = body["events"]
    assert one["type"] == "subscriber.created"
    assert one["created"] == "2026-11-23T09:00:00Z"
    assert one["data"]["subscriber"]["email_address"] == "late@example.org"
    call = Call.objects.get()
    assert body["delivery_id"] == call.pk
    assert (call.about, call.n_events, call.status, call.next_attempt_at) == ("subscriber.created", 1, "planned", now)


def test_nobody_hears_of_another_account(alice: Account, now: datetime) -> None:
    listen(alice, now, "subscriber.created")
    subscribe.upsert(make_account("Mallory").pk, {"email_address": "a@example.org"}, now, cause=causes.API)
    read.all_events(now)
    assert told() == []


def test_the_order_of_events_is_kept_and_only_neighbours_of_one_type_go_together(alice: Account, now: datetime) -> None:
    tag = tags.create(alice.pk, {"name": "A"}, now, cause=causes.API)[0]
    endpoint = listen(alice, now, "subscriber.created", "subscriber.tag_added")
    for n in range(2):
        person = subscribe.upsert(alice.pk, {"email_address": f"a{n}@example.org"}, now, cause=causes.API).subscriber
        tags.add(tag, person, now, cause=causes.API)
    for n in range(2, 4):
        subscribe.upsert(alice.pk, {"email_address": f"a{n}@example.org"}, now, cause=causes.API)
    read.all_events(now)
    created, tagged = "subscriber.created", "subscriber.tag_added"
    assert kinds_told(endpoint) == [[created], [tagged], [created], [tagged], [created, created]]


def tagged(account: Account, n: int, now: datetime, person: Subscriber) -> None:
    tag = tags.create(account.pk, {"name": "A"}, now, cause=causes.API)[0]
    same: Any = {"cause": causes.API, "subscriber_id": person.pk, "subject_id": tag.pk}
    record(event(types.TAG_ADDED, account.pk, now, **same) for _ in range(n))


def test_a_delivery_has_a_hundred_events_at_most(alice: Account, now: datetime) -> None:
    endpoint = listen(alice, now, "subscriber.tag_added")
    tagged(alice, 250, now, make_subscriber(alice))
    read.all_events(now)
    assert [len(body["events"]) for body in told(endpoint)] == [100, 100, 50]
    assert len({one["id"] for body in told(endpoint) for one in body["events"]}) == 250


def test_a_delivery_is_split_near_half_a_megabyte(alice: Account, now: datetime) -> None:
    field = fields.create(alice.pk, {"label": "Novel"}, now, cause=causes.API)[0]
    person = make_subscriber(alice, fields={str(field.pk): "ü" * 30_000})
    endpoint = listen(alice, now, "subscriber.tag_added")
    tagged(alice, 20, now, person)
    read.all_events(now)
    sizes = [len(bytes(row.body)) for row in Call.objects.filter(receiver=endpoint.pk).order_by("pk")]
    assert all(size <= read.LONGEST for size in sizes)
    assert [len(body["events"]) for body in told(endpoint)] == [8, 8, 4]


def test_the_same_event_has_the_same_id_for_everybody(alice: Account, now: datetime) -> None:
    first, second = (listen(alice, now, "tag.created") for _ in range(2))
    tags.create(alice.pk, {"name": "A"}, now, cause=causes.API)
    read.all_events(now)
    assert told(first)[0]["events"] == told(second)[0]["events"]
    assert told(first)[0]["delivery_id"] != told(second)[0]["delivery_id"]
    assert told(first)[0]["events"][0]["id"] == str(payloads.id_of(Event.objects.get(type="tag.created")))


def test_events_of_every_type_are_told_with_what_they_are_about(alice: Account, now: datetime) -> None:
    """Each set off by the verb that does it, but for bounces and complaints, which nothing reports yet."""
    endpoint = listen(alice, now, *kinds.ENDPOINT)
    written = subscribe.upsert(alice.pk, {"email_address": "a@example.org", "state": "inactive"}, now, cause=causes.API)
    person = written.subscriber
    transitions.confirm(person.pk, now, cause=causes.SUBSCRIBER)
    tag = tags.create(alice.pk, {"name": "A"}, now, cause=causes.API)[0]
    tags.add(tag, person, now, cause=causes.API)
    tags.remove(tag, person, now, cause=causes.API)
    tags.delete(tag, now, cause=causes.API)
    field = fields.create(alice.pk, {"label": "City"}, now, cause=causes.API)[0]
    subscribe.update(person.pk, {"fields": {"city": "Ulm"}}, now, cause=causes.API)
    fields.delete(field, now, cause=causes.API)
    form = forms.create(alice.pk, {"name": "F"}, now)
    forms.add(form, person, {}, now, cause=causes.API)
    bought = purchase_shapes.purchase(make_purchase(alice, email_address="a@example.org"))
    made = edits.create_sequence(alice, {"name": "S"}, now).sequence
    edits.update_sequence(alice, made.pk, {"active": False}, now)
    edits.update_sequence(alice, made.pk, {"active": True}, now)
    enroll.add(Sequence.objects.get(pk=made.pk), [person.pk], "api", now)
    same: Any = {"cause": causes.NONE, "subscriber_id": person.pk}
    record([event(types.SEQUENCE_COMPLETED, alice.pk, now, subject_id=made.pk, **same)])
    record([event(kind, alice.pk, now, **same) for kind in (types.SUBSCRIBER_BOUNCED, types.SUBSCRIBER_COMPLAINED)])
    transitions.cancel(person.pk, now, cause=causes.SUBSCRIBER)
    edits.delete_sequence(alice, made.pk, now)
    read.all_events(now)
    heard = {one["type"]: one["data"] for body in told(endpoint) for one in body["events"]}
    forget.forget(alice, person.pk, "owner", now)
    read.all_events(now)
    heard = {one["type"]: one["data"] for body in told(endpoint) for one in body["events"]} | heard
    assert set(heard) == set(kinds.ENDPOINT)
    for kind, data in heard.items():
        assert ("subscriber" in data) == kind.startswith(("subscriber.", "purchase."))
    assert heard["purchase.created"]["purchase"] == bought
    assert heard["subscriber.product_purchased"]["product"]["pid"] == "course"
    assert heard["subscriber.product_purchased"]["purchase_id"] == bought["id"]
    assert heard["subscriber.tag_added"]["tag"] == {"id": tag.pk}  # it was gone when this was read
    assert heard["subscriber.subscribed_to_form"]["form"]["name"] == "F"
    assert heard["subscriber.custom_field_value_updated"]["value"] == "Ulm"
    assert set(heard["sequence.created"]["sequence"]) == {
        "id", "name", "hold", "repeat", "created_at", "updated_at", "email_template_id", "active",
    }  # fmt: skip
    assert heard["subscriber.deleted"]["subscriber"] == {"id": person.pk}


def test_a_webhook_of_before_hears_of_one_thing_one_event_at_a_time(alice: Account, now: datetime) -> None:
    wanted, other = (tags.create(alice.pk, {"name": name}, now, cause=causes.API)[0] for name in "AB")
    hook = webhook(alice, now, "subscriber.tag_add", tag_id=wanted.pk)
    people = [make_subscriber(alice) for _ in range(2)]
    for person in people:
        for tag in (wanted, other):
            tags.add(tag, person, now, cause=causes.API)
    read.all_events(now)
    assert [body["subscriber"]["id"] for body in told(hook)] == [person.pk for person in people]
    assert list(told(hook)[0]) == ["subscriber"]
    assert set(told(hook)[0]["subscriber"]) == {"id", "first_name", "email_address", "state", "created_at", "fields"}


@pytest.mark.parametrize("with_field", [True, False])
def test_a_webhook_about_values_may_be_about_any_field(alice: Account, now: datetime, with_field: bool) -> None:
    city, _ = (fields.create(alice.pk, {"label": name}, now, cause=causes.API)[0] for name in ("City", "Company"))
    thing = {"custom_field_id": city.pk} if with_field else {}
    hook = webhook(alice, now, "custom_field.field_value_updated", **thing)
    person = make_subscriber(alice)
    subscribe.update(person.pk, {"fields": {"city": "Ulm", "company": "X"}}, now, cause=causes.API)
    read.all_events(now)
    assert len(told(hook)) == (1 if with_field else 2)


def test_a_webhook_about_nobody_says_what_it_is_about(alice: Account, now: datetime) -> None:
    hook = webhook(alice, now, "custom_field.field_created")
    field = fields.create(alice.pk, {"label": "City"}, now, cause=causes.API)[0]
    read.all_events(now)
    assert told(hook) == [
        {"custom_field": {"id": field.pk, "name": field.name, "key": "city", "label": "City"}},
    ]


def test_webhooks_of_before_hear_of_purchases(alice: Account, now: datetime) -> None:
    first = make_purchase(alice)
    product = first.lines.get().product
    every, one = (
        webhook(alice, now, "purchase.purchase_create"),
        webhook(alice, now, "subscriber.product_purchase", product_id=product.pk),
    )
    line = {"name": "Book", "pid": "book", "lid": "1", "quantity": 1, "unit_price": 9}
    make_purchase(alice, products=[line])
    again = make_purchase(alice)
    read.all_events(now)
    assert [body["purchase"]["products"][0]["pid"] for body in told(every)] == ["book", "course"]
    assert [body["subscriber"]["id"] for body in told(one)] == [again.subscriber_id]


def test_whoever_comes_back_is_activated(alice: Account, now: datetime) -> None:
    endpoint, hook = listen(alice, now, "subscriber.activated"), webhook(alice, now, "subscriber.subscriber_activate")
    person = make_subscriber(alice, state="cancelled", canceled_at=now)
    transitions.come_back(person.pk, now, cause=causes.SUBSCRIBER)
    read.all_events(now)
    assert kinds_told(endpoint) == [["subscriber.activated"]]
    assert told(hook)[0]["subscriber"]["state"] == "active"


def test_one_that_was_off_hears_nothing_of_that_time(alice: Account, now: datetime) -> None:
    endpoint = listen(alice, now, "tag.created")
    endpoints.update(endpoint, {"status": "disabled"}, now)
    tags.create(alice.pk, {"name": "A"}, now, cause=causes.API)
    endpoints.update(endpoint, {"status": "active"}, now)
    tags.create(alice.pk, {"name": "B"}, now, cause=causes.API)
    read.all_events(now)
    assert [one["data"]["tag"]["name"] for body in told(endpoint) for one in body["events"]] == ["B"]


def test_what_nobody_hears_is_stepped_over_without_being_read(alice: Account, now: datetime) -> None:
    person = make_subscriber(alice)
    read.all_events(now)
    tagged(alice, 500, now, person)
    reading.number_visible()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert read.new_events(now) is False
    assert not any('FROM "events_event"' in one["sql"] or '"events_event"' in one["sql"] for one in asked)
    assert Reader.objects.get(pk=read.READER).number == Numbering.objects.get().last
    listen(alice, now, "subscriber.tag_added")
    read.all_events(now)
    assert told() == []


def test_a_long_backlog_is_read_in_parts(alice: Account, now: datetime) -> None:
    endpoint = listen(alice, now, "subscriber.tag_added")
    tagged(alice, 2_300, now, make_subscriber(alice))
    assert read.new_events(now) is True
    assert read.new_events(now) is False
    assert sum(len(body["events"]) for body in told(endpoint)) == 2_300


def test_people_are_told_as_they_are_when_it_is_read(alice: Account, now: datetime) -> None:
    endpoint = listen(alice, now, "subscriber.created")
    person = subscribe.upsert(alice.pk, {"email_address": "a@example.org"}, now, cause=causes.API).subscriber
    subscribe.update(person.pk, {"first_name": "Ada"}, now, cause=causes.API)
    read.all_events(now)
    assert told(endpoint)[0]["events"][0]["data"]["subscriber"]["first_name"] == "Ada"


def test_a_sequence_is_told_by_its_row_alone(alice: Account, now: datetime) -> None:
    """Not with counts: nothing is counted on the way to a receiver."""
    endpoint = listen(alice, now, "subscriber.added_to_sequence")
    sequence = make_sequence(alice, {"delay_value": 1})
    enroll.add(sequence, [make_subscriber(alice).pk for _ in range(30)], "bulk", now)
    with CaptureQueriesContext(connection) as asked:
        read.new_events(now)
    assert len(asked) < 35
    assert len(told(endpoint)[0]["events"]) == 30
