"""Forms: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import Literal

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Name
from dripstone.api.replies import reply
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import forms

router = Router(tags=["Forms"])


class FormBody(Body):
    name: Name
    type: Literal["embed", "hosted"] = "embed"
    format: Literal["inline", "modal", "slide in", "sticky bar"] | None = None


class FormAnswer(TypedDict):
    form: shapes.FormShape


@router.post("/forms", response={201: FormAnswer}, summary="Create a form")
def create_form(request: KitRequest, body: FormBody) -> HttpResponse:
    form = forms.create(request.auth.account.pk, body.name, clock.now(), type=body.type, format=body.format)
    return reply(201, form=shapes.form(form))
