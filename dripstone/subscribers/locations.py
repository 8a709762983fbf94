"""Where people are, as somebody said. A pin has all its members, and another one replaces it whole."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from dripstone.errors import Invalid
from dripstone.given import MAX_NAME, Checked, Given, as_part
from dripstone.subscribers.countries import CODES
from dripstone.subscribers.models import Location, Subscriber, locked

LABELS = {
    "city": "City",
    "state_province": "State province",
    "country_code": "Country code",
    "latitude": "Latitude",
    "longitude": "Longitude",
    "timezone": "Timezone",
}


def check(given: Given) -> dict[str, Any]:
    """given   `{"location": {…}}`, with every member of LABELS

    Sound values of a Location's columns. Pure. Raises Invalid with every problem.
    """
    members = Checked(given).take("location", as_part)
    if not isinstance(members, Mapping):
        raise Invalid.member("location", "Location must be an object with city, state_province, country_code, "
                             "latitude, longitude and timezone")  # fmt: skip
    read = Checked(members, required=LABELS, labels=LABELS)
    read.name("city")
    read.name("state_province")
    _country(read)
    read.decimal("latitude", -90, 90)
    read.decimal("longitude", -180, 180)
    _time_zone(read)
    values = read.sound()
    return {"time_zone": values.pop("timezone"), **values}


def _country(read: Checked) -> None:
    read.words("country_code", MAX_NAME)
    code = read.values.get("country_code", "").strip().upper()
    if code in CODES:
        read.values["country_code"] = code
    elif code:
        read.wrong("country_code", "must be a country’s two letters (ISO 3166-1), such as US or DE")


def _time_zone(read: Checked) -> None:
    read.words("timezone", MAX_NAME)
    if "timezone" in read.values:
        read.time_zone("timezone")


def of(subscriber_ids: Collection[int]) -> dict[int, Location]:
    """Of those who have one."""
    return Location.objects.in_bulk(list(subscriber_ids))


@transaction.atomic
def pin(subscriber_id: int, given: Given, now: datetime) -> Location:
    """In place of the one there is. Raises Invalid, and NotFound when the person has been deleted."""
    values = check(given)
    person = locked(subscriber_id)
    location = Location(subscriber=person, account_id=person.account_id, pinned_at=now, **values)
    location.save()
    _touch(person, now)
    return location


@transaction.atomic
def unpin(subscriber_id: int, now: datetime) -> bool:
    """False: there was none. Raises NotFound when the person has been deleted."""
    person = locked(subscriber_id)
    deleted, _ = Location.objects.filter(subscriber=person).delete()
    if deleted:
        _touch(person, now)
    return deleted > 0


def _touch(person: Subscriber, now: datetime) -> None:
    """Where they are is shown with them, so they have changed."""
    person.updated_at = now
    person.save(update_fields=["updated_at"])
