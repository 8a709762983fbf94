"""Email templates: Kit makes them in its app only. Answered as /v4 shows them."""

from typing import Annotated

from django.http import HttpResponse
from ninja import Router
from pydantic import AfterValidator
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Name, Present, Sentence
from dripstone.api.replies import reply
from dripstone.content import library
from dripstone.shapes import content as shapes

router = Router(tags=["Email templates"])


def _template(html: str) -> str:
    if problems := library.template_problems(html):
        raise Sentence(problems[0])
    return html


class EmailTemplateBody(Body):
    name: Name
    html: Annotated[Present, AfterValidator(_template)]
    is_default: bool = False


class EmailTemplateAnswer(TypedDict):
    email_template: shapes.EmailTemplateShape


@router.post("/email_templates", response={201: EmailTemplateAnswer}, summary="Create an email template")
def create_email_template(request: KitRequest, body: EmailTemplateBody) -> HttpResponse:
    """`html` is Liquid; the email's own content goes where `{{ message_content }}` stands."""
    template = library.create_template(
        request.auth.account.pk, body.name, body.html, clock.now(), is_default=body.is_default
    )
    return reply(201, email_template=shapes.email_template(template))
