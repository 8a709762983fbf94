"""Turns events into calls.

Takes       events in the order of their numbers, of accounts that have somebody who listens
Leaves      calls, planned, in the same transaction as the reader's place among the events
A crash here means that they are read again, and that the first try has left nothing: no event is lost or told twice.

An endpoint hears the events in their order. Those of one kind that follow one another go in one call, up to a hundred
and to half a megabyte. Where nobody listens, events are stepped over without being read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import QuerySet

from dripstone.calls import queue
from dripstone.calls.models import Call, Receiver
from dripstone.events import reading
from dripstone.events.models import Event
from dripstone.postgresql import turns
from dripstone.webhooks import kinds, payloads
from dripstone.webhooks.models import Endpoint, Webhook

READER = "webhooks"
TURN = 0x7765_6268  # the advisory lock's number: "webh". Who does not get it makes calls meanwhile
MOST_EVENTS = 100  # of a call
LONGEST = 512_000  # bytes of a body, unless one event alone is longer


def new_events(now: datetime) -> bool:
    """Queue calls about the next events. False: there are no more, or another process is reading them just now."""
    with turns.turn(TURN) as is_ours:  # the others have calls to make
        return is_ours and _read(now)


def _read(now: datetime) -> bool:
    with reading.following_of(READER, _accounts_listening) as window:
        numbers = {number.event.pk: number.pk for number in window.numbers}
        events = [number.event for number in window.numbers]
        heard = list(_heard(events, numbers)) if events else []
        if heard:
            queue.plan(_calls(heard, now))
    return not window.is_last


def all_events(now: datetime) -> None:
    while new_events(now):
        pass


def is_heard() -> bool:
    """Whether anybody listens at all."""
    return _listeners().exists()


def _accounts_listening() -> Collection[int]:
    return list(_listeners().values_list("account_id", flat=True).distinct())


def _listeners() -> QuerySet[Receiver]:
    return Receiver.objects.filter(off="", deleted_at=None).exclude(kind=Receiver.Kind.CALLBACK)


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that a receiver wants to hear of."""

    receiver: Endpoint | Webhook
    event: Event


def _heard(events: list[Event], numbers: dict[int, int]) -> Iterator[Heard]:
    by_kind = _receivers_by_kind({event.account_id for event in events})
    for event in events:
        for receiver in by_kind.get((event.account_id, event.type), ()):
            if numbers[event.pk] > receiver.listens_after and _is_about(receiver, event):
                yield Heard(receiver, event)


def _receivers_by_kind(accounts: set[int]) -> dict[tuple[int, str], list[Endpoint | Webhook]]:
    found: dict[tuple[int, str], list[Endpoint | Webhook]] = defaultdict(list)
    listening = {"account_id__in": accounts, "off": "", "deleted_at": None}
    for endpoint in Endpoint.objects.filter(**listening).order_by("pk"):
        for name in endpoint.events:
            for kind in kinds.ENDPOINT.get(name, ()):
                found[endpoint.account_id, kind].append(endpoint)
    for webhook in Webhook.objects.filter(**listening).order_by("pk"):
        for kind in kinds.LEGACY[webhook.event].events:
            found[webhook.account_id, kind].append(webhook)
    return found


def _is_about(receiver: Endpoint | Webhook, event: Event) -> bool:
    return isinstance(receiver, Endpoint) or receiver.thing_id in (None, event.subject_id)


# --- Calls --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Batch:
    receiver: Endpoint | Webhook
    kind: str
    parts: list[str]  # JSON of events; of a webhook of before, none
    events: list[Event]


def _calls(heard: list[Heard], now: datetime) -> list[Call]:
    material = payloads.Material(list({one.event.pk: one.event for one in heard}.values()))
    batches = list(_batches(heard, material))
    ids = queue.ids(len(batches))
    return [_call(call_id, batch, material, now) for call_id, batch in zip(ids, batches, strict=True)]


def _call(call_id: int, batch: _Batch, material: payloads.Material, now: datetime) -> Call:
    body = payloads.delivery(call_id, batch.parts) if batch.parts else payloads.legacy(batch.events[0], material)
    return Call(
        pk=call_id,
        receiver_id=batch.receiver.pk,
        account_id=batch.receiver.account_id,
        about=batch.kind,
        n_events=len(batch.events),
        body=body,
        subscriber_ids=list({event.subscriber_id for event in batch.events if event.subscriber_id}),
        planned_at=now,
        next_attempt_at=now,
    )


def _batches(heard: list[Heard], material: payloads.Material) -> Iterator[_Batch]:
    """Of each receiver in the order of events."""
    made: dict[int, str] = {}
    by_receiver = sorted(heard, key=lambda one: one.receiver.pk)  # stable, so the order of events stays
    for _, of_receiver in groupby(by_receiver, key=lambda one: one.receiver.pk):
        for kind, run in groupby(of_receiver, key=_name):
            yield from _of_run(kind, list(run), material, made)


def _name(one: Heard) -> str:
    return kinds.HEARD_AS[one.event.type] if isinstance(one.receiver, Endpoint) else one.receiver.event


def _of_run(kind: str, run: list[Heard], material: payloads.Material, made: dict[int, str]) -> Iterator[_Batch]:
    """made  the JSON of events, which several endpoints may want"""
    receiver = run[0].receiver
    if isinstance(receiver, Webhook):
        yield from (_Batch(receiver, kind, [], [one.event]) for one in run)
        return
    for one in run:
        if one.event.pk not in made:
            made[one.event.pk] = payloads.event_json(one.event, material)
    for part in _parts([one.event for one in run], made):
        yield _Batch(receiver, kind, [made[event.pk] for event in part], part)


def _parts(events: Iterable[Event], made: dict[int, str]) -> Iterator[list[Event]]:
    part: list[Event] = []
    size = 0
    for event in events:
        n_bytes = len(made[event.pk].encode()) + 1
        if part and (len(part) == MOST_EVENTS or size + n_bytes > LONGEST - 100):  # 100: what stands around them
            yield part
            part, size = [], 0
        part.append(event)
        size += n_bytes
    if part:
        yield part
