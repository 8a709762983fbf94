"""Forms and landing pages: https://developers.kit.com/api-reference/forms"""

from functools import partial
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Instant, one_of_many
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import (
    AddressBody,
    PeopleFilters,
    addressed,
    between,
    by_address,
    keys_for,
    narrow,
    order_of,
    person_of,
    total,
)
from dripstone.api.replies import reply
from dripstone.engine.acts import sign_ups
from dripstone.events import causes
from dripstone.given import Given
from dripstone.shapes import forms as shapes
from dripstone.shapes import subscribers as people_shapes
from dripstone.stats import people
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, FormSubscription, Subscriber

router = Router(tags=["Forms"])


class OnFormAnswer(TypedDict):
    subscriber: people_shapes.OnFormShape


class OnFormListAnswer(TypedDict):
    subscribers: list[people_shapes.ListedOnFormShape]
    pagination: Pagination


Referrer = Annotated[Any, WithJsonSchema({"type": ["string", "null"], "maxLength": forms.MAX_REFERRER})]


class ReferrerBody(Body):
    referrer: Referrer = MISSING


class FormAddressBody(AddressBody):
    referrer: Referrer = MISSING


NO_REFERRER = ReferrerBody()  # the body may be left out
NOBODY = FormAddressBody()


class FormFilters(Paging):
    status: Literal["active", "archived", "trashed", "all"] = "active"
    type: Literal["embed", "hosted"] | None = None
    include: Annotated[frozenset[str], one_of_many("subscriber_count")] = frozenset()


class AddedFilters(PeopleFilters):
    added_after: Instant | None = None
    added_before: Instant | None = None


class FormsAnswer(TypedDict):
    forms: list[shapes.FormShape]
    pagination: Pagination


@router.get("/forms", response=FormsAnswer, summary="List forms")
def list_forms(request: KitRequest, filters: Query[FormFilters]) -> HttpResponse:
    rows = request.auth.account.forms.all()
    if filters.status != "all":
        rows = rows.filter(status=filters.status)
    if filters.type:
        rows = rows.filter(type=filters.type)
    found = page(rows, filters, "-id")
    is_counted = "subscriber_count" in filters.include
    counts = people.active_on_forms([form.pk for form in found.rows]) if is_counted else {}
    shaped = [shapes.form(form, counts.get(form.pk)) for form in found.rows]
    return reply(200, forms=shaped, pagination=found.pagination)


@router.get("/forms/{int:form_id}/subscribers", response=OnFormListAnswer, summary="List subscribers for a form")
def list_form_subscribers(request: KitRequest, form_id: int, filters: Query[AddedFilters]) -> HttpResponse:
    form = _form(request, form_id)
    added = (filters.added_after, filters.added_before)
    rows = FormSubscription.objects.filter(form=form, subscriber__account=form.account_id).select_related("subscriber")
    rows = narrow(between(rows, "added_at", *added), filters, "subscriber__")
    order = order_of(filters, "subscriber__", added_at=added)
    found = page(rows, filters, *order, count=total(filters, partial(people.on_form, form.pk)))
    keys = keys_for(request, slim=filters.slim)
    shaped = [people_shapes.form_subscriber(row, keys) for row in found.rows]
    return reply(200, subscribers=shaped, pagination=found.pagination)


@router.post(
    "/forms/{int:form_id}/subscribers/{int:id}",
    response={200: OnFormAnswer, 201: OnFormAnswer},
    summary="Add subscriber to form",
)
def add_to_form(request: KitRequest, form_id: int, id: int, body: ReferrerBody = NO_REFERRER) -> HttpResponse:
    return _add(request, _form(request, form_id), person_of(request, id), body.given())


@router.post(
    "/forms/{int:form_id}/subscribers",
    response={200: OnFormAnswer, 201: OnFormAnswer},
    summary="Add subscriber to form by email address",
)
def add_address_to_form(request: KitRequest, form_id: int, body: FormAddressBody = NOBODY) -> HttpResponse:
    read = addressed(body.given(), "add subscriber to form")
    forms.read_entry(read)
    person = by_address(request, read)
    return _add(request, _form(request, form_id), person, body.given())


def _form(request: KitRequest, form_id: int) -> Form:
    return lookup.row(request.auth.account.forms.all(), form_id)


def _add(request: KitRequest, form: Form, person: Subscriber, given: Given) -> HttpResponse:
    subscription, is_new = sign_ups.add(form, person, given, clock.now(), cause=causes.API)
    return reply(201 if is_new else 200, subscriber=people_shapes.form_subscriber(subscription, keys_for(request)))
