import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from dripstone.stats import places
from dripstone.tallies import verbs as tallies
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber, place_of

N_QUERIES = 15  # of the page, whatever it shows


def test_it_says_the_schedule_and_every_delay_in_words(alice: Client, account: Account) -> None:
    sequence = make_sequence(
        account,
        {"delay_value": 0, "subject": "Draft before all", "published": False},
        {"delay_value": 1, "subject": "First {{ subscriber.first_name }}"},
        {"delay_value": 4, "delay_unit": "hours", "subject": "<b>Second</b>"},
        send_days=[0, 1, 2, 3, 4],
        send_hour=9,
    )
    answer = alice.get(f"/sequences/{sequence.pk}")
    page = answer.content.decode()
    assert "Monday to Friday around 9:00, New York time" in page
    assert [(step.delay, step.days) for step in answer.context["steps"]] == [
        ("At once", ""),
        ("1 day after they enter, at 9:00", "Monday to Friday"),
        ("4 hours later", "any day, any hour"),
    ]
    assert 'First <span class="chip">first name</span>' in page
    assert "&lt;b&gt;Second&lt;/b&gt;" in page
    assert page.count(">Draft<") == 1


def test_a_course_of_drafts_is_told_as_it_will_be_published(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, *({"delay_value": days, "published": False} for days in (0, 1, 2)))
    steps = alice.get(f"/sequences/{sequence.pk}").context["steps"]
    assert [step.delay for step in steps] == ["At once", "1 day later, at 9:00", "2 days later, at 9:00"]
    last = sequence.emails.get(position=2)
    editor = alice.get(f"/sequences/{sequence.pk}/emails/{last.pk}").content.decode()
    assert "<b>Sent</b> 2 days later, at 9:00" in editor


def test_it_counts_sent_and_waiting_for_each_email(alice: Client, account: Account, delivery: Delivery) -> None:
    make_enrollment(place_of(delivery).sequence, make_subscriber(account))
    steps = alice.get(f"/sequences/{delivery.sequence_id}").context["steps"]
    assert [(step.sent, step.waiting) for step in steps] == [(1, 2), (0, 0)]


def test_it_says_when_the_next_person_gets_each_email(alice: Client, account: Account, now: datetime) -> None:
    sequence = make_sequence(account, {"delay_value": 2}, {"delay_value": 1})
    make_enrollment(sequence, make_subscriber(account, first_name="Noor"), now - timedelta(hours=12))
    make_enrollment(sequence, make_subscriber(account), now)
    answer = alice.get(f"/sequences/{sequence.pk}")
    assert [step.next_at for step in answer.context["steps"]] == [now + timedelta(days=1, hours=5), None]
    assert re.search(r"next email, to <a [^>]+>Noor</a>", answer.content.decode())
    Sequence.objects.update(active=False)
    assert alice.get(f"/sequences/{sequence.pk}").context["steps"][0].next_at is None


def test_it_says_how_far_it_looked_where_many_come_first(
    alice: Client, account: Account, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_DATES", 1)
    sequence = make_sequence(account, {"delay_value": 2}, {"delay_value": 9})
    make_enrollment(sequence, make_subscriber(account), now)
    late = make_enrollment(sequence, make_subscriber(account), now)
    second = sequence.emails.get(position=1)
    Enrollment.objects.filter(pk=late.pk).update(next_email=second, due_at=now + timedelta(days=9))
    tallies.differences(repair=True)
    steps = alice.get(f"/sequences/{sequence.pk}").context["steps"]
    assert [step.next_at for step in steps] == [now + timedelta(days=2, hours=5), None]
    assert steps[1].after == steps[0].next_at


@pytest.mark.parametrize("n_people", [1, 30])
def test_it_asks_the_database_as_often_for_many_people_and_emails(
    alice: Client, account: Account, n_people: int, django_assert_num_queries: Any
) -> None:
    sequence = make_sequence(account, *[{"delay_value": 1}] * n_people)
    for _ in range(n_people):
        make_enrollment(sequence, make_subscriber(account))
    with django_assert_num_queries(N_QUERIES):
        alice.get(f"/sequences/{sequence.pk}")


def test_it_says_when_a_sequence_is_paused_or_empty(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, active=False)
    page = alice.get(f"/sequences/{sequence.pk}").content.decode()
    assert "everybody keeps their place" in page
    assert "No emails yet" in page


@pytest.mark.parametrize("sequence_id", [0, 99999999999999999999])
def test_it_knows_no_impossible_sequence(alice: Client, sequence_id: int) -> None:
    assert alice.get(f"/sequences/{sequence_id}").status_code == 404


def test_it_hides_deleted_sequences_and_emails(
    alice: Client, account: Account, delivery: Delivery, clock: VirtualClock
) -> None:
    gone = make_sequence(account, deleted_at=clock.now())
    assert alice.get(f"/sequences/{gone.pk}").status_code == 404
    place_of(delivery).sequence.emails.filter(position=1).update(deleted_at=clock.now())
    assert len(alice.get(f"/sequences/{delivery.sequence_id}").context["steps"]) == 1
