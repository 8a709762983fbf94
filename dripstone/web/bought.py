"""What people bought, for pages: amounts in words, lines in the order they were told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, QuerySet, Sum

from dripstone import words
from dripstone.purchases import verbs
from dripstone.purchases.models import Line, Purchase
from dripstone.subscribers.models import Subscriber

NAMED = 3  # products, where there is little room


@dataclass(frozen=True, slots=True)
class Bought:
    """One purchase.

    names   of what was bought; of many the first ones
    lines   each with what it comes to
    parts   what the total is made of beside the lines, where there is something
    """

    row: Purchase
    total: str
    names: str
    lines: list[tuple[Line, str]]
    parts: list[tuple[str, str]]


def of_person(found: Subscriber) -> QuerySet[Purchase]:
    return Purchase.objects.filter(subscriber=found)


def shown(rows: Iterable[Purchase]) -> list[Bought]:
    """A query for the lines of all, however many there are."""
    rows = list(rows)
    verbs.with_lines(rows)
    return [_one(row) for row in rows]


def _one(row: Purchase) -> Bought:
    amounts: Mapping[str, Decimal] = {"Tax": row.tax, "Shipping": row.shipping, "Discount": -row.discount}
    return Bought(
        row,
        words.money(row.total, row.currency),
        _names([line.name for line in row.told]),
        [(line, words.money(line.unit_price * line.quantity, row.currency)) for line in row.told],
        [(name, words.money(amount, row.currency)) for name, amount in amounts.items() if amount],
    )


def _names(names: list[str]) -> str:
    more = [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []
    return words.listed([*names[:NAMED], *more])


def in_all(found: Subscriber) -> str:
    """`3 purchases, 92.58 USD and 10 EUR in all`: those that were paid; "" if there are none."""
    sums = of_person(found).filter(is_paid=True).values("currency").annotate(n=Count("pk"), sum=Sum("total"))
    rows = sorted(sums, key=lambda row: (-row["n"], row["currency"]))
    if not rows:
        return ""
    amounts = words.listed(words.money(row["sum"], row["currency"]) for row in rows)
    return f"{words.count(sum(row['n'] for row in rows), 'purchase')}, {amounts} in all"
