"""A form."""

from typing import NotRequired

from django.conf import settings
from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.subscribers.models import Form


class FormShape(TypedDict):
    id: int
    name: str
    created_at: str
    type: str
    format: str | None
    embed_js: str
    embed_url: str
    archived: bool
    uid: str
    subscriber_count: NotRequired[int]


class WholeFormShape(FormShape):
    """With what Kit keeps to its app. A text that is "" is the usual one."""

    status: str
    opt_in: str
    heading: str
    description: str
    address_label: str
    name_label: str
    button: str
    is_plain: bool
    asks_first_name: bool
    field_ids: list[int]
    tag_ids: list[int]
    sequence_ids: list[int]
    confirmation_subject: str
    confirmation_text: str
    confirmation_button: str
    thanks_text: str
    thanks_url: str
    confirmed_text: str
    confirmed_url: str
    hourly_limit: int


def embed_url(form: Form) -> str:
    """Its own page, which also takes the posts of plain HTML."""
    return f"{settings.DRIPSTONE_URL}/f/{form.uid}"


def embed_js(form: Form) -> str:
    return f"{embed_url(form)}/index.js"


def form(form: Form, subscriber_count: int | None = None) -> FormShape:
    shape = FormShape(
        id=form.pk,
        name=form.name,
        created_at=instant(form.created_at),
        type=form.type,
        format=form.format,
        embed_js=embed_js(form),
        embed_url=embed_url(form),
        archived=form.status == Form.Status.ARCHIVED,
        uid=form.uid,
    )
    if subscriber_count is not None:
        shape["subscriber_count"] = subscriber_count
    return shape


def whole_form(row: Form) -> WholeFormShape:
    return WholeFormShape(
        **form(row),
        status=row.status,
        opt_in=row.opt_in,
        heading=row.heading,
        description=row.description,
        address_label=row.address_label,
        name_label=row.name_label,
        button=row.button,
        is_plain=row.is_plain,
        asks_first_name=row.asks_first_name,
        field_ids=row.field_ids,
        tag_ids=row.tag_ids,
        sequence_ids=row.sequence_ids,
        confirmation_subject=row.confirmation_subject,
        confirmation_text=row.confirmation_text,
        confirmation_button=row.confirmation_button,
        thanks_text=row.thanks_text,
        thanks_url=row.thanks_url,
        confirmed_text=row.confirmed_text,
        confirmed_url=row.confirmed_url,
        hourly_limit=row.hourly_limit,
    )
