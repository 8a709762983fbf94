"""Ours: what Kit makes in its app only. Forms, segments and email templates, answered as /v4 shows them."""

from typing import Annotated, Literal

from django.http import HttpResponse
from ninja import Router
from pydantic import AfterValidator
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Id, Name, Part, Present, Sentence
from dripstone.api.people import SubscriberAnswer, keys_for, person_of
from dripstone.api.replies import reply
from dripstone.content import library
from dripstone.engine import transitions
from dripstone.shapes import content as content_shapes
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import forms, segments

router = Router(tags=["Making"])


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


class Condition(Part):
    """`ids` with tag, form and sequence; `key` and `value` with field. Operators: subscribers/segments.py."""

    type: Literal["tag", "form", "sequence", "field"]
    operator: str
    ids: list[Id] | None = None
    key: str | None = None
    value: str | None = None


class SegmentFilter(Part):
    match: Literal["all", "any"] = "all"
    conditions: list[Condition]


class SegmentBody(Body):
    name: Name
    filter: SegmentFilter


class SegmentAnswer(TypedDict):
    segment: shapes.SegmentShape


@router.post("/segments", response={201: SegmentAnswer}, summary="Create a segment")
def create_segment(request: KitRequest, body: SegmentBody) -> HttpResponse:
    """A saved filter over tags, forms, sequences and fields. Without conditions it holds everybody."""
    account = request.auth.account
    own = account.sequences.filter(deleted_at=None).values_list("pk", flat=True)
    segment = segments.create(account.pk, body.name, body.filter.model_dump(), clock.now(), sequence_ids=set(own))
    return reply(201, segment=shapes.segment(segment))


def _template(html: str) -> str:
    if problems := library.template_problems(html):
        raise Sentence(problems[0])
    return html


class EmailTemplateBody(Body):
    name: Name
    html: Annotated[Present, AfterValidator(_template)]
    is_default: bool = False


class EmailTemplateAnswer(TypedDict):
    email_template: content_shapes.EmailTemplateShape


@router.post("/email_templates", response={201: EmailTemplateAnswer}, summary="Create an email template")
def create_email_template(request: KitRequest, body: EmailTemplateBody) -> HttpResponse:
    """`html` is Liquid; the email's own content goes where `{{ message_content }}` stands."""
    template = library.create_template(
        request.auth.account.pk, body.name, body.html, clock.now(), is_default=body.is_default
    )
    return reply(201, email_template=content_shapes.email_template(template))


@router.post("/subscribers/{int:id}/confirmation", response=SubscriberAnswer, summary="Confirm a subscriber")
def confirm_subscriber(request: KitRequest, id: int) -> HttpResponse:
    """For people whose consent is on record elsewhere: inactive becomes active, and their sequences start now."""
    person = person_of(request, id)
    transitions.confirm(person.pk, clock.now())
    person.refresh_from_db()
    return reply(200, subscriber=shapes.subscriber(person, keys_for(request)))
