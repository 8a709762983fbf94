"""A subscriber, seen alone or from a tag, a form or a sequence."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired

from typing_extensions import TypedDict

from dripstone.grammar import kinds
from dripstone.shapes.instants import instant
from dripstone.subscribers import forms
from dripstone.subscribers.models import FormSubscription, Location, Subscriber

# {custom field id as text: key}, of all the account's fields: subscribers/fields.py keys_of()
FieldKeys = Mapping[str, str]


class AnybodyShape(TypedDict):
    """What is said of everybody, wherever they are seen."""

    id: int
    first_name: str | None
    email_address: str
    state: str
    created_at: str


class SlimShape(AnybodyShape):
    """In a list: `slim=true` leaves the fields out."""

    fields: NotRequired[dict[str, str | None]]


class PersonShape(AnybodyShape):
    """By themselves."""

    fields: dict[str, str | None]


class SubscriberShape(SlimShape):
    """However they are seen: what the functions below make, each a part of it."""

    added_at: NotRequired[str]
    tagged_at: NotRequired[str]
    referrer: NotRequired[str]
    referrer_utm_parameters: NotRequired[dict[str, str]]
    attribution: NotRequired["AttributionShape"]
    tags: NotRequired[list["NamedTagShape"]]
    location: NotRequired["LocationShape"]
    canceled_at: NotRequired[str | None]


class KnownShape(PersonShape):
    """All that is known of one."""

    location: "LocationShape"
    canceled_at: str | None


class ListedShape(SlimShape):
    """In the list of everybody: what `include` asks for."""

    attribution: NotRequired["AttributionShape"]
    tags: NotRequired[list["NamedTagShape"]]
    location: NotRequired["LocationShape"]
    canceled_at: NotRequired[str | None]


class TaggedShape(PersonShape):
    tagged_at: str


class ListedTaggedShape(SlimShape):
    tagged_at: str


class EnteredShape(PersonShape):
    """In a sequence."""

    added_at: str


class ListedEnteredShape(SlimShape):
    added_at: str


class ParametersShape(TypedDict):
    """subscribers/forms.py: UTM."""

    source: str
    medium: str
    campaign: str
    term: str
    content: str


class OnFormShape(EnteredShape):
    referrer: str
    referrer_utm_parameters: ParametersShape


class ListedOnFormShape(ListedEnteredShape):
    referrer: str
    referrer_utm_parameters: ParametersShape


class NamedTagShape(TypedDict):
    id: int
    name: str


class AttributionShape(TypedDict):
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    source_type: str | None
    source_name: str | None
    source_mechanism: str | None
    source_mechanism_id: int | None


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
    origin = forms.origin_of(subscription)
    shape["referrer"] = origin.referrer or ""
    shape["referrer_utm_parameters"] = {name: origin.utm.get(name, "") for name in forms.UTM}
    return shape


def attribution(subscription: FormSubscription | None) -> dict[str, Any]:
    """Where a subscriber came from, as far as their first form tells; all null when no form does."""
    origin = forms.origin_of(subscription) if subscription else forms.Origin()
    form = subscription.form if subscription else None
    return {
        **origin.columns(),
        "source_type": kinds.SOURCE if form else None,
        "source_name": form.name if form else None,
        "source_mechanism": _MECHANISMS[form.type] if form else None,
        "source_mechanism_id": form.pk if form else None,
    }


_MECHANISMS = {type: mechanism for mechanism, type in kinds.MECHANISMS.items()}


class LocationShape(TypedDict):
    city: str | None
    state: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    timezone: str | None


def location(row: Location | None) -> LocationShape:
    """As it is shown with a person; of whom nothing is known, all null."""
    if row is None:
        return LocationShape(city=None, state=None, country=None, latitude=None, longitude=None, timezone=None)
    return LocationShape(
        city=row.city,
        state=row.state_province,
        country=row.country_code,
        latitude=row.latitude,
        longitude=row.longitude,
        timezone=row.time_zone,
    )


class PinShape(TypedDict):
    city: str
    state_province: str
    country_code: str
    latitude: float
    longitude: float
    timezone: str


def pin(row: Location) -> PinShape:
    """As it was pinned: the same under other names."""
    return PinShape(
        city=row.city,
        state_province=row.state_province,
        country_code=row.country_code,
        latitude=row.latitude,
        longitude=row.longitude,
        timezone=row.time_zone,
    )
