"""Everything that is kept of one person, as a file they can be given."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, cast

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from typing_extensions import TypedDict

from dripstone.automations.models import Automation, Step, Walk
from dripstone.engine.models import Delivery, Enrollment, Note, Notice, places_of
from dripstone.events.models import Event
from dripstone.given import plain_address
from dripstone.purchases import verbs as purchases
from dripstone.purchases.models import Purchase
from dripstone.senders import inbox
from dripstone.shapes import deliveries as deliveries_shapes
from dripstone.shapes import enrollments as enrollments_shapes
from dripstone.shapes import purchases as purchases_shapes
from dripstone.shapes import subscribers as subscribers_shapes
from dripstone.shapes import tags
from dripstone.shapes.instants import instant, instant_or_none
from dripstone.subscribers import forms, locations
from dripstone.subscribers.models import CustomField, FormSubscription, SignUp, Subscriber, Tagging
from dripstone.tracking.models import Response

M = TypeVar("M", bound=Model)

AT_A_TIME = 500  # rows that are in memory
MOST_MESSAGES = 200  # captured ones, the newest: the inbox is for trying things out, and each may have megabytes

STAMPS = ("delivered_at", "opened_at", "clicked_at", "unsubscribed_at", "bounced_at", "complained_at")


class PersonShape(TypedDict):
    id: int
    email_address: str
    first_name: str | None
    state: str
    created_at: str
    updated_at: str
    canceled_at: str | None


class FieldValueShape(TypedDict):
    label: str
    key: str
    value: str


class FormEntryShape(TypedDict):
    form_id: int
    name: str
    added_at: str
    referrer: str | None
    referrer_utm_parameters: dict[str, str | None]


class SignUpShape(TypedDict):
    """A click that was asked for. `email_address` and `first_name` are what was typed then."""

    id: int
    form_id: int | None
    status: str
    email_address: str
    first_name: str | None
    fields: list[FieldValueShape]
    referrer: str | None
    referrer_utm_parameters: dict[str, str | None]
    asked_at: str
    ended_at: str | None


class PurchaseShape(purchases_shapes.PurchaseShape):
    shipping: float


class PlaceShape(enrollments_shapes.EnrollmentShape):
    sequence_name: str
    source: str
    removed_at: str | None
    notes: list[enrollments_shapes.NoteShape]


class SentShape(deliveries_shapes.DeliveryShape):
    """`came_back`: the stamps that there are, by name."""

    subject: str | None
    came_back: dict[str, str]


class NoticeShape(TypedDict):
    id: int
    kind: str
    email_address: str
    subject: str
    asked_at: str


class WalkStepShape(TypedDict):
    at: str
    what: str
    node: str
    reason: str


class WalkShape(TypedDict):
    """A run through an automation. `node`: where they stand, or stood last; `automation_name`: null where it was
    deleted; `log` goes back a year."""

    automation_id: int
    automation_name: str | None
    run: int
    entry: str
    entered_at: str
    node: str
    left_at: str | None
    left_because: str
    log: list[WalkStepShape]


class EventShape(TypedDict):
    id: int
    type: str
    occurred_at: str
    subject_id: int | None
    cause: list[str]
    data: dict[str, Any]


class CapturedShape(TypedDict):
    id: int
    to: str
    subject: str
    sent_at: str
    message_id: str
    text: str | None


class PersonFileShape(TypedDict):
    """`events` go back as far as they are kept (docs/decisions/retention.md), `captured_messages` 200 messages."""

    written_at: str
    subscriber: PersonShape
    fields: list[FieldValueShape]
    tags: list[tags.SubscriberTagShape]
    forms: list[FormEntryShape]
    sign_ups: list[SignUpShape]
    location: subscribers_shapes.PinShape | None
    purchases: list[PurchaseShape]
    enrollments: list[PlaceShape]
    deliveries: list[SentShape]
    notices: list[NoticeShape]
    automations: list[WalkShape]
    events: list[EventShape]
    captured_messages: list[CapturedShape]


def person_file(person: Subscriber, now: datetime) -> PersonFileShape:
    """All of it at once."""
    parts = _parts(person, now)
    return cast("PersonFileShape", {name: value if _is_whole(value) else list(value) for name, value in parts})


def _is_whole(value: Any) -> bool:
    """And no list, to be read item by item."""
    return value is None or isinstance(value, (str, dict))


def pieces(person: Subscriber, now: datetime) -> Iterator[bytes]:
    """`{"file": …}` as JSON, written while it is read: a few hundred rows, or one captured message, are in memory. All
    of one reading of the database."""
    with transaction.atomic():
        yield b'{"file": {'
        for number, (name, value) in enumerate(_parts(person, now)):
            yield f"{',' if number else ''}\n  {json.dumps(name)}: ".encode()
            if _is_whole(value):
                yield _json(value)
            else:
                yield from _array(value)
        yield b"\n}}\n"


def _array(items: Iterator[Any]) -> Iterator[bytes]:
    """Each in a line of its own."""
    yield b"["
    for number, item in enumerate(items):
        yield (b",\n    " if number else b"\n    ") + _json(item)
    yield b"]"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _parts(person: Subscriber, now: datetime) -> Iterator[tuple[str, Any]]:
    """The members of PersonFileShape in order; those that are lists as iterators, to be read in order. A fixed number
    of queries, two per place, and some for each 500 rows."""
    yield "written_at", instant(now)
    yield "subscriber", _person(person)
    yield "fields", iter(_fields(person, person.fields))
    yield "tags", (tags.subscriber_tag(one) for one in _own(Tagging, person).select_related("tag"))
    yield "forms", (_form(one) for one in _own(FormSubscription, person).select_related("form"))
    yield "sign_ups", (_sign_up(one) for one in _own(SignUp, person))
    yield "location", _location(person)
    yield "purchases", iter(_purchases(person))
    yield "enrollments", (_place(place) for place in places_of(person.account_id, person.pk).order_by("pk"))
    yield "deliveries", _deliveries(person)
    yield "notices", (_notice(one) for one in _own(Notice, person).defer("message"))
    yield "automations", _walks(person)
    events = Event.objects.filter(subscriber_id=person.pk).order_by("pk")
    yield "events", (_event(one) for rows in _by_hundreds(events) for one in rows)
    yield "captured_messages", _captured(person)


def _by_hundreds(rows: QuerySet[M]) -> Iterator[list[M]]:
    """Read through a cursor, inside a transaction; otherwise all at once."""
    read = rows.iterator(chunk_size=AT_A_TIME)
    while some := list(islice(read, AT_A_TIME)):
        yield some


def _own(model: Any, person: Subscriber) -> Any:
    return model.objects.filter(subscriber=person).order_by("pk")


def _person(person: Subscriber) -> PersonShape:
    return PersonShape(
        id=person.pk,
        email_address=person.email_address,
        first_name=person.first_name,
        state=person.state,
        created_at=instant(person.created_at),
        updated_at=instant(person.updated_at),
        canceled_at=instant_or_none(person.canceled_at),
    )


def _fields(person: Subscriber, values: Mapping[str, str]) -> Iterable[FieldValueShape]:
    """Those that have a value."""
    for field in CustomField.objects.filter(account=person.account_id).order_by("pk"):
        if (value := values.get(str(field.pk))) is not None:
            yield FieldValueShape(label=field.label, key=field.key, value=value)


def _form(entry: FormSubscription) -> FormEntryShape:
    origin = forms.origin_of(entry)
    return FormEntryShape(
        form_id=entry.form_id,
        name=entry.form.name,
        added_at=instant(entry.added_at),
        referrer=origin.referrer,
        referrer_utm_parameters=dict(origin.utm),
    )


def _sign_up(one: SignUp) -> SignUpShape:
    origin = forms.origin_of(one)
    return SignUpShape(
        id=one.pk,
        form_id=one.form_id,
        status=one.status,
        email_address=one.email_address,
        first_name=one.first_name,
        fields=list(_fields(one.subscriber, one.fields)),
        referrer=origin.referrer,
        referrer_utm_parameters=dict(origin.utm),
        asked_at=instant(one.asked_at),
        ended_at=instant_or_none(one.ended_at),
    )


def _location(person: Subscriber) -> subscribers_shapes.PinShape | None:
    row = locations.of([person.pk]).get(person.pk)
    return None if row is None else subscribers_shapes.pin(row)


def _purchases(person: Subscriber) -> list[PurchaseShape]:
    rows = list(_own(Purchase, person).select_related("subscriber"))
    purchases.with_lines(rows)
    return [PurchaseShape(**purchases_shapes.purchase(row), shipping=float(row.shipping)) for row in rows]


def _place(place: Enrollment) -> PlaceShape:
    rows = list(Note.objects.filter(enrollment=place).order_by("pk"))
    return PlaceShape(
        **enrollments_shapes.enrollment(place),
        sequence_name=place.sequence.name,
        source=place.source,
        removed_at=instant_or_none(place.removed_at),
        notes=enrollments_shapes.notes_of(place, rows),
    )


def _deliveries(person: Subscriber) -> Iterator[SentShape]:
    places, notices = places_of(person.account_id, person.pk), Notice.objects.filter(subscriber=person)
    ids = [list(rows.values_list("pk", flat=True)) for rows in (places, notices)]
    of_person = Q(enrollment__in=ids[0]) | Q(notice__in=ids[1]) | Q(broadcast_id__isnull=False, subscriber=person)
    for rows in _by_hundreds(Delivery.objects.filter(of_person).select_related("email", "notice").order_by("pk")):
        came_back = Response.objects.in_bulk([row.pk for row in rows])
        for row, shape in zip(rows, deliveries_shapes.deliveries(rows), strict=True):
            yield SentShape(**shape, subject=_subject(row), came_back=_stamps(came_back.get(row.pk)))


def _subject(row: Delivery) -> str | None:
    """Of an email as it is today, with its Liquid."""
    if row.notice is not None:
        return row.notice.subject
    return row.email.subject if row.email else None


def _stamps(response: Response | None) -> dict[str, str]:
    found = {name: getattr(response, name) for name in STAMPS} if response else {}
    return {name: instant(at) for name, at in found.items() if at}


def _notice(one: Notice) -> NoticeShape:
    return NoticeShape(
        id=one.pk, kind=one.kind, email_address=one.email_address, subject=one.subject, asked_at=instant(one.asked_at)
    )


def _walks(person: Subscriber) -> Iterator[WalkShape]:
    """All steps of one person are some hundreds."""
    names = dict(Automation.objects.filter(account=person.account_id).values_list("pk", "name"))
    steps: dict[tuple[int, int | None], list[WalkStepShape]] = defaultdict(list)
    for step in Step.objects.filter(subscriber_id=person.pk).order_by("pk"):
        shape = WalkStepShape(at=instant(step.at), what=step.what, node=step.node, reason=step.reason)
        steps[step.automation_id, step.run].append(shape)
    for one in Walk.objects.filter(subscriber_id=person.pk).order_by("pk"):
        yield WalkShape(
            automation_id=one.automation_id,
            automation_name=names.get(one.automation_id),
            run=one.run,
            entry=one.entry,
            entered_at=instant(one.entered_at),
            node=one.node,
            left_at=instant_or_none(one.left_at),
            left_because=one.left_because,
            log=steps[one.automation_id, one.run],
        )


def _event(one: Event) -> EventShape:
    return EventShape(
        id=one.pk,
        type=one.type,
        occurred_at=instant(one.occurred_at),
        subject_id=one.subject_id,
        cause=one.cause,
        data=one.data,
    )


def _captured(person: Subscriber) -> Iterator[CapturedShape]:
    rows = inbox.messages(person.account_id, plain_address(person.email_address)).order_by("-id")[:MOST_MESSAGES]
    names = CapturedShape.__annotations__
    for one in inbox.shapes(list(rows)[::-1]):
        yield CapturedShape(**{name: one[name] for name in names})  # type: ignore[typeddict-item]
