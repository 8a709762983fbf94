"""Purchases: https://developers.kit.com/api-reference/purchases

purchases/checks.py checks the members of a body; the body class here is for the docs.
"""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import ConfigDict, WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import FullAccess, KitRequest
from dripstone.api.body import MISSING, Body
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.events import causes
from dripstone.given import MAX_ADDRESS, MAX_NAME
from dripstone.purchases import checks, verbs
from dripstone.purchases.currencies import CODES
from dripstone.purchases.models import Purchase
from dripstone.shapes import purchases as shapes

router = Router(auth=FullAccess(), tags=["Purchases"])

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"}
_KEY = {"anyOf": [_TEXT, {"type": "integer"}]}
_AMOUNT = {"type": "number", "minimum": -checks.MAX_AMOUNT, "maximum": checks.MAX_AMOUNT}
_LINE = {
    "type": "object",
    "required": list(checks.REQUIRED_OF_LINE),
    "properties": {
        "name": _TEXT,
        "pid": _KEY | {"description": "Your product's id, one for all its variants."},
        "lid": _KEY | {"description": "The line's id, unique in the purchase."},
        "quantity": {"type": "integer", "minimum": 0, "maximum": checks.MAX_QUANTITY},
        "unit_price": _AMOUNT,
        "sku": {"anyOf": [{"type": "string", "maxLength": MAX_NAME}, {"type": ["integer", "null"]}]},
    },
}
_PURCHASE = {
    "type": "object",
    "required": list(checks.REQUIRED),
    "properties": {
        "email_address": {"type": "string", "format": "email", "maxLength": MAX_ADDRESS},
        "first_name": {"type": ["string", "null"], "maxLength": MAX_NAME},
        "transaction_id": _KEY,
        "status": _TEXT | {"type": ["string", "null"]},
        **dict.fromkeys(checks.AMOUNTS, _AMOUNT),
        "currency": {"type": "string", "enum": sorted(CODES | {code.lower() for code in CODES})},
        "transaction_time": {"type": ["string", "null"], "format": "date-time"},
        "products": {"type": "array", "items": _LINE, "minItems": 1, "maxItems": checks.MAX_LINES},
    },
}


class PurchaseBody(Body):
    """Members that stand beside `purchase` are kept: Kit's client for PHP sends them without it."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"required": ["purchase"]})
    purchase: Annotated[Any, WithJsonSchema(_PURCHASE)] = MISSING


EMPTY = PurchaseBody()
# Columns of whoever bought it that no answer has.
UNSEEN = [
    f"subscriber__{name}"
    for name in ("first_name", "fields", "state", "created_at", "updated_at", "canceled_at", "left_through")
]


class PurchaseAnswer(TypedDict):
    purchase: shapes.PurchaseShape


class PurchasesAnswer(TypedDict):
    purchases: list[shapes.PurchaseShape]
    pagination: Pagination


@router.get("/purchases", response=PurchasesAnswer, summary="List purchases")
def list_purchases(request: KitRequest, paging: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.purchases.select_related("subscriber").defer(*UNSEEN), paging, "-id")
    verbs.with_lines(found.rows)
    return reply(200, purchases=[shapes.purchase(row) for row in found.rows], pagination=found.pagination)


@router.post("/purchases", response={201: PurchaseAnswer}, summary="Create a purchase")
def create_purchase(request: KitRequest, body: PurchaseBody = EMPTY) -> HttpResponse:
    """An upsert by `transaction_id`: told again, it has the status and amounts of the last call, and products with a
    `lid` that is new are added. Whoever has the address is on file from then on."""
    told, caller = body.given(), request.auth
    row = verbs.upsert(caller.account.pk, told, clock.now(), source=caller.name, cause=causes.API)
    return reply(201, purchase=_shaped(row))


@router.get("/purchases/{int:id}", response=PurchaseAnswer, summary="Get a purchase")
def get_purchase(request: KitRequest, id: int) -> HttpResponse:
    row = lookup.row(request.auth.account.purchases.select_related("subscriber"), id)
    return reply(200, purchase=_shaped(row))


def _shaped(row: Purchase) -> shapes.PurchaseShape:
    verbs.with_lines([row])
    return shapes.purchase(row)
