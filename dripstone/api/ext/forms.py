"""Forms: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, needs, one_of, one_of_or_null
from dripstone.api.replies import reply
from dripstone.shapes import forms as shapes
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form

router = Router(tags=["Forms"])


class FormBody(Body):
    """Embedded, unless `type` says otherwise."""

    model_config = needs("name")
    name: Name = MISSING
    type: Annotated[Any, one_of(*Form.Type.values)] = MISSING
    format: Annotated[Any, one_of_or_null(*forms.FORMATS)] = MISSING


UNNAMED = FormBody()


class FormAnswer(TypedDict):
    form: shapes.FormShape


@router.post("/forms", response={201: FormAnswer}, summary="Create a form")
def create_form(request: KitRequest, body: FormBody = UNNAMED) -> HttpResponse:
    form = forms.create(request.auth.account.pk, body.given(), clock.now())
    return reply(201, form=shapes.form(form))
