"""A purchase is recorded once, told again as often as the shop likes, and makes the person who is not there."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.acts import forget
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.purchases import verbs
from dripstone.purchases.models import LineItem, Product, Purchase
from dripstone.subscribers.models import Subscriber
from tests.factories import a_purchase, make_account, make_subscriber

pytestmark = pytest.mark.django_db

COURSE = {"name": "Course", "pid": "course", "lid": "1", "quantity": 1, "unit_price": 50, "sku": None}
BOOK = {"name": "Book", "pid": "book", "lid": "2", "quantity": 2, "unit_price": 9.99, "sku": "B"}


@pytest.fixture
def told(now: datetime) -> Any:
    """Tells the account of a purchase `t-1`; `at`: of the clock."""
    account = make_account()

    def tell(*lines: dict[str, Any], at: datetime = now, **values: Any) -> Purchase:
        body = a_purchase(**{"transaction_id": "t-1", "products": list(lines or [COURSE]), **values})
        return verbs.upsert(account.pk, body, at, source="Shop", cause=causes.API)

    tell.account = account  # type: ignore[attr-defined]
    return tell


def happened(*but: str) -> list[tuple[str, int | None]]:
    """Events so far, with their subjects."""
    rows = Event.objects.exclude(type__in=but).order_by("pk").values_list("type", "subject_id")
    return list(rows)


def lines_of(purchase: Purchase) -> list[tuple[str, str, int]]:
    return list(purchase.lines.order_by("pk").values_list("lid", "product__pid", "quantity"))


def test_it_is_recorded_with_its_lines_and_its_person(told: Any, now: datetime) -> None:
    purchase = told(COURSE, BOOK, email_address="Rita@Example.org", first_name="Rita")
    person = Subscriber.objects.get()
    assert (person.email_address, person.first_name, person.state) == ("rita@example.org", "Rita", "active")
    assert (purchase.subscriber, purchase.source, purchase.is_paid) == (person, "Shop", True)
    assert lines_of(purchase) == [("1", "course", 1), ("2", "book", 2)]
    products = dict(Product.objects.values_list("pid", "pk"))
    assert happened() == [
        ("subscriber.created", None),
        ("subscriber.activated", None),
        ("purchase.created", purchase.pk),
        ("subscriber.product_purchased", products["course"]),
        ("subscriber.product_purchased", products["book"]),
    ]
    assert {one.subscriber_id for one in Event.objects.all()} == {person.pk}
    assert {tuple(one.cause) for one in Event.objects.all()} == {("api",)}
    assert Event.objects.filter(data={"purchase_id": purchase.pk}).count() == 2


def test_a_call_that_is_repeated_changes_nothing(told: Any) -> None:
    first = told(COURSE, BOOK)
    events = happened()
    again = told(COURSE, BOOK)
    assert again.pk == first.pk
    assert lines_of(again) == lines_of(first)
    assert happened() == events
    assert Subscriber.objects.count() == Purchase.objects.count() == 1
    assert LineItem.objects.count() == Product.objects.count() == 2


def test_a_line_with_a_new_lid_is_added_and_one_that_is_there_is_replaced(told: Any) -> None:
    first = told(COURSE)
    again = told({**COURSE, "quantity": 3}, BOOK, total=69.98)
    assert lines_of(again) == [("1", "course", 3), ("2", "book", 2)]
    assert (again.total, first.total) != (first.total, again.total)
    book = Product.objects.get(pid="book")
    assert happened()[-1] == ("subscriber.product_purchased", book.pk)
    assert len(happened("subscriber.created", "subscriber.activated")) == 3


def test_lines_that_are_not_told_again_stay(told: Any) -> None:
    told(COURSE)
    assert lines_of(told(BOOK)) == [("1", "course", 1), ("2", "book", 2)]


def test_a_line_that_becomes_another_product_is_told(told: Any) -> None:
    told(COURSE)
    again = told({**BOOK, "lid": "1"})
    assert lines_of(again) == [("1", "book", 2)]
    assert happened()[-1] == ("subscriber.product_purchased", Product.objects.get(pid="book").pk)


def test_amounts_and_status_are_what_is_told_last(told: Any, now: datetime) -> None:
    told(COURSE, total=54.5, currency="USD")
    told(COURSE, total=40, currency="EUR", status="refunded", at=now + timedelta(hours=1))
    purchase = Purchase.objects.get()
    assert (purchase.total, purchase.currency, purchase.status, purchase.is_paid) == (40, "EUR", "refunded", False)
    assert (purchase.created_at, purchase.updated_at) == (now, now + timedelta(hours=1))


def test_what_is_left_out_the_next_time_stays(told: Any, now: datetime) -> None:
    first = told(COURSE, status="completed", transaction_time="2026-01-02T03:04:05Z")
    told(COURSE, status=None, transaction_time=None, at=now + timedelta(days=1))
    purchase = Purchase.objects.get()
    assert (purchase.status, purchase.transaction_time) == ("completed", first.transaction_time)


def test_without_a_status_it_is_paid_and_without_a_time_it_is_now(told: Any, now: datetime) -> None:
    purchase = told(COURSE, status=None, transaction_time=None)
    assert (purchase.status, purchase.transaction_time) == ("paid", now)


def test_nothing_was_bought_until_it_is_paid(told: Any) -> None:
    told(COURSE, status="pending")
    assert happened()[-1][0] == "purchase.created"
    told(COURSE, BOOK, status="paid")
    assert [kind for kind, _ in happened()[-2:]] == ["subscriber.product_purchased"] * 2
    told(COURSE, BOOK, status="paid")
    assert len(happened()) == 5


def test_it_stays_with_its_person_whatever_address_it_says_by_now(told: Any) -> None:
    first = told(email_address="old@example.org")
    Subscriber.objects.update(email_address="new@example.org")
    assert told(email_address="old@example.org", status="refunded").subscriber_id == first.subscriber_id
    assert Subscriber.objects.count() == 1


@pytest.mark.parametrize("state", ["inactive", "bounced", "complained"])
def test_nobody_becomes_mailable_by_buying(told: Any, state: str) -> None:
    make_subscriber(told.account, email_address="reader@example.org", state=state)
    told(email_address="reader@example.org", first_name="Rita")
    assert Subscriber.objects.get().state == state
    assert happened()[0][0] == "purchase.created"


def test_somebody_who_left_and_was_deleted_comes_back_as_they_went(told: Any, now: datetime) -> None:
    account: Account = told.account
    gone = make_subscriber(account, email_address="reader@example.org", state="cancelled", canceled_at=now)
    forget.forget(account, gone.pk, "alice@example.com", now)
    told(email_address="reader@example.org")
    assert Subscriber.objects.get().state == "cancelled"


def test_a_purchase_alone_changes_nobody_who_is_there(told: Any, now: datetime) -> None:
    person = make_subscriber(told.account, email_address="reader@example.org", first_name="Rita")
    told(email_address="reader@example.org", at=now + timedelta(days=1))
    assert Subscriber.objects.get().updated_at == person.updated_at
    told(email_address="reader@example.org", first_name="Rina", transaction_id="t-2")
    assert Subscriber.objects.get().first_name == "Rina"


def test_a_transaction_is_one_of_its_account(told: Any, now: datetime) -> None:
    other = make_account("Mallory")
    body = a_purchase(transaction_id="t-1", products=[COURSE])
    told(COURSE)
    verbs.upsert(other.pk, body, now, source="Shop", cause=causes.API)
    assert Purchase.objects.count() == Product.objects.count() == Subscriber.objects.count() == 2


def test_a_product_keeps_the_name_it_had_first(told: Any) -> None:
    told(COURSE)
    told({**COURSE, "lid": "9", "name": "Course, signed"})
    assert Product.objects.get().name == "Course"
    assert list(LineItem.objects.order_by("pk").values_list("name", flat=True)) == ["Course", "Course, signed"]


def test_what_is_refused_changes_nothing(told: Any) -> None:
    many = [{**COURSE, "lid": str(number)} for number in range(1000)]
    told(*many)
    before = happened()
    with pytest.raises(Invalid, match="more than 1,000 products"):
        told({**COURSE, "lid": "one too many"}, status="refunded")
    assert (Purchase.objects.get().status, LineItem.objects.count(), happened()) == ("paid", 1000, before)


def test_a_deleted_person_takes_their_purchases_along_and_leaves_the_products(told: Any, now: datetime) -> None:
    purchase = told(COURSE)
    forget.forget(told.account, purchase.subscriber_id, "alice@example.com", now)
    assert Purchase.objects.count() == LineItem.objects.count() == 0
    assert Product.objects.count() == 1
    again = told(COURSE)
    assert again.subscriber_id != purchase.subscriber_id
