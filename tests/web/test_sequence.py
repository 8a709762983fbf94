import re

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery
from dripstone.web import paging
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber, place_of


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
    assert [step.delay for step in answer.context["steps"]] == [
        "Right away",
        "1 day after they join",
        "4 hours after the one before",
    ]
    assert "First [first name]" in page
    assert "&lt;b&gt;Second&lt;/b&gt;" in page
    assert page.count(">Draft<") == 1


def test_it_counts_sent_and_waiting_for_each_email(alice: Client, account: Account, delivery: Delivery) -> None:
    make_enrollment(place_of(delivery).sequence, make_subscriber(account))
    steps = alice.get(f"/sequences/{delivery.sequence_id}").context["steps"]
    assert [(step.sent, step.waiting) for step in steps] == [(1, 2), (0, 0)]


def test_it_shows_people_with_their_state_and_next_due_instant(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account, email_address="bob@example.org"))
    make_enrollment(sequence, make_subscriber(account, state="inactive"))
    page = alice.get(f"/sequences/{sequence.pk}").content.decode()
    assert "bob@example.org" in page
    assert re.search(r"25 Nov( \d+)?, 09:00</time>", page)
    assert "once they confirm" in page


def test_it_filters_people_by_state(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account))
    make_enrollment(sequence, make_subscriber(account, state="inactive"))
    for status, expected in {"unconfirmed": 1, "completed": 0, "": 2, "nonsense": 2}.items():
        answer = alice.get(f"/sequences/{sequence.pk}?status={status}")
        assert len(answer.context["people"].rows) == expected


def test_it_pages_people_both_ways_and_keeps_the_filter(
    alice: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    ids = [make_enrollment(sequence, make_subscriber(account)).pk for _ in range(5)][::-1]
    monkeypatch.setattr(paging.page, "__defaults__", (2,))
    base = f"/sequences/{sequence.pk}"
    first = alice.get(f"{base}?status=active").context["people"]
    second = alice.get(base + first.older).context["people"]
    third = alice.get(base + second.older).context["people"]
    assert [[row.pk for row in page.rows] for page in (first, second, third)] == [ids[:2], ids[2:4], ids[4:]]
    assert (first.newer, third.older) == ("", "")
    assert first.older == f"?status=active&before={ids[1]}"
    back = alice.get(base + third.newer).context["people"]
    assert [row.pk for row in back.rows] == ids[2:4]


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "before=99999999999999999999", "after=٣", "before=", "after=0"]
)
def test_it_survives_nonsense_places(alice: Client, delivery: Delivery, query: str) -> None:
    assert alice.get(f"/sequences/{delivery.sequence_id}?{query}").status_code == 200


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
