"""A version of an email."""

from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.sequences.models import EmailVersion
from dripstone.shapes.instants import instant


class EmailVersionShape(TypedDict):
    id: int
    number: int
    subject: str
    preview_text: str | None
    email_template_id: int | None
    published_at: str
    published_by: str
    content: NotRequired[str | None]


def email_version(row: EmailVersion, *, with_content: bool = True) -> EmailVersionShape:
    """`published_by` is "" if it is not known."""
    shape = EmailVersionShape(
        id=row.pk,
        number=row.number,
        subject=row.subject,
        preview_text=row.preview_text,
        email_template_id=row.email_template_id,
        published_at=instant(row.published_at),
        published_by=row.published_by,
    )
    if with_content:
        shape["content"] = row.content
    return shape
