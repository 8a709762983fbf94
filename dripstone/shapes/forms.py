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


def form(form: Form, subscriber_count: int | None = None) -> FormShape:
    url = f"{settings.DRIPSTONE_URL}/f/{form.uid}"
    shape = FormShape(
        id=form.pk,
        name=form.name,
        created_at=instant(form.created_at),
        type=form.type,
        format=form.format,
        embed_js=f"{url}/index.js",
        embed_url=url,
        archived=form.status == Form.Status.ARCHIVED,
        uid=form.uid,
    )
    if subscriber_count is not None:
        shape["subscriber_count"] = subscriber_count
    return shape
