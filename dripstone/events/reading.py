"""Reads events in an order that misses none, however late its transaction commits.

Takes       events with ids, which are given before a transaction commits: the higher may become visible first
Leaves      a number per event, given when it is visible; a cursor per reader, moved in the transaction of its work
A crash here means the batch is read again from the same event, and the first try has left nothing.

One pass at a time numbers the events that have become visible, by id. So an event that is committed late gets a later
number, and events committed before another transaction could begin to write have earlier ones. Events that must stay in
order therefore need a lock that each writer takes *before* it writes its event: the person's, for most; the place's,
when an email ends. (Not by transaction ids: they start over when a dump is restored into another cluster.) Reasons and
costs: docs/decisions/outbox.md
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from django.db import connection, transaction

from dripstone.events.models import Event, Number, Numbering, Reader

PASS = 10_000  # events numbered at a time: some 50 ms

# Numbers the lowest events without one. Among the first `window` after the settled ones there are `limit` without, if
# so many are visible: no more than window - limit have been numbered. Primary keys; reads what is not settled yet.
_NUMBER = """
WITH fresh AS (
    (SELECT id FROM events_event WHERE id > %(settled_event)s ORDER BY id LIMIT %(window)s)
    EXCEPT SELECT event_id FROM events_number WHERE id > %(settled_number)s),
numbered AS (
    INSERT INTO events_number (id, event_id)
    SELECT %(last)s + row_number() OVER (ORDER BY id), id FROM (SELECT id FROM fresh ORDER BY id LIMIT %(limit)s) lowest
    RETURNING event_id)
SELECT count(*), COALESCE(max(event_id), 0),
       COALESCE((SELECT max(event_id) FROM events_number WHERE id > %(settled_number)s), 0)
FROM numbered
"""

# The other transactions that are writing events now. A writer takes this lock before its events get their ids, and
# releases it after they are visible.
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'events_event'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid IS DISTINCT FROM pg_backend_pid()
"""


@contextmanager
def following(reader: str, limit: int = 500, *, start: Literal["now", "first"] = "now") -> Iterator[list[Event]]:
    """The next events for this reader, at most `limit`; none means that it has read them all.

        with reading.following("webhooks") as events:
            …   # what is written here is committed together with the cursor, or not at all

    reader  its name. A second process with the same name waits until this block has ended, and goes on after it
    start   where a new reader begins: after all that has happened, or at the first event that is kept
    """
    number_visible()
    with transaction.atomic():
        cursor = _hold(reader, start)
        numbers = list(Number.objects.filter(pk__gt=cursor.number).select_related("event").order_by("pk")[:limit])
        yield [number.event for number in numbers]
        if numbers:
            Reader.objects.filter(pk=reader).update(number=numbers[-1].pk)


@dataclass(frozen=True, slots=True)
class Window:
    """The events of some accounts among the next ones; `is_last`: after these there are none, of nobody."""

    numbers: list[Number]  # each with its event
    is_last: bool


@contextmanager
def following_of(reader: str, accounts: Callable[[], Collection[int]], limit: int = 2_000) -> Iterator[Window]:
    """The same for a reader whom the events of few accounts concern. It steps over the others without reading them, and
    over all at once when it is nobody's turn.

    accounts  who wants to be read. Asked after it is settled how far this reading goes: who has begun to want it by
              then is among them, and of whoever begins later (`from_now_on`) nothing is stepped over
    """
    number_visible()
    with transaction.atomic():
        cursor = _hold(reader, "now")
        last = Numbering.objects.get(pk=1).last
        wanted = accounts()
        end = min(last, cursor.number + limit) if wanted else last
        between = Number.objects.filter(pk__gt=cursor.number, pk__lte=end, event__account_id__in=wanted)
        yield Window(list(between.select_related("event").order_by("pk")) if wanted else [], end == last)
        if end > cursor.number:
            Reader.objects.filter(pk=reader).update(number=end)


def from_now_on(reader: str) -> int:
    """For somebody who is to hear through this reader of all that comes, and of nothing before: the number of the last
    event that is visible now. A reader that has never read begins here.

    Nobody else numbers events until the caller's transaction ends, so it has to be short.
    """
    number_visible()
    last = Numbering.objects.select_for_update().get(pk=1).last
    Reader.objects.get_or_create(pk=reader, defaults={"number": last})
    return last


def _hold(reader: str, start: Literal["now", "first"]) -> Reader:
    """The reader's cursor, locked; created the first time."""
    rows = Reader.objects.select_for_update(no_key=True)
    if (found := rows.filter(pk=reader).first()) is not None:
        return found
    first = Numbering.objects.get(pk=1).last if start == "now" else 0
    return rows.get_or_create(pk=reader, defaults={"number": first})[0]


def number_visible() -> int:
    """Number the events that have become visible. Returns how many."""
    n_numbered = 0
    while (n := _pass()) == PASS:
        n_numbered += n
    return n_numbered + n


@transaction.atomic
def _pass() -> int:
    state, _ = Numbering.objects.select_for_update().get_or_create(pk=1)
    have_ended = _have_ended(state.writers)  # before the next statement, which then sees all they wrote
    n, highest, highest_before = _number(state)
    if n == 0 and state.seen_event == state.settled_event:
        return 0
    state.last += n
    if have_ended and (n < PASS or highest >= state.seen_event):
        state.settled_event, state.settled_number = state.seen_event, state.seen_number
        state.seen_event, state.seen_number = max(highest, highest_before, state.seen_event), state.last
        state.writers = _writers() if state.seen_event > state.settled_event else []
    state.save()
    return n


def _number(state: Numbering) -> tuple[int, int, int]:
    """How many events have got a number now, the highest of them, and the highest of those that had one and were not
    settled (0 for none). What commits late may be lower than what was numbered while it was open."""
    window = state.last - state.settled_number + PASS
    with connection.cursor() as cursor:
        cursor.execute(
            _NUMBER,
            {
                "settled_event": state.settled_event,
                "settled_number": state.settled_number,
                "last": state.last,
                "window": window,
                "limit": PASS,
            },
        )
        n, highest, highest_before = cursor.fetchone()
    return n, highest, highest_before


def _have_ended(writers: list[str]) -> bool:
    return not writers or not set(writers) & set(_writers())


def _writers() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return [row[0] for row in cursor.fetchall()]
