"""Forms, with all that Kit keeps to its app: what a form asks, says and adds."""

from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, YesNo, needs, one_of, one_of_or_null
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.given import MAX_ID
from dripstone.shapes import forms as shapes
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form

router = Router(tags=["Forms"])

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}


def _text(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "null"], "maxLength": most, "description": "Blank: the usual one."})


Line = Annotated[Any, _text(forms.MAX_LINE)]
Lines = Annotated[Any, _text(forms.MAX_TEXT)]
Url = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["string", "null"],
            "format": "uri",
            "maxLength": forms.MAX_URL,
            "description": "A page to go to, in place of the text.",
        }
    ),
]
Ids = Annotated[
    Any, WithJsonSchema({"type": ["array", "null"], "items": _ID, "maxItems": forms.MAX_THINGS, "uniqueItems": True})
]
Hourly = Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": forms.MAX_HOURLY})]


class FormChanges(Body):
    """`status`: `archived` and `trashed` forms take no sign-ups."""

    name: Name = MISSING
    type: Annotated[Any, one_of(*Form.Type.values)] = MISSING
    format: Annotated[Any, one_of_or_null(*forms.FORMATS)] = MISSING
    status: Annotated[Any, one_of(*Form.Status.values)] = MISSING
    opt_in: Annotated[Any, one_of(*Form.OptIn.values)] = MISSING
    heading: Line = MISSING
    description: Lines = MISSING
    address_label: Line = MISSING
    name_label: Line = MISSING
    button: Line = MISSING
    is_plain: YesNo = MISSING
    asks_first_name: YesNo = MISSING
    field_ids: Ids = MISSING
    tag_ids: Ids = MISSING
    sequence_ids: Ids = MISSING
    confirmation_subject: Line = MISSING
    confirmation_text: Lines = MISSING
    confirmation_button: Line = MISSING
    thanks_text: Lines = MISSING
    thanks_url: Url = MISSING
    confirmed_text: Lines = MISSING
    confirmed_url: Url = MISSING
    hourly_limit: Hourly = MISSING


class FormBody(FormChanges):
    """Embedded, with double opt-in, unless `type` and `opt_in` say otherwise."""

    model_config = needs("name")


UNNAMED = FormBody()


class FormFilters(Paging):
    status: Literal["active", "archived", "trashed", "all"] = "active"


class FormAnswer(TypedDict):
    form: shapes.FormShape


class WholeFormAnswer(TypedDict):
    form: shapes.WholeFormShape


class FormsAnswer(TypedDict):
    forms: list[shapes.WholeFormShape]
    pagination: Pagination


@router.get("/forms", response=FormsAnswer, summary="List forms with all their members")
def list_whole_forms(request: KitRequest, filters: Query[FormFilters]) -> HttpResponse:
    rows = request.auth.account.forms.all()
    found = page(rows if filters.status == "all" else rows.filter(status=filters.status), filters, "-id")
    return reply(200, forms=[shapes.whole_form(row) for row in found.rows], pagination=found.pagination)


@router.post("/forms", response={201: FormAnswer}, summary="Create a form")
def create_form(request: KitRequest, body: FormBody = UNNAMED) -> HttpResponse:
    """Answered as `/v4/forms` shows it."""
    account = request.auth.account
    form = forms.create(account.pk, body.given(), clock.now(), sequence_ids=_sequence_ids(account))
    return reply(201, form=shapes.form(form))


@router.get("/forms/{int:id}", response=WholeFormAnswer, summary="Get a form")
def get_form(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, form=shapes.whole_form(_form(request, id)))


@router.put("/forms/{int:id}", response=WholeFormAnswer, summary="Update a form")
def update_form(request: KitRequest, id: int, body: FormChanges) -> HttpResponse:
    """What is left out stays. Whoever is on the form is not touched."""
    form = forms.update(_form(request, id), body.given(), sequence_ids=_sequence_ids(request.auth.account))
    return reply(200, form=shapes.whole_form(form))


@router.delete("/forms/{int:id}", response={204: None}, summary="Delete a form")
def delete_form(request: KitRequest, id: int) -> HttpResponse:
    """It takes no sign-ups any more and is `trashed`, as `/v4/forms` calls it; whoever is on it stays."""
    forms.set_status(_form(request, id), Form.Status.TRASHED)
    return HttpResponse(status=204)


def _form(request: KitRequest, form_id: int) -> Form:
    return lookup.row(request.auth.account.forms.all(), form_id)


def _sequence_ids(account: Account) -> set[int]:
    return set(account.sequences.filter(deleted_at=None).values_list("pk", flat=True))
