"""People and what is known of them: subscriber, tag, custom field, form, segment."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.subscribers.models import CustomField, Form, FormSubscription, Segment, Subscriber, Tag, Tagging

# {custom field id as text: key}, of all the account's fields: subscribers/fields.py keys_of()
FieldKeys = Mapping[str, str]

UTM = ("source", "medium", "campaign", "term", "content")


class SubscriberShape(TypedDict):
    """With `added_at` in a sequence or form, `tagged_at` in a tag; `fields` is left out of slim lists."""

    id: int
    first_name: str | None
    email_address: str
    state: str
    created_at: str
    added_at: NotRequired[str]
    tagged_at: NotRequired[str]
    fields: NotRequired[dict[str, str | None]]
    referrer: NotRequired[str]
    referrer_utm_parameters: NotRequired[dict[str, str]]
    attribution: NotRequired[dict[str, Any]]
    tags: NotRequired[list[dict[str, Any]]]
    location: NotRequired[dict[str, Any]]
    canceled_at: NotRequired[str | None]


class TagShape(TypedDict):
    id: int
    name: str
    created_at: str
    subscriber_count: NotRequired[int]


class SubscriberTagShape(TypedDict):
    id: int
    name: str
    tagged_at: str


class CustomFieldShape(TypedDict):
    id: int
    name: str
    key: str
    label: str


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


class SegmentShape(TypedDict):
    id: int
    name: str
    created_at: str


def subscriber(
    person: Subscriber,
    keys: FieldKeys | None,
    *,
    added_at: datetime | None = None,
    tagged_at: datetime | None = None,
) -> SubscriberShape:
    """keys   the account's custom fields; None leaves `fields` out (slim)
    added_at, tagged_at   when they entered the sequence or form, or got the tag, that is being looked at
    """
    shape = SubscriberShape(
        id=person.pk,
        first_name=person.first_name,
        email_address=person.email_address,
        state=person.state,
        created_at=instant(person.created_at),
    )
    if added_at:
        shape["added_at"] = instant(added_at)
    if tagged_at:
        shape["tagged_at"] = instant(tagged_at)
    if keys is not None:
        shape["fields"] = fields(person, keys)
    return shape


def fields(person: Subscriber, keys: FieldKeys) -> dict[str, str | None]:
    """Every custom field of the account, null where this person has no value."""
    return {key: person.fields.get(field_id) for field_id, key in keys.items()}


def form_subscriber(subscription: FormSubscription, keys: FieldKeys | None) -> SubscriberShape:
    """A subscriber as seen on a form. Kit writes strings where there is no referrer, never null."""
    shape = subscriber(subscription.subscriber, keys, added_at=subscription.added_at)
    shape["referrer"] = subscription.referrer or ""
    shape["referrer_utm_parameters"] = {name: value or "" for name, value in utm(subscription.referrer).items()}
    return shape


def utm(referrer: str | None) -> dict[str, str | None]:
    """`utm_source` and its like from a URL; None where absent. Any text will do."""
    try:
        query = parse_qs(urlsplit(referrer or "").query)
    except ValueError:
        query = {}
    return {name: query.get(f"utm_{name}", [None])[0] for name in UTM}


def attribution(subscription: FormSubscription | None) -> dict[str, Any]:
    """Where a subscriber came from, as far as their first form tells; all null when no form does."""
    campaign = utm(subscription.referrer if subscription else None)
    form = subscription.form if subscription else None
    return {
        "referrer": subscription.referrer if subscription else None,
        **{f"utm_{name}": value for name, value in campaign.items()},
        "source_type": "form_subscription" if form else None,
        "source_name": form.name if form else None,
        "source_mechanism": {"embed": "form", "hosted": "landing_page"}[form.type] if form else None,
        "source_mechanism_id": form.pk if form else None,
    }


def location() -> dict[str, None]:
    """Nothing is known of where people are."""
    return dict.fromkeys(("city", "state", "country", "latitude", "longitude", "timezone"))


def tag(tag: Tag, subscriber_count: int | None = None) -> TagShape:
    shape = TagShape(id=tag.pk, name=tag.name, created_at=instant(tag.created_at))
    if subscriber_count is not None:
        shape["subscriber_count"] = subscriber_count
    return shape


def subscriber_tag(tagging: Tagging) -> SubscriberTagShape:
    """A tag as one subscriber has it."""
    return SubscriberTagShape(id=tagging.tag_id, name=tagging.tag.name, tagged_at=instant(tagging.tagged_at))


def custom_field(field: CustomField) -> CustomFieldShape:
    return CustomFieldShape(id=field.pk, name=field.name, key=field.key, label=field.label)


def form(form: Form, subscriber_count: int | None = None) -> FormShape:
    url = f"{settings.DRIPSTONE_URL}/forms/{form.uid}"
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


def segment(segment: Segment) -> SegmentShape:
    return SegmentShape(id=segment.pk, name=segment.name, created_at=instant(segment.created_at))
