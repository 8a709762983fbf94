"""A purchase with its lines. Amounts are numbers, as Kit writes them: exact, since they have fifteen digits at most."""

from typing_extensions import TypedDict

from dripstone.purchases.models import Line, Product, Purchase
from dripstone.shapes.instants import instant


class LineShape(TypedDict):
    quantity: int
    lid: str
    unit_price: float
    sku: str | None
    name: str
    pid: str


class PurchaseShape(TypedDict):
    id: int
    transaction_id: str
    subscriber_id: int
    status: str
    email_address: str
    currency: str
    transaction_time: str
    subtotal: float
    discount: float
    tax: float
    total: float
    products: list[LineShape]
    source: str


def purchase(row: Purchase) -> PurchaseShape:
    """Of many: with `subscriber` selected, and their lines loaded (purchases.verbs.with_lines)."""
    return PurchaseShape(
        id=row.pk,
        transaction_id=row.transaction_id,
        subscriber_id=row.subscriber_id,
        status=row.status,
        email_address=row.subscriber.email_address,
        currency=row.currency,
        transaction_time=instant(row.transaction_time),
        subtotal=float(row.subtotal),
        discount=float(row.discount),
        tax=float(row.tax),
        total=float(row.total),
        products=[_line(one) for one in row.told],
        source=row.source,
    )


def _line(one: Line) -> LineShape:
    return LineShape(
        quantity=one.quantity,
        lid=one.lid,
        unit_price=float(one.unit_price),
        sku=one.sku,
        name=one.name,
        pid=one.pid,
    )


class ProductShape(TypedDict):
    id: int
    pid: str
    name: str
    created_at: str


def product(row: Product) -> ProductShape:
    return ProductShape(id=row.pk, pid=row.pid, name=row.name, created_at=instant(row.created_at))
