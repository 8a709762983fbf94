from contextlib import closing

import pytest
from django.db import connection
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery
from dripstone.web import paging
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber


def test_it_shows_people_with_their_state_and_next_due_instant(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account, email_address="bob@example.org"))
    make_enrollment(sequence, make_subscriber(account, state="inactive"))
    page = alice.get(f"/sequences/{sequence.pk}/people").content.decode()
    assert "bob@example.org" in page
    assert "25 Nov, 09:00</time>" in page
    assert "once they confirm" in page


def test_it_filters_people_by_state(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account))
    make_enrollment(sequence, make_subscriber(account, state="inactive"))
    for status, expected in {"unconfirmed": 1, "completed": 0, "": 2, "nonsense": 2}.items():
        answer = alice.get(f"/sequences/{sequence.pk}/people?status={status}")
        assert len(answer.context["people"].rows) == expected


def test_it_pages_people_both_ways_and_keeps_the_filter(
    alice: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence = make_sequence(account, {"delay_value": 2})
    ids = [make_enrollment(sequence, make_subscriber(account)).pk for _ in range(5)][::-1]
    monkeypatch.setattr(paging.page, "__defaults__", (2,))
    base = f"/sequences/{sequence.pk}/people"
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
    assert alice.get(f"/sequences/{delivery.sequence_id}/people?{query}").status_code == 200


def test_it_shows_who_waits_for_an_email(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"delay_value": 2, "subject": "Hello {{ subscriber.first_name }}"}, {})
    make_enrollment(sequence, make_subscriber(account))
    make_enrollment(sequence, make_subscriber(account, state="inactive"))
    first, second = sequence.emails.order_by("position")
    answer = alice.get(f"/sequences/{sequence.pk}/people?waiting={first.pk}")
    assert len(answer.context["people"].rows) == 1
    assert "Waiting for “Hello [first name]”" in answer.content.decode()
    assert alice.get(f"/sequences/{sequence.pk}/people?waiting={second.pk}").context["people"].rows == []


@pytest.mark.django_db(transaction=True)
def test_who_waits_comes_after_the_page_if_it_takes_longer(alice: Client, account: Account) -> None:
    """Somebody else holds the table, so that nobody is found within the page's time."""
    sequence = make_sequence(account, {"delay_value": 2})
    make_enrollment(sequence, make_subscriber(account, email_address="bob@example.org"))
    path = f"/sequences/{sequence.pk}/people?waiting={sequence.emails.get().pk}"
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE engine_enrollment IN ACCESS EXCLUSIVE MODE")
        page = alice.get(path)
    assert f'hx-get="{path}"' in page.content.decode()
    assert "bob@example.org" in alice.get(page.context["long"]).content.decode()
    part = alice.get(path, headers={"HX-Target": "people"}).content.decode()
    assert "bob@example.org" in part
    assert "<html" not in part


@pytest.mark.parametrize("waiting", ["x", "0", "99999999999999999999", ""])
def test_it_shows_everybody_for_an_email_that_is_not_there(alice: Client, delivery: Delivery, waiting: str) -> None:
    answer = alice.get(f"/sequences/{delivery.sequence_id}/people?waiting={waiting}")
    assert len(answer.context["people"].rows) == 1
