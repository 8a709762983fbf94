"""A purchase is recorded, once for each transaction of the shop, and told again as often as the shop likes.

    first      the person comes on file if they are not (subscribe.upsert: whoever left stays away), the purchase is
               made with its lines, `purchase.created` and a `subscriber.product_purchased` for each line are recorded
    again      it is the same person's, whatever address it says by now. Status, time and amounts are what is told last;
               a line with a `lid` that is there replaces it, any other is added, and told as above. So a call that is
               repeated because its answer got lost changes nothing
    two at once   one of them is the first
A crash here means nothing was changed: it is one transaction. It locks the person, the purchase, and the products that
are new, by pid.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record
from dripstone.given import Given
from dripstone.purchases import checks
from dripstone.purchases.models import Line, LineItem, Product, Purchase
from dripstone.subscribers import subscribe
from dripstone.subscribers.models import Subscriber, locked

ATTEMPTS = 3
_COLUMNS = ("status", "currency", "transaction_time", *checks.AMOUNTS)
_LINE_COLUMNS = ("name", "sku", "quantity", "unit_price")


def upsert(account_id: int, given: Given, now: datetime, *, source: str, cause: Cause) -> Purchase:
    """given    as checks.check says
    source   who tells of it: stays as it was when the purchase was made

    Raises Invalid with every problem.
    """
    values = checks.check(given)
    for _ in range(ATTEMPTS):
        # Somebody else made it, or its person was deleted, between the look and the lock.
        with suppress(IntegrityError, NotFound), transaction.atomic():
            known = Purchase.objects.filter(account_id=account_id, transaction_id=values["transaction_id"]).first()
            if known is None:
                return _add(account_id, values, now, source, cause)
            return _change(known, values, now, cause)
    raise Conflict


def with_lines(rows: Collection[Purchase]) -> None:
    """Loads `told` of purchases: one query, however many there are, and no rows of models. For a page of 500 purchases
    making those took longer than everything else."""
    found: dict[int, list[Line]] = {row.pk: [] for row in rows}
    columns = ("purchase", *Line._fields[:-1], "product__pid")
    for purchase_id, *values in LineItem.objects.filter(purchase__in=found).order_by("pk").values_list(*columns):
        found[purchase_id].append(Line._make(values))
    for row in rows:
        row.told = found[row.pk]


def _add(account_id: int, values: dict[str, Any], now: datetime, source: str, cause: Cause) -> Purchase:
    status = values.get("status", checks.PAID)
    told = {"transaction_time": now, **{name: values[name] for name in _COLUMNS if name in values}, "status": status}
    person = _person(account_id, values, now, cause)
    purchase = Purchase.objects.create(
        account_id=account_id,
        subscriber=person,
        transaction_id=values["transaction_id"],
        is_paid=checks.is_paid(status),
        source=source,
        created_at=now,
        updated_at=now,
        **told,
    )
    lines = _put(purchase, values["products"], now)
    created = event(
        types.PURCHASE_CREATED, account_id, now, cause=cause, subscriber_id=person.pk, subject_id=purchase.pk
    )
    record([created, *_bought(purchase, lines if purchase.is_paid else (), now, cause)])
    return purchase


def _person(account_id: int, values: dict[str, Any], now: datetime, cause: Cause) -> Subscriber:
    """Locked, and active if they are new. A purchase alone changes nobody who is there."""
    named: dict[str, Any] = {name: values[name] for name in ("email_address", "first_name") if name in values}
    known = None if "first_name" in named else subscribe.locked_by_address(account_id, values["email_address"])
    return known or subscribe.upsert(account_id, named, now, cause=cause).subscriber


def _change(known: Purchase, values: dict[str, Any], now: datetime, cause: Cause) -> Purchase:
    """Raises NotFound when it has been deleted, with its person, meanwhile."""
    person = locked(known.subscriber_id)
    purchase = Purchase.objects.select_for_update().get(pk=known.pk)
    purchase.subscriber = person
    told = {name: values[name] for name in _COLUMNS if name in values}
    was_paid, is_paid = purchase.is_paid, checks.is_paid(told.get("status", purchase.status))
    told |= {"is_paid": is_paid, "updated_at": now}
    Purchase.objects.filter(pk=purchase.pk).update(**told)
    for name, value in told.items():
        setattr(purchase, name, value)
    before = set(purchase.lines.values_list("lid", "product")) if was_paid else set()
    lines = _put(purchase, values["products"], now)
    fresh = [line for line in lines if (line.lid, line.product_id) not in before]
    record(_bought(purchase, fresh if is_paid else (), now, cause))
    return purchase


def _put(purchase: Purchase, told: list[dict[str, Any]], now: datetime) -> list[LineItem]:
    """Adds these lines, or puts them in place of those with their `lid`. Returns all that the purchase has."""
    products = _products(purchase.account_id, {one["pid"]: one["name"] for one in reversed(told)}, now)
    LineItem.objects.bulk_create(
        [
            LineItem(
                purchase=purchase,
                product_id=products[one["pid"]],
                lid=one["lid"],
                **{name: one.get(name) for name in _LINE_COLUMNS},
            )
            for one in told
        ],
        update_conflicts=True,
        unique_fields=["purchase", "lid"],
        update_fields=["product", *_LINE_COLUMNS],
    )
    lines = list(purchase.lines.order_by("pk"))
    if len(lines) > checks.MAX_LINES:
        raise Invalid.member("products", f"A purchase can't have more than {checks.MAX_LINES:,} products")
    return lines


def _products(account_id: int, names: dict[str, str], now: datetime) -> dict[str, int]:
    """Ids by pid; those that are not there are made. Their names stay as they are: one row per product is shared by all
    who buy it at once, so a purchase must not write it."""
    rows = Product.objects.filter(account_id=account_id, pid__in=names).values_list("pid", "pk")
    found = dict(rows)
    if missing := sorted(names.keys() - found.keys()):
        new = [Product(account_id=account_id, pid=pid, name=names[pid], created_at=now) for pid in missing]
        Product.objects.bulk_create(new, ignore_conflicts=True)
        found = dict(rows.all())
    return found


def _bought(purchase: Purchase, lines: Iterable[LineItem], now: datetime, cause: Cause) -> list[Event]:
    """About the product, one for each line."""
    return [
        event(
            types.PRODUCT_PURCHASED,
            purchase.account_id,
            now,
            cause=cause,
            subscriber_id=purchase.subscriber_id,
            subject_id=line.product_id,
            purchase_id=purchase.pk,
        )
        for line in lines
    ]
