"""What people bought, as shops tell it: a purchase, its lines, and the products that these are of."""

from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from django.db import models
from django.utils.functional import cached_property

from dripstone.accounts.models import Account
from dripstone.subscribers.models import Subscriber

DIGITS, DECIMALS = 15, 4  # of an amount: what a number of JSON can say exactly, and as small as any currency goes


def _amount() -> "models.DecimalField[Any, Any]":
    return models.DecimalField(max_digits=DIGITS, decimal_places=DECIMALS)


class Product(models.Model):
    """What conditions and rules name. It comes with the first purchase of it, and stays."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="products", db_index=False)  # see Meta
    pid = models.TextField()  # what the shop calls it; one for all its variants
    name = models.TextField()  # as it was called first: variants have names of their own
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", "pid", name="product_of_account")]
        indexes: ClassVar = [models.Index("account", "id", name="products_of_account")]

    def __str__(self) -> str:
        return self.name


class Line(NamedTuple):
    """What answers and pages say of a line. pid: of its product."""

    quantity: int
    lid: str
    unit_price: Decimal
    sku: str | None
    name: str
    pid: str


class Purchase(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="purchases", db_index=False)  # see Meta
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="purchases", db_index=False)
    transaction_id = models.TextField()  # what the shop calls it
    status = models.TextField()  # in the shop's words
    is_paid = models.BooleanField()  # as the status says: checks.is_paid
    source = models.TextField()  # who told of it: the name of a key or app
    currency = models.CharField(max_length=3)  # ISO 4217
    transaction_time = models.DateTimeField()
    subtotal = _amount()
    tax = _amount()
    shipping = _amount()
    discount = _amount()
    total = _amount()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", "transaction_id", name="purchase_of_account")]
        indexes: ClassVar = [
            models.Index("account", "id", name="purchases_of_account"),  # the list, newest first
            models.Index("subscriber", "id", name="purchases_of_subscriber"),
        ]

    def __str__(self) -> str:
        return f"purchase {self.pk}"

    @cached_property
    def told(self) -> list[Line]:
        """Its lines, in the order in which they were told. Of many purchases verbs.with_lines loads them."""
        rows = sorted(self.lines.all(), key=lambda one: one.pk)
        return [Line(one.quantity, one.lid, one.unit_price, one.sku, one.name, one.product.pid) for one in rows]


class LineItem(models.Model):
    """So many of a product. What is told again of a line replaces it: verbs.py."""

    purchase = models.ForeignKey(Purchase, models.CASCADE, related_name="lines", db_index=False)  # line_of_purchase
    product = models.ForeignKey(Product, models.PROTECT, related_name="lines", db_index=False)  # see Meta
    lid = models.TextField()  # what the shop calls the line
    name = models.TextField()
    sku = models.TextField(null=True)
    quantity = models.PositiveIntegerField()
    unit_price = _amount()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("purchase", "lid", name="line_of_purchase")]
        indexes: ClassVar = [models.Index("product", "purchase", name="lines_of_product")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"
