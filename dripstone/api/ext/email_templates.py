"""Email templates: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import NotRequired

from django.http import HttpResponse
from ninja import Query, Router, Schema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, Text, YesNo, needs
from dripstone.api.replies import reply
from dripstone.content import templates
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import templates as acts
from dripstone.shapes import email_templates as shapes

router = Router(tags=["Email templates"])


class EmailTemplateBody(Body):
    model_config = needs("name", "html")
    name: Name = MISSING
    html: Text = MISSING
    is_default: YesNo = MISSING


EMPTY = EmailTemplateBody()


class EmailTemplateChanges(Body):
    name: Name = MISSING
    html: Text = MISSING
    is_default: YesNo = MISSING


class Replacement(Schema):
    replacement_id: int | None = None


class EmailTemplateAnswer(TypedDict):
    email_template: shapes.EmailTemplateShape
    warnings: NotRequired[list[str]]


class WholeEmailTemplateAnswer(TypedDict):
    email_template: shapes.WholeEmailTemplateShape


@router.post("/email_templates", response={201: EmailTemplateAnswer}, summary="Create an email template")
def create_email_template(request: KitRequest, body: EmailTemplateBody = EMPTY) -> HttpResponse:
    """`html` is Liquid; the email's own content goes where `{{ message_content }}` stands."""
    template = templates.create(request.auth.account.pk, body.given(), clock.now(), request.auth.actor)
    said = templates.warnings(template)
    return reply(201, email_template=shapes.email_template(template), **({"warnings": said} if said else {}))


@router.get("/email_templates/{int:id}", response=WholeEmailTemplateAnswer, summary="Get an email template")
def get_email_template(request: KitRequest, id: int) -> HttpResponse:
    """With its `html`."""
    return reply(200, email_template=shapes.whole_email_template(_template(request, id)))


@router.put("/email_templates/{int:id}", response=EmailTemplateAnswer, summary="Update an email template")
def update_email_template(request: KitRequest, id: int, body: EmailTemplateChanges) -> HttpResponse:
    """What is left out stays. Emails get it with their next sending."""
    template = templates.update(_template(request, id), body.given(), clock.now(), request.auth.actor)
    said = templates.warnings(template)
    return reply(200, email_template=shapes.email_template(template), **({"warnings": said} if said else {}))


@router.delete("/email_templates/{int:id}", response={204: None}, summary="Delete an email template")
def delete_email_template(request: KitRequest, id: int, query: Query[Replacement]) -> HttpResponse:
    """Sequences and emails that have it get the one of `replacement_id`; 0: the account's default. Refused when there
    are some and it is left out."""
    template = _template(request, id)
    if query.replacement_id is None:
        acts.refuse_while_used(template)
    acts.delete(request.auth.account, template, query.replacement_id or None, clock.now(), request.auth.actor)
    return HttpResponse(status=204)


def _template(request: KitRequest, template_id: int) -> EmailTemplate:
    return lookup.row(request.auth.account.email_templates.all(), template_id)
