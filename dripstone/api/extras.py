"""What `include` adds to people in lists, each read for a whole page at once."""

from collections.abc import Collection, Sequence
from typing import Any

from dripstone.shapes import subscribers as shapes
from dripstone.shapes.instants import instant_or_none
from dripstone.subscribers import locations
from dripstone.subscribers.models import FormSubscription, Location, Subscriber, Tag, Tagging

PERSON = ("attribution", "tags", "location", "canceled_at")


def of_people(people: Sequence[Subscriber], include: Collection[str]) -> list[dict[str, Any]]:
    """For each of them, the members of PERSON that are included."""
    ids = [person.pk for person in people]
    tags = tags_of(ids) if "tags" in include else {}
    firsts = _first_forms(ids) if "attribution" in include else {}
    located = locations.of(ids) if "location" in include else {}
    return [
        _of_person(person, include, tags.get(person.pk, []), firsts.get(person.pk), located.get(person.pk))
        for person in people
    ]


def _of_person(
    person: Subscriber,
    include: Collection[str],
    tags: list[Tag],
    first_form: FormSubscription | None,
    where: Location | None,
) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if "attribution" in include:
        extras["attribution"] = shapes.attribution(first_form)
    if "tags" in include:
        extras["tags"] = [{"id": tag.pk, "name": tag.name} for tag in tags]
    if "location" in include:
        extras["location"] = shapes.location(where)
    if "canceled_at" in include:
        extras["canceled_at"] = instant_or_none(person.canceled_at)
    return extras


def tags_of(subscriber_ids: Collection[int]) -> dict[int, list[Tag]]:
    """By person, the oldest first; whoever has none is left out."""
    by_person: dict[int, list[Tag]] = {}
    for row in Tagging.objects.filter(subscriber_id__in=subscriber_ids).select_related("tag").order_by("tag_id"):
        by_person.setdefault(row.subscriber_id, []).append(row.tag)
    return by_person


def _first_forms(subscriber_ids: Collection[int]) -> dict[int, FormSubscription]:
    rows = FormSubscription.objects.filter(subscriber_id__in=subscriber_ids).select_related("form")
    return {row.subscriber_id: row for row in rows.order_by("subscriber_id", "id").distinct("subscriber_id")}
