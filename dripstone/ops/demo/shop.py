"""What some of the demo's people bought, and where they are: as a shop would tell it by the API."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from dripstone.accounts import brand
from dripstone.accounts.models import Account
from dripstone.events import causes
from dripstone.purchases import verbs
from dripstone.subscribers import locations
from dripstone.subscribers.models import Subscriber

SOURCE = "Shop of The Plain Letter"
COLORS = ["#1f5f57", "#c8553d", "#f2e9dc", "#2b2d42"]
PROFILE = {
    "name": "Robin Vale",
    "byline": "Letters that sound like people",
    "bio": "I write The Plain Letter, and help small shops and writers with their emails.",
    "profile_url": "https://plain-letter.example/robin",
}

WORKBOOK = {"name": "Write better emails: the workbook", "pid": "workbook", "unit_price": 24, "sku": "WB-1"}
REVIEW = {"name": "An hour on your emails", "pid": "review", "unit_price": 120, "sku": None}
POSTER = {"name": "The Plain Letter, a poster", "pid": "poster", "unit_price": 18.5, "sku": "P-A2"}

# address: (days ago, products, tax, shipping, discount, currency, status) of each purchase
BOUGHT: Mapping[str, list[tuple[float, list[dict[str, Any]], float, float, float, str, str]]] = {
    "hana.mori@example.org": [
        (9, [WORKBOOK], 2.4, 0, 0, "USD", "paid"),
        (2, [REVIEW, POSTER], 12, 6.5, 10, "USD", "paid"),
    ],
    "tomasz.wolny@example.com": [(6, [WORKBOOK], 4.56, 0, 0, "EUR", "paid")],
    "zoe.laurent@example.org": [(0.5, [POSTER], 3.7, 8, 0, "EUR", "refunded")],
}
PLACES: Mapping[str, tuple[str, str, str, float, float, str]] = {
    "hana.mori@example.org": ("Portland", "Oregon", "US", 45.52, -122.68, "America/Los_Angeles"),
    "tomasz.wolny@example.com": ("Gdańsk", "Pomerania", "PL", 54.35, 18.65, "Europe/Warsaw"),
    "ingrid.solberg@example.org": ("Bergen", "Vestland", "NO", 60.39, 5.32, "Europe/Oslo"),
    "zoe.laurent@example.org": ("Lyon", "Auvergne-Rhône-Alpes", "FR", 45.76, 4.84, "Europe/Paris"),
}


def load(account: Account, subscribers: Mapping[str, Subscriber], now: datetime) -> None:
    brand.set_colors(account, {"colors": COLORS})
    brand.write_profile(account, PROFILE)
    for address, place in PLACES.items():
        given = dict(zip(locations.LABELS, place, strict=True))
        locations.pin(subscribers[address].pk, {"location": given}, now)
    number = 4100
    for address, purchases in BOUGHT.items():
        for days, products, *amounts, currency, status in purchases:
            number += 1
            told = _told(address, f"PL-{number}", products, amounts, currency, status, now - timedelta(days=days))
            verbs.upsert(account.pk, {"purchase": told}, now, source=SOURCE, cause=causes.API)


def _told(
    address: str,
    transaction_id: str,
    products: list[dict[str, Any]],
    amounts: list[Any],
    currency: str,
    status: str,
    at: datetime,
) -> dict[str, Any]:
    tax, shipping, discount = amounts
    subtotal = sum(product["unit_price"] for product in products)
    return {
        "email_address": address,
        "transaction_id": transaction_id,
        "status": status,
        "subtotal": subtotal,
        "tax": tax,
        "shipping": shipping,
        "discount": discount,
        "total": subtotal + tax + shipping - discount,
        "currency": currency,
        "transaction_time": at.isoformat(),
        "products": [{**product, "lid": str(place), "quantity": 1} for place, product in enumerate(products, 1)],
    }
