"""What became of a sequence: the funnel, rates, how it went over time; the overview and the file."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine import reasons, transitions
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag

N_QUERIES = 20  # of a page, whatever it shows


@pytest.fixture
def course(account: Account, engine: Engine) -> Sequence:
    """Of seven people one is taken out before the first email, one unsubscribes from it, one's address does not exist,
    one is skipped, one skips the second by hand; the last two go through."""
    tagged = make_subscriber(account)
    tag = make_tag(account, tagged, name="VIP")
    sequence = make_sequence(
        account,
        {"subject": "One", "delay_value": 1, "delay_unit": "hours"},
        {"subject": "Two", "delay_value": 1, "delay_unit": "hours"},
        {"subject": "Three", "delay_value": 9, "delay_unit": "days"},
        exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}],
    )
    now = engine.clock.now()
    people = [tagged, *(make_subscriber(account) for _ in range(6))]
    _, out, leaves, bounces, skips, *_ = rows = [make_enrollment(sequence, one, now) for one in people]
    assert len(rows) == 7
    transitions.remove([out.pk], reasons.REMOVED_BY_OWNER, now)
    engine.run_until(now + timedelta(hours=1))
    transitions.cancel(leaves.subscriber_id, engine.clock.now(), delivery_id=delivery_to(leaves).pk)
    transitions.bounce(bounces.subscriber_id, engine.clock.now(), delivery_id=delivery_to(bounces).pk)
    places.skip(skips.pk, "owner", "", engine.clock.now())
    engine.run_until(now + timedelta(hours=2))
    return sequence


def delivery_to(place: Enrollment) -> Delivery:
    return Delivery.objects.get(enrollment=place)


def test_it_follows_people_from_email_to_email(alice: Client, course: Sequence) -> None:
    page = alice.get(f"/sequences/{course.pk}/report")
    one, two, three = page.context["steps"]
    assert (page.context["report"].entered, page.context["report"].sent) == (7, 7)
    assert [(was.n, was.words) for was in page.context["left_before"]] == [(1, "taken out")]
    assert (one.row.sent, two.row.sent, three.row.waiting) == (5, 2, 4)
    assert [(was.n, was.words) for was in one.skipped] == [(1, "they have the tag “VIP”, which this sequence excludes")]
    assert [(was.n, was.words) for was in two.skipped] == [
        (1, "they have the tag “VIP”, which this sequence excludes"),
        (1, "the owner skipped it"),
    ]
    assert [(was.n, was.words) for was in one.left] == [(1, "unsubscribed"), (1, "refused at delivery")]


def test_rates_are_of_what_was_sent(alice: Client, course: Sequence) -> None:
    row = alice.get(f"/sequences/{course.pk}/report").context["steps"][0].row
    assert (row.unsubscribed, row.unsubscribe_rate) == (1, 0.2)
    assert (row.refused, row.refusal_rate) == (1, 0.1667)


def test_everybody_is_somewhere(alice: Client, course: Sequence, engine: Engine) -> None:
    for days in (0, 5, 30):
        engine.run_until(engine.clock.now() + timedelta(days=days))
        report = alice.get(f"/sequences/{course.pk}/report").context["report"]
        assert report.entered == sum(row.waiting for row in report.rows) + report.left.total() == 7
        for row in report.rows:
            assert row.sent == Delivery.objects.filter(email=row.email, status="sent").count()
    assert report.left["completed"] == report.places["completed"] == 4


def test_over_time_it_says_when_they_were_sent_and_left(alice: Client, course: Sequence, engine: Engine) -> None:
    engine.run_until(engine.clock.now() + timedelta(days=10))
    page = alice.get(f"/sequences/{course.pk}/report")
    assert [column.total for column in page.context["sent_chart"].columns][-2:] == [7, 3]
    assert [one.name for one in page.context["left_chart"].series] == [
        "Completed the sequence",
        "Unsubscribed",
        "Refused at delivery",
        "Taken out",
    ]
    months = alice.get(f"/sequences/{course.pk}/report?span=all").context["sent_chart"].columns
    assert [(one.in_full, one.total) for one in months][-1:] == [("November 2026", 10)]


def test_a_deleted_email_stays_in_what_was_sent(
    alice: Client, account: Account, course: Sequence, engine: Engine
) -> None:
    edits.delete_email(account, course.pk, course.emails.get(position=0).pk, engine.clock.now(), "owner")
    engine.run()
    page = alice.get(f"/sequences/{course.pk}/report")
    report = page.context["report"]
    assert ([row.email.subject for row in report.rows], report.sent) == (["Two", "Three"], 7)
    assert (report.n_deleted, report.sent_of_deleted) == (1, 5)
    assert [(was.n, was.words) for was in page.context["left_since"]] == [
        (1, "unsubscribed"),
        (1, "refused at delivery"),
    ]


def test_the_file_has_a_line_per_email_and_no_formula(alice: Client, course: Sequence) -> None:
    course.emails.filter(position=1).update(subject="=1+1")
    answer = alice.get(f"/sequences/{course.pk}/report/file")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert answer["Content-Disposition"] == 'attachment; filename="course-report.csv"'
    assert [row["subject"] for row in rows] == ["One", "'=1+1", "Three"]
    assert (rows[0]["sent"], rows[0]["unsubscribed_after"], rows[0]["unsubscribe_rate"]) == ("5", "1", "0.2")


def test_all_sequences_stand_beside_each_other(alice: Client, account: Account, course: Sequence) -> None:
    make_sequence(account, name="Other")
    [other, first] = alice.get("/reports").context["rows"]
    assert (other[0].name, other[1].entered, other[2]) == ("Other", 0, None)
    assert (first[1].entered, first[1].sent, first[1].unsubscribed, first[1].refused) == (7, 7, 1, 1)


def test_it_takes_a_fixed_number_of_queries(
    alice: Client, account: Account, course: Sequence, django_assert_max_num_queries: Any
) -> None:
    for n in range(1, 9):
        make_sequence(account, {"subject": f"More {n}"})
    for path in (f"/sequences/{course.pk}/report", "/reports"):
        with django_assert_max_num_queries(N_QUERIES):
            alice.get(path)


def test_an_empty_sequence_has_nothing_to_report(alice: Client, account: Account) -> None:
    sequence = make_sequence(account)
    assert "Nothing to report yet" in alice.get(f"/sequences/{sequence.pk}/report").content.decode()


def test_the_sequence_leads_to_its_report(alice: Client, course: Sequence) -> None:
    assert (
        f'<a href="/sequences/{course.pk}/report">emails sent</a>'
        in alice.get(f"/sequences/{course.pk}").content.decode()
    )
