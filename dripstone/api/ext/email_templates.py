"""Email templates: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import NotRequired

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, Text, YesNo, needs
from dripstone.api.replies import reply
from dripstone.content import templates
from dripstone.shapes import email_templates as shapes

router = Router(tags=["Email templates"])


class EmailTemplateBody(Body):
    model_config = needs("name", "html")
    name: Name = MISSING
    html: Text = MISSING
    is_default: YesNo = MISSING


EMPTY = EmailTemplateBody()


class EmailTemplateAnswer(TypedDict):
    email_template: shapes.EmailTemplateShape
    warnings: NotRequired[list[str]]


@router.post("/email_templates", response={201: EmailTemplateAnswer}, summary="Create an email template")
def create_email_template(request: KitRequest, body: EmailTemplateBody = EMPTY) -> HttpResponse:
    """`html` is Liquid; the email's own content goes where `{{ message_content }}` stands."""
    template = templates.create(request.auth.account.pk, body.given(), clock.now(), request.auth.actor)
    said = templates.warnings(template)
    return reply(201, email_template=shapes.email_template(template), **({"warnings": said} if said else {}))
