"""A subscriber, seen alone or from a tag, a form or a sequence."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired
from urllib.parse import parse_qs, urlsplit

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.subscribers.models import FormSubscription, Subscriber

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
