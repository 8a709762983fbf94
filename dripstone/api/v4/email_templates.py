"""Email templates: https://developers.kit.com/api-reference/email-templates. ext/email_templates.py makes them."""

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.shapes import email_templates as shapes

router = Router(tags=["Email Templates"])


class EmailTemplatesAnswer(TypedDict):
    email_templates: list[shapes.EmailTemplateShape]
    pagination: Pagination


@router.get("/email_templates", response=EmailTemplatesAnswer, summary="List email templates")
def list_email_templates(request: KitRequest, paging: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.email_templates.all(), paging, "-id")
    shaped = [shapes.email_template(row) for row in found.rows]
    return reply(200, email_templates=shaped, pagination=found.pagination)
