"""Custom fields: https://developers.kit.com/api-reference/custom-fields"""

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, needs
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.events import causes
from dripstone.shapes import fields as shapes
from dripstone.subscribers import fields
from dripstone.subscribers.models import CustomField

router = Router(tags=["Custom Fields"])


class CustomFieldBody(Body):
    model_config = needs("label")
    label: Name = MISSING


UNNAMED = CustomFieldBody()


class CustomFieldAnswer(TypedDict):
    custom_field: shapes.CustomFieldShape


class CustomFieldsAnswer(TypedDict):
    custom_fields: list[shapes.CustomFieldShape]
    pagination: Pagination


@router.get("/custom_fields", response=CustomFieldsAnswer, summary="List custom fields")
def list_custom_fields(request: KitRequest, paging: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.custom_fields.all(), paging, "-id")
    shaped = [shapes.custom_field(field) for field in found.rows]
    return reply(200, custom_fields=shaped, pagination=found.pagination)


@router.post(
    "/custom_fields", response={200: CustomFieldAnswer, 201: CustomFieldAnswer}, summary="Create a custom field"
)
def create_custom_field(request: KitRequest, body: CustomFieldBody = UNNAMED) -> HttpResponse:
    """200 with the existing field when the label, in any case, is taken."""
    field, is_new = fields.create(request.auth.account.pk, body.given(), clock.now(), cause=causes.API)
    return reply(201 if is_new else 200, custom_field=shapes.custom_field(field))


@router.put("/custom_fields/{int:id}", response=CustomFieldAnswer, summary="Update a custom field")
def update_custom_field(request: KitRequest, id: int, body: CustomFieldBody = UNNAMED) -> HttpResponse:
    return reply(200, custom_field=shapes.custom_field(fields.rename(_field(request, id), body.given())))


@router.delete("/custom_fields/{int:id}", response={204: None}, summary="Delete custom field")
def delete_custom_field(request: KitRequest, id: int) -> HttpResponse:
    fields.delete(_field(request, id), clock.now(), cause=causes.API)
    return no_content()


def _field(request: KitRequest, field_id: int) -> CustomField:
    return lookup.row(request.auth.account.custom_fields.all(), field_id)
