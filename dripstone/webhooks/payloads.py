"""What a call says about an event: the person and the thing as they are when the call is made ready.

Rows are loaded in sets: a query per kind of thing, however many events. What is gone by then is told by its id alone.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Model, QuerySet

from dripstone import signing
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.purchases.models import Product, Purchase
from dripstone.sequences.models import Sequence
from dripstone.shapes import fields as field_shapes
from dripstone.shapes import forms as form_shapes
from dripstone.shapes import purchases as purchase_shapes
from dripstone.shapes import subscribers as people_shapes
from dripstone.shapes import tags as tag_shapes
from dripstone.shapes import webhooks as shapes
from dripstone.shapes.instants import instant
from dripstone.subscribers.fields import keys_of
from dripstone.subscribers.models import CustomField, Form, Subscriber, Tag
from dripstone.webhooks import kinds

MODELS: dict[str, type[Model]] = {
    "tag": Tag,
    "form": Form,
    "custom_field": CustomField,
    "sequence": Sequence,
    "product": Product,
    "purchase": Purchase,
}
# What the shape of one needs beside its row.
ROWS: dict[str, QuerySet[Any]] = {
    "purchase": Purchase.objects.select_related("subscriber").prefetch_related("lines__product")
}
SHAPES: dict[str, Any] = {
    "tag": tag_shapes.tag,
    "form": form_shapes.form,
    "custom_field": field_shapes.custom_field,
    "sequence": shapes.sequence,
    "product": purchase_shapes.product,
    "purchase": purchase_shapes.purchase,
}


@dataclass
class Material:
    """What the bodies about these events are made of."""

    events: list[Event]
    _keys: dict[int, dict[str, str]] = field(default_factory=dict)

    def person(self, event: Event) -> Mapping[str, Any]:
        found = self._people.get(event.subscriber_id or 0)
        if found is None or found.account_id != event.account_id:
            return {"id": event.subscriber_id}
        if event.account_id not in self._keys:
            self._keys[event.account_id] = keys_of(event.account_id)
        return people_shapes.subscriber(found, self._keys[event.account_id])

    def thing(self, event: Event) -> Mapping[str, Any]:
        kind = kinds.SUBJECTS[event.type]
        found: Any = self._things[kind].get(event.subject_id or 0)
        if found is None or found.account_id != event.account_id:
            return {"id": event.subject_id}
        shape: Mapping[str, Any] = SHAPES[kind](found)
        return shape

    @cached_property
    def _people(self) -> Mapping[int, Subscriber]:
        return Subscriber.objects.in_bulk({event.subscriber_id for event in self.events if event.subscriber_id})

    @cached_property
    def _things(self) -> Mapping[str, Mapping[int, Model]]:
        ids: dict[str, set[int]] = defaultdict(set)
        for event in self.events:
            if event.subject_id and (kind := kinds.SUBJECTS.get(event.type)):
                ids[kind].add(event.subject_id)
        return {
            kind: (ROWS[kind].all() if kind in ROWS else model._default_manager).in_bulk(ids[kind])
            for kind, model in MODELS.items()
        }


def event_json(event: Event, material: Material) -> str:
    """One of the `events` of a delivery to an endpoint."""
    return _json(
        {
            "id": str(id_of(event)),
            "type": kinds.HEARD_AS[event.type],
            "created": instant(event.occurred_at),
            "data": data(event, material),
        }
    )


def data(event: Event, material: Material) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if event.subscriber_id:
        found["subscriber"] = material.person(event)
    if kind := kinds.SUBJECTS.get(event.type):
        found[kind] = material.thing(event)
    return found | {name: event.data[name] for name in ("value", "purchase_id") if name in event.data}


def legacy(event: Event, material: Material) -> bytes:
    """The whole body for a webhook of before: the person, or what it is about when it is about nobody; of a purchase
    both."""
    if event.type == types.PURCHASE_CREATED:
        return _json(data(event, material)).encode()
    if event.subscriber_id:
        return _json({"subscriber": material.person(event)}).encode()
    return _json({kinds.SUBJECTS[event.type]: material.thing(event)}).encode()


def id_of(event: Event) -> uuid.UUID:
    """The same whenever it is asked for, to whomever it is told; another one on another server."""
    return uuid.UUID(bytes=signing.fingerprint("event", str(event.pk))[:16], version=5)


def delivery(call_id: int, events: Iterable[str]) -> bytes:
    return f'{{"delivery_id":{call_id},"events":[{",".join(events)}]}}'.encode()


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
