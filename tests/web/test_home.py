from datetime import timedelta

from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import reasons
from dripstone.engine.models import Delivery, Enrollment, Pulse
from dripstone.tallies import verbs as tallies
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, place_of
from tests.web.making import make_delivery


def test_it_tells_an_empty_account_what_to_do(alice: Client) -> None:
    page = alice.get("/").content.decode()
    assert "Your first sequence" in page
    assert "/v4/sequences" in page


def test_it_counts_people_emails_and_sends_of_each_sequence(
    alice: Client, account: Account, delivery: Delivery, clock: VirtualClock
) -> None:
    done = make_enrollment(place_of(delivery).sequence, make_subscriber(account), clock.now())
    Enrollment.objects.filter(pk=done.pk).update(
        status="completed", completed_at=clock.now(), due_at=None, next_email=None, in_flight=False
    )
    tallies.differences(repair=True)  # of what was moved by hand
    place_of(delivery).sequence.emails.filter(position=1).update(published=False)
    [row] = alice.get("/").context["rows"]
    assert (row.inside, row.completed, row.published, row.drafts, row.sent) == (1, 1, 1, 1, 1)


def test_it_leaves_out_deleted_sequences_and_marks_paused_ones(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    make_sequence(account, name="Gone", deleted_at=clock.now())
    make_sequence(account, name="Resting", active=False)
    page = alice.get("/").content.decode()
    assert "Gone" not in page
    assert "Paused" in page


def test_it_shows_the_coming_week_on_the_days_of_the_account(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    """Monday 9:00 UTC is 4:00 in New York; 3:00 UTC on Tuesday is still Monday there."""
    sequence = make_sequence(account, {"delay_value": 5})
    paused = make_sequence(account, {"delay_value": 5}, active=False)
    for hours in (-30, 18, 20, 24 * 6, 24 * 8):
        place = make_enrollment(sequence, make_subscriber(account), clock.now())
        Enrollment.objects.filter(pk=place.pk).update(due_at=clock.now() + timedelta(hours=hours))
    make_enrollment(paused, make_subscriber(account), clock.now())
    week = alice.get("/").context["week"]
    assert [(day.name, day.n_emails) for day in week[:2]] == [("Today", 2), ("Tue", 1)]
    assert [day.n_emails for day in week] == [2, 1, 0, 0, 0, 0, 1]
    assert [day.level for day in week] == [4, 2, 0, 0, 0, 0, 2]


def test_it_shows_what_went_out_last_and_what_went_wrong(alice: Client, account: Account, delivery: Delivery) -> None:
    other = make_enrollment(place_of(delivery).sequence, make_subscriber(account, email_address="x@example.org"))
    make_delivery(other, "failed", reason=reasons.BOUNCED, reply="550 No such user")
    page = alice.get("/").content.decode()
    assert "bob@example.org" in page
    assert "550 No such user" in page
    assert '<time datetime="2026-11-23T09:00:00Z" title="Monday 23 November 2026, 04:00:00 EST">' in page
    assert "New York time (America/New_York)" in page


def test_it_shows_mallory_nothing_of_it(mallory: Client, delivery: Delivery) -> None:
    page = mallory.get("/").content.decode()
    assert "Caves" not in page
    assert "bob@example.org" not in page


def test_it_costs_the_same_queries_however_many_sequences(
    alice: Client, account: Account, delivery: Delivery, django_assert_max_num_queries: object
) -> None:
    for _ in range(5):
        make_delivery(make_enrollment(make_sequence(account, {}), make_subscriber(account)))
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        alice.get("/")


def test_it_says_that_sending_is_halted_and_since_when_on_the_accounts_clock(alice: Client, delivery: Delivery) -> None:
    Pulse.objects.create(beat_at=MONDAY_9, halted_at=MONDAY_9, halted_after=MONDAY_9 - timedelta(days=3))
    page = alice.get("/").content.decode()
    assert "had not run since Friday, 20 November 2026 at 04:00 (America/New_York), and mail is overdue." in page
    assert "resume-sending" in page
