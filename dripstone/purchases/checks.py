"""What a shop tells of a purchase: sound values, or a sentence for each problem.

JSON has its numbers as floats. An amount of at most fifteen digits comes out of one exactly as it was written, and is a
Decimal from here on. More than four decimals, which no currency has, come from arithmetic with floats and are rounded.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from dripstone.errors import Invalid
from dripstone.given import MAX_NAME, Checked, Given, is_number, is_whole, plain_address
from dripstone.purchases.currencies import CODES
from dripstone.purchases.models import DECIMALS

MAX_LINES = 1_000  # of a purchase
MAX_QUANTITY = 1_000_000_000
MAX_AMOUNT = 10_000_000_000
AMOUNTS = ("subtotal", "tax", "shipping", "discount", "total")
PAID = "paid"

REQUIRED = ("email_address", "transaction_id", *AMOUNTS, "currency", "products")
REQUIRED_OF_LINE = ("name", "pid", "lid", "quantity", "unit_price")
_BLANKS = {"email_address": "Email address is invalid", "transaction_id": "Transaction cannot be blank"}
_LABELS = {"email_address": "Email address"}
_STEP = Decimal(1).scaleb(-DECIMALS)
_NOT_PAID = ("pending", "failed", "cancelled", "canceled", "voided", "refunded")


def is_paid(status: str) -> bool:
    """Whether somebody bought something: shops have their own words, of which these say that nobody did."""
    return status.strip().lower() not in _NOT_PAID


def check(given: Given) -> dict[str, Any]:
    """given   `{"purchase": {…}}`, or its members themselves, as Kit's own client for PHP sends them

    Sound values by member; `status`, `transaction_time` and `first_name` only where they were given, and not null.
    `products` are dicts, each with its own `lid`. Raises Invalid with every problem.
    """
    members = given.get("purchase", given)
    if not isinstance(members, Mapping):
        raise Invalid.member("purchase", "purchase must be an object")
    read = Checked(members, required=REQUIRED, labels=_LABELS, blanks=_BLANKS)
    read.drop_nulls("status", "transaction_time", "first_name")
    read.address("email_address")
    read.text_or_null("first_name", MAX_NAME)
    _key(read, "transaction_id")
    read.words("status", MAX_NAME)
    for name in AMOUNTS:
        _amount(read, name)
    _currency(read)
    read.instant("transaction_time")
    read.values["products"] = _products(read)
    values = read.sound()
    return values | {"email_address": plain_address(values["email_address"])}


def _key(read: Checked, name: str) -> None:
    """What the shop calls something: a text, or a number, which is taken for its text."""
    value = read.take(name)
    if is_whole(value) and abs(value) < 10**MAX_NAME:
        read.values[name] = str(value)
    else:
        read.words(name, MAX_NAME)


def _amount(read: Checked, name: str) -> None:
    value = read.take(name)
    if value is None:
        read.blank(name)
    elif not is_number(value):
        read.wrong(name, "must be a number")
    elif abs(value) > MAX_AMOUNT:
        read.wrong(name, f"must be between {-MAX_AMOUNT:,} and {MAX_AMOUNT:,}")
    else:
        read.values[name] = Decimal(repr(value)).quantize(_STEP, ROUND_HALF_UP)


def _currency(read: Checked) -> None:
    read.words("currency")
    code = read.values.get("currency", "").strip().upper()
    if code in CODES:
        read.values["currency"] = code
    elif code:
        read.wrong("currency", "must be a currency’s three letters (ISO 4217), such as USD")


def _products(read: Checked) -> list[dict[str, Any]]:
    """Its lines, at least one, in the order given."""
    items = read.take("products")
    if items is None or items == []:
        read.blank("products")
    elif not isinstance(items, list):
        read.wrong("products", "must be an array")
    elif len(items) > MAX_LINES:
        read.wrong("products", f"can't have more than {MAX_LINES:,} entries")
    else:
        lines = [_line(read, f"products[{place}]", item) for place, item in enumerate(items)]
        _refuse_twins(read, lines)
        return lines
    return []


def _refuse_twins(read: Checked, lines: list[dict[str, Any]]) -> None:
    """Of two with the same `lid`, one would be lost."""
    seen: dict[str, int] = {}
    for place, line in enumerate(lines):
        lid = line.get("lid")
        if lid in seen:
            read.wrong(f"products[{place}].lid", f"is that of products[{seen[lid]}]: each line has its own")
        elif lid is not None:
            seen[lid] = place


def _line(outer: Checked, name: str, item: Any) -> dict[str, Any]:
    read = outer.inside(name, item, required=REQUIRED_OF_LINE)
    if read is None:
        return {}
    read.words("name", MAX_NAME)
    _key(read, "pid")
    _key(read, "lid")
    read.whole_number("quantity", 0, MAX_QUANTITY)
    _amount(read, "unit_price")
    if is_whole(read.take("sku")):
        _key(read, "sku")
    else:
        read.text_or_null("sku", MAX_NAME)
    return read.values
