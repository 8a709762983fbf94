"""On a person's pages: what they bought, and where they are."""

from datetime import datetime

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.events import causes
from dripstone.subscribers import locations, subscribe
from dripstone.subscribers.models import Subscriber
from tests.factories import a_location, make_purchase, make_subscriber
from tests.web.reading import text_of

BOOK = {"name": "Book", "pid": "book", "lid": "2", "quantity": 2, "unit_price": 9.99, "sku": "B-1"}


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, email_address="noor@example.org", first_name="Noor")


def test_who_bought_nothing_has_no_card_for_it(alice: Client, noor: Subscriber) -> None:
    assert "Purchases" not in text_of(alice.get(f"/people/{noor.pk}"))
    assert "Nothing bought yet" in text_of(alice.get(f"/people/{noor.pk}/purchases"))


def test_a_persons_page_shows_what_they_bought_last_and_in_all(
    alice: Client, account: Account, noor: Subscriber
) -> None:
    make_purchase(account, email_address=noor.email_address)
    make_purchase(account, email_address=noor.email_address, total=1200, currency="EUR", products=[BOOK])
    make_purchase(account, email_address=noor.email_address, total=9, status="refunded", products=[BOOK])
    shown = text_of(alice.get(f"/people/{noor.pk}"))
    assert "2 purchases, 1,200 EUR and 54.50 USD in all." in shown
    assert "Book · 9 USD Refunded" in shown
    assert "Bought “Book”, by API" in shown
    assert "A purchase was recorded, by API" in shown


def test_the_list_has_lines_sources_and_parts_of_the_total(alice: Client, account: Account, noor: Subscriber) -> None:
    make_purchase(account, email_address=noor.email_address, transaction_id="t-77", products=[BOOK], discount=5)
    shown = text_of(alice.get(f"/people/{noor.pk}/purchases"))
    for said in ("2 × Book", "19.98 USD · B-1", "54.50 USD", "Tax 4.50 USD", "Discount -5 USD", "t-77", "test"):
        assert said in shown


def test_many_purchases_take_as_many_queries_as_few(
    alice: Client, account: Account, noor: Subscriber, django_assert_max_num_queries: object
) -> None:
    for _ in range(6):
        make_purchase(account, email_address=noor.email_address)
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        alice.get(f"/people/{noor.pk}/purchases")


def test_where_somebody_is_is_said_changed_and_forgotten(alice: Client, noor: Subscriber, now: datetime) -> None:
    path = f"/people/{noor.pk}"
    assert "Say where" in text_of(alice.get(path))
    typed = {name: str(value) for name, value in a_location()["location"].items()}
    assert alice.post(f"{path}/location", typed)["Location"] == f"{path}#details"
    assert "Boise, Idaho, US" in text_of(alice.get(path))
    assert 'value="43.62"' in alice.get(f"{path}/location").content.decode()
    alice.post(f"{path}/location", typed | {"city": "Nampa"})
    assert locations.of([noor.pk])[noor.pk].city == "Nampa"
    alice.post(f"{path}/location/removal")
    assert locations.of([noor.pk]) == {}


def test_what_cannot_be_is_refused_beside_its_field(alice: Client, noor: Subscriber) -> None:
    typed = {name: str(value) for name, value in a_location(latitude="north")["location"].items()}
    answer = alice.post(f"/people/{noor.pk}/location", typed | {"city": ""})
    assert answer.status_code == 422
    shown = text_of(answer)
    assert "Latitude must be a number between -90 and 90" in shown
    assert "City can" in shown
    assert 'value="north"' in answer.content.decode()
    assert locations.of([noor.pk]) == {}


def test_a_viewer_sees_both_and_can_change_neither(
    viewer: Client, account: Account, noor: Subscriber, now: datetime
) -> None:
    make_purchase(account, email_address=noor.email_address)
    locations.pin(noor.pk, a_location(), now)
    shown = text_of(viewer.get(f"/people/{noor.pk}"))
    assert "54.50 USD" in shown
    assert "Boise, Idaho, US" in shown
    assert "Forget where they are" not in text_of(viewer.get(f"/people/{noor.pk}/location"))
    assert viewer.post(f"/people/{noor.pk}/location/removal").status_code == 403


def test_an_upsert_leaves_where_somebody_is(noor: Subscriber, now: datetime) -> None:
    locations.pin(noor.pk, a_location(), now)
    subscribe.upsert(noor.account_id, {"email_address": noor.email_address}, now, cause=causes.API)
    assert locations.of([noor.pk])[noor.pk].city == "Boise"
