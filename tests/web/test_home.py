from datetime import timedelta

from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import reasons
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery, Enrollment, Pulse
from dripstone.sequences import drafts
from dripstone.tallies import verbs as tallies
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, place_of
from tests.web.making import make_delivery


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


def test_each_state_but_the_usual_one_is_said(alice: Client, account: Account, clock: VirtualClock) -> None:
    make_sequence(account, {}, name="Running")
    make_sequence(account, {"published": False}, name="Being written")
    paused = make_sequence(account, {}, {}, {"published": False}, name="Resting")
    make_enrollment(paused, make_subscriber(account), clock.now())
    edits.update_sequence(account, paused.pk, {"active": False}, clock.now(), "ann@example.com")
    rows = {row.sequence.name: row for row in alice.get("/").context["rows"]}
    assert {name: row.state for name, row in rows.items()} == {
        "Running": "",
        "Being written": "draft",
        "Resting": "paused",
    }
    assert rows["Resting"].facts == "Paused by ann@example.com, Today"
    assert rows["Running"].facts == "Every day around 9:00"
    page = alice.get("/").content.decode()
    assert "when it runs again" in page
    assert "2 emails, 1 draft" in page


def test_unpublished_changes_of_a_published_email_are_said(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    sequence = make_sequence(account, {}, {})
    email = sequence.emails.order_by("position")[0]
    revision = drafts.of(email).revision
    drafts.save(account, sequence.pk, email.pk, {"subject": "Better"}, revision, clock.now(), "ann@example.com")
    assert [row.state for row in alice.get("/").context["rows"]] == ["changed"]
    page = alice.get("/").content.decode()
    assert "Unpublished changes" in page
    assert "2 emails, 1 changed" in page


def test_it_says_when_the_next_email_goes_and_never_a_time_that_has_passed(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    """The account is in New York, where the clock says 4:00."""
    make_enrollment(make_sequence(account, {}, name="Tomorrow"), make_subscriber(account), clock.now())
    late = make_enrollment(make_sequence(account, {}, name="Late"), make_subscriber(account), clock.now())
    Enrollment.objects.filter(pk=late.pk).update(due_at=clock.now() - timedelta(hours=2))
    make_sequence(account, {}, name="Empty")
    rows = {row.sequence.name: row.next_at for row in alice.get("/").context["rows"]}
    assert rows["Late"] == clock.now()
    assert rows["Empty"] is None
    assert "Tomorrow, 09:00" in alice.get("/").content.decode()


def test_another_zone_than_the_accounts_is_named(alice: Client, account: Account) -> None:
    make_sequence(account, {}, time_zone="Europe/Paris")
    assert "Every day around 9:00, Paris time" in alice.get("/").content.decode()


def test_the_trend_of_13_weeks_is_told_to_whoever_does_not_see_it(
    alice: Client, delivery: Delivery, clock: VirtualClock
) -> None:
    page = alice.get("/").content.decode()
    assert "Emails in each of the last 13 weeks, this one last: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1" in page
    assert 'points="0,20 ' in page


def test_it_finds_sequences_by_a_part_of_their_name(alice: Client, account: Account) -> None:
    for name in ("Welcome", "Well water", "Caves", "100% wool"):
        make_sequence(account, name=name)

    def found(text: str) -> list[str]:
        return [row.sequence.name for row in alice.get("/", {"q": text}).context["rows"]]

    assert found("wel") == ["Well water", "Welcome"]
    assert found("100%") == ["100% wool"]
    assert found("\0") != []
    assert "No sequence is called “nothing”" in alice.get("/", {"q": "nothing"}).content.decode()


def test_while_one_types_only_the_rows_come(alice: Client, account: Account) -> None:
    make_sequence(account, name="Caves")
    headers = {"HX-Request": "true", "HX-Target": "rows"}
    page = alice.get("/", {"q": "cav"}, headers=headers)
    assert "Caves" in page.content.decode()
    assert "<html" not in page.content.decode()
    assert "HX-Target" in page.headers["Vary"]


def test_a_long_list_is_turned_by_pages_and_keeps_what_is_looked_for(alice: Client, account: Account) -> None:
    for number in range(40):
        make_sequence(account, name=f"Letter {number}")
    first = alice.get("/", {"q": "letter"})
    assert len(first.context["rows"]) == 30
    older = alice.get(f"/{first.context['page'].older}")
    assert "q=letter" in first.context["page"].older
    assert [row.sequence.name for row in older.context["rows"]][-1] == "Letter 0"


def test_failures_of_this_week_are_counted_and_listed(
    alice: Client, account: Account, delivery: Delivery, clock: VirtualClock
) -> None:
    other = make_enrollment(place_of(delivery).sequence, make_subscriber(account, email_address="x@example.org"))
    make_delivery(other, "failed", reason=reasons.BOUNCED, reply="550 No such user")
    old = make_enrollment(place_of(delivery).sequence, make_subscriber(account))
    make_delivery(old, "failed", reason=reasons.BOUNCED, ended_at=MONDAY_9 - timedelta(days=8))
    assert alice.get("/").context["totals"].failed == 1
    page = alice.get("/deliveries", {"status": "failed"})
    assert len(page.context["page"].rows) == 2
    assert "550 No such user" in page.content.decode()
    assert len(alice.get("/deliveries").context["page"].rows) == 3
    assert "What was sent" in alice.get("/deliveries", {"status": "nonsense"}).content.decode()


def test_it_shows_mallory_nothing_of_it(mallory: Client, delivery: Delivery) -> None:
    page = mallory.get("/").content.decode()
    assert "Caves" not in page
    assert "bob@example.org" not in page


def test_it_costs_the_same_queries_however_many_sequences(
    alice: Client, account: Account, delivery: Delivery, django_assert_max_num_queries: object
) -> None:
    for _ in range(5):
        make_delivery(make_enrollment(make_sequence(account, {}), make_subscriber(account)))
    with django_assert_max_num_queries(31):  # type: ignore[operator]
        alice.get("/")


def test_it_says_that_sending_is_halted_and_since_when_on_the_accounts_clock(alice: Client, delivery: Delivery) -> None:
    Pulse.objects.create(beat_at=MONDAY_9, halted_at=MONDAY_9, halted_after=MONDAY_9 - timedelta(days=3))
    page = alice.get("/").content.decode()
    assert "had not run since Friday, 20 November 2026 at 04:00 (America/New_York), and mail is overdue." in page
    assert "resume-sending" in page
