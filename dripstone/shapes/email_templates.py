"""An email template."""

from typing_extensions import TypedDict

from dripstone.content.models import EmailTemplate


class EmailTemplateShape(TypedDict):
    id: int
    name: str
    is_default: bool
    category: str


def email_template(template: EmailTemplate) -> EmailTemplateShape:
    return EmailTemplateShape(
        id=template.pk, name=template.name, is_default=template.is_default, category=template.category
    )


class WholeEmailTemplateShape(EmailTemplateShape):
    html: str


def whole_email_template(template: EmailTemplate) -> WholeEmailTemplateShape:
    return WholeEmailTemplateShape(**email_template(template), html=template.html)
