"""What came back from an email is kept beside its delivery, and counted from there."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from dripstone.engine import transitions
from dripstone.engine.models import Delivery
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.ops import prune
from dripstone.sequences.models import Sequence
from dripstone.stats import emails as email_stats
from dripstone.subscribers.models import Subscriber
from dripstone.tallies.models import Tally
from dripstone.tracking import responses
from dripstone.tracking.models import Response
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, place_of

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)


@pytest.fixture
def sequence() -> Sequence:
    return make_sequence(make_account(), {})


def delivery(sequence: Sequence, person: Subscriber | None = None, run: int = 1) -> Delivery:
    """Of the sequence's email, sent on Monday at nine."""
    place = make_enrollment(sequence, person or make_subscriber(sequence.account))
    return Delivery.objects.create(
        account_id=place.account_id,
        sequence=sequence,
        subscriber_id=place.subscriber_id,
        enrollment=place,
        run=run,
        email=sequence.emails.get(),
        status="sent",
        planned_at=MONDAY_9,
        sent_at=MONDAY_9,
        ended_at=MONDAY_9,
    )


def unsubscribes(sequence: Sequence) -> int:
    email = sequence.emails.get()
    return email_stats.of_emails([email.pk])[email.pk]["email_unsubscribes"]


def stamp(row: Delivery, what: responses.Stamp = "opened_at", at: timedelta = timedelta(0)) -> bool:
    place = place_of(row)
    ids = {"account_id": row.account_id, "subscriber_id": place.subscriber_id}
    return responses.stamp(what, row.pk, MONDAY_9 + at, email_id=row.email_id, **ids)


def test_the_first_time_stays(sequence: Sequence) -> None:
    row = delivery(sequence)
    assert stamp(row)
    assert not stamp(row, at=timedelta(hours=1))
    assert stamp(row, "clicked_at", timedelta(hours=2))
    response = Response.objects.get()
    assert (response.opened_at, response.clicked_at) == (MONDAY_9, MONDAY_9 + timedelta(hours=2))


def test_an_unsubscription_is_of_the_email_that_made_them_leave(sequence: Sequence) -> None:
    person = make_subscriber(sequence.account)
    first, second = delivery(sequence, person), delivery(make_sequence(sequence.account, {}), person)
    transitions.cancel(person.pk, LATER, delivery_id=first.pk)
    transitions.cancel(person.pk, LATER, delivery_id=second.pk)
    assert list(Response.objects.values_list("delivery_id", "unsubscribed_at")) == [(first.pk, LATER)]


def test_every_email_that_bounced_says_so(sequence: Sequence) -> None:
    """Also the second one of a person who is bounced by then."""
    person = make_subscriber(sequence.account)
    first, second = delivery(sequence, person), delivery(make_sequence(sequence.account, {}), person)
    transitions.bounce(person.pk, LATER, delivery_id=first.pk)
    transitions.bounce(person.pk, LATER, delivery_id=second.pk)
    assert Response.objects.filter(bounced_at=LATER).count() == 2
    assert Event.objects.filter(type=types.SUBSCRIBER_BOUNCED).count() == 1


def test_an_act_without_an_email_leaves_no_response(sequence: Sequence) -> None:
    transitions.cancel(place_of(delivery(sequence)).subscriber_id, LATER)
    assert not Response.objects.exists()


def test_an_emails_unsubscribes_stay_when_events_are_pruned(sequence: Sequence) -> None:
    row = delivery(sequence)
    transitions.cancel(place_of(row).subscriber_id, LATER, delivery_id=row.pk)
    prune.everything(LATER + timedelta(days=401))
    assert not Event.objects.exists()
    assert unsubscribes(sequence) == 1


def test_a_response_goes_with_its_delivery(sequence: Sequence) -> None:
    """A delivery of an earlier run, two years on; that of the present run stays, and so does what came back from it."""
    gone, kept = delivery(sequence, run=0), delivery(sequence)
    stamp(gone)
    stamp(kept)
    prune.everything(LATER + timedelta(days=731), rehearse=True)
    assert Response.objects.count() == 2
    prune.everything(LATER + timedelta(days=731))
    assert list(Response.objects.values_list("pk", flat=True)) == [kept.pk]


def fill() -> None:
    migration = import_module("dripstone.tracking.migrations.0002_what_events_tell")
    with connection.schema_editor(atomic=False) as editor:
        migration.fill(apps, editor)


def test_the_migration_reads_what_events_tell(sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("dripstone.tracking.migrations.0002_what_events_tell")
    monkeypatch.setattr(migration, "BATCH", 2)
    rows = [delivery(sequence) for _ in range(3)]
    for verb, row in zip((transitions.cancel, transitions.bounce, transitions.complain), rows, strict=True):
        verb(place_of(row).subscriber_id, LATER, delivery_id=row.pk)
    transitions.cancel(make_subscriber(sequence.account).pk, LATER)
    known = list(Response.objects.order_by("pk").values())
    Response.objects.all().delete()
    Tally.objects.all().delete()
    fill()
    assert list(Response.objects.order_by("pk").values()) == known
    assert unsubscribes(sequence) == 1


def test_the_migration_may_be_run_again_beside_what_happens(sequence: Sequence) -> None:
    row = delivery(sequence)
    transitions.cancel(place_of(row).subscriber_id, LATER, delivery_id=row.pk)
    stamp(row, "opened_at")
    Event.objects.filter(type=types.SUBSCRIBER_UNSUBSCRIBED).update(occurred_at=LATER + timedelta(days=1))
    fill()
    response = Response.objects.get()
    assert (response.unsubscribed_at, response.opened_at) == (LATER, MONDAY_9)
