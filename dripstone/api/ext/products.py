"""Products: what purchases were of. They come with purchases; conditions name them by the ids here."""

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.shapes import purchases as shapes

router = Router(tags=["Purchases"])


class ProductsAnswer(TypedDict):
    products: list[shapes.ProductShape]
    pagination: Pagination


@router.get("/products", response=ProductsAnswer, summary="List products")
def list_products(request: KitRequest, paging: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.products.all(), paging, "-id")
    return reply(200, products=[shapes.product(row) for row in found.rows], pagination=found.pagination)
