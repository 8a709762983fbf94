"""Several calls at the same instant, with real commits."""

import itertools
from datetime import datetime

import pytest

from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.purchases import verbs
from dripstone.purchases.models import LineItem, Product, Purchase
from dripstone.subscribers.models import Subscriber
from tests.factories import a_purchase, make_account
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_purchase_is_made(now: datetime) -> None:
    account = make_account()
    body = a_purchase(transaction_id="t-1")
    results = together(lambda: verbs.upsert(account.pk, body, now, source="Shop", cause=causes.API))
    assert len({one.pk for one in results}) == 1
    assert Purchase.objects.count() == LineItem.objects.count() == Product.objects.count() == 1
    assert Subscriber.objects.count() == 1
    assert Event.objects.filter(type="purchase.created").count() == 1
    assert Event.objects.filter(type="subscriber.product_purchased").count() == 1


def test_one_purchase_is_made_for_different_addresses(now: datetime) -> None:
    """Whoever comes second leaves nobody behind."""
    account, numbers = make_account(), itertools.count()

    def tell() -> Purchase:
        body = a_purchase(transaction_id="t-1", email_address=f"reader{next(numbers)}@example.org")
        return verbs.upsert(account.pk, body, now, source="Shop", cause=causes.API)

    results = together(tell)
    assert len({(one.pk, one.subscriber_id) for one in results}) == 1
    assert Subscriber.objects.count() == Purchase.objects.count() == 1


def test_products_that_are_new_to_many_at_once_are_made_once(now: datetime) -> None:
    """In whatever order each names them."""
    account, numbers = make_account(), itertools.count()
    lines = [
        {"name": f"P{pid}", "pid": f"p{pid}", "lid": str(pid), "quantity": 1, "unit_price": 1} for pid in range(20)
    ]

    def tell() -> Purchase:
        number = next(numbers)
        told = lines if number % 2 else lines[::-1]
        body = a_purchase(email_address=f"reader{number}@example.org", products=told)
        return verbs.upsert(account.pk, body, now, source="Shop", cause=causes.API)

    results = together(tell)
    assert {type(one) for one in results} == {Purchase}
    assert Product.objects.count() == 20
    assert LineItem.objects.count() == 120


def test_lines_added_at_once_are_all_there(now: datetime) -> None:
    account, numbers = make_account(), itertools.count()

    def tell() -> Purchase:
        line = {"name": "Course", "pid": "course", "lid": str(next(numbers)), "quantity": 1, "unit_price": 1}
        body = a_purchase(transaction_id="t-1", products=[line])
        return verbs.upsert(account.pk, body, now, source="Shop", cause=causes.API)

    together(tell)
    assert sorted(LineItem.objects.values_list("lid", flat=True)) == ["0", "1", "2", "3", "4", "5"]
    assert Event.objects.filter(type="subscriber.product_purchased").count() == 6
