"""What bulk calls answer of each entry; and a bulk job."""

from datetime import datetime
from typing import cast

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.shapes.subscribers import ParametersShape
from dripstone.subscribers import forms
from dripstone.subscribers.models import CustomField, FormSubscription, Subscriber


class PersonShape(TypedDict):
    id: int
    first_name: str | None
    email_address: str
    created_at: str


class BulkCreatedShape(PersonShape):
    state: str


class BulkTaggedShape(PersonShape):
    tagged_at: str


class BulkAddedShape(PersonShape):
    added_at: str
    referrer: str
    referrer_utm_parameters: ParametersShape


class BulkFieldShape(TypedDict):
    id: int
    key: str
    label: str
    name: str
    created_at: str


def person(person: Subscriber) -> BulkCreatedShape:
    return BulkCreatedShape(
        id=person.pk,
        first_name=person.first_name,
        email_address=person.email_address,
        state=person.state,
        created_at=instant(person.created_at),
    )


def tagged(person: Subscriber, tagged_at: datetime) -> BulkTaggedShape:
    return BulkTaggedShape(
        id=person.pk,
        first_name=person.first_name,
        email_address=person.email_address,
        created_at=instant(person.created_at),
        tagged_at=instant(tagged_at),
    )


def added(person: Subscriber, row: FormSubscription) -> BulkAddedShape:
    """Kit writes strings where there is no referrer, never null."""
    origin = forms.origin_of(row)
    return BulkAddedShape(
        id=person.pk,
        first_name=person.first_name,
        email_address=person.email_address,
        created_at=instant(person.created_at),
        added_at=instant(row.added_at),
        referrer=origin.referrer or "",
        referrer_utm_parameters=cast("ParametersShape", {name: origin.utm.get(name, "") for name in forms.UTM}),
    )


def custom_field(field: CustomField) -> BulkFieldShape:
    """With the time, which Kit shows in bulk answers alone."""
    return BulkFieldShape(
        id=field.pk, key=field.key, label=field.label, name=field.name, created_at=instant(field.created_at)
    )
