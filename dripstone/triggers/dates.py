"""Dates in fields: when each is reached, for every trigger `field_date` of a rule or an automation.

Takes       the triggers of an owner (set_up); values that change (follow); the account's zone
Leaves      a row for each trigger and person: the instant at which it is next reached, if it is. Whoever acts on it
            takes it in the transaction of the act (take)
A crash here means that a batch of rows was not written, or none taken: the next call does it again.

A date counts once per person and trigger, and only if its instant is later than the value and the trigger; with
`yearly` its anniversaries count too, 29 February being the 28th in other years. It is read as conditions read it
(conditions/sql.py): a day, with or without a time; an instant with an offset is a day in the account's zone.

For a new trigger the rows of people who are there are written in batches, beside all else (catch_up): a million take
half a minute. The same moves them when the account's zone changes. Until then they are where they were.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.conditions import sql
from dripstone.engine import schedule
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.triggers import when
from dripstone.triggers.models import DatedDue, DatedTrigger
from dripstone.triggers.when import Trigger

BATCH = 5_000  # people of a catch_up: 0.1 s
_FIRST, _LAST = date(100, 1, 1), date(9980, 12, 31)  # others are no dates: with MOST_DAYS they leave the calendar

# The date that a text holds, in a zone; NULL where it holds none.
_DATE_OF = """
CASE WHEN {text} ~ %(local)s THEN left({text}, 10)::date
     WHEN {text} ~ %(with_offset)s THEN ({text}::timestamptz AT TIME ZONE %(zone)s)::date END
"""
_GRAMMAR = {"local": sql.LOCAL, "with_offset": sql.WITH_OFFSET, "first": _FIRST, "last": _LAST}

# Purpose: the next people, with the date in their field. By subscriber_of_account.
_PEOPLE = """
SELECT id, CASE WHEN day BETWEEN %(first)s AND %(last)s THEN day END, updated_at
FROM (SELECT s.id, {date} AS day, s.updated_at
      FROM subscribers_subscriber s WHERE s.account_id = %(account)s AND s.id > %(after)s
      ORDER BY s.id LIMIT %(limit)s) people ORDER BY id
""".format(date=_DATE_OF.format(text=sql.TRIMMED.format("s.fields ->> %(field)s")))  # noqa: S608
# Purpose: the dates of some texts, in their order.
_DATES = """
SELECT CASE WHEN day BETWEEN %(first)s AND %(last)s THEN day END
FROM (SELECT n, {date} AS day
      FROM unnest(%(values)s::text[]) WITH ORDINALITY AS given (value, n)) days ORDER BY n
""".format(date=_DATE_OF.format(text=sql.TRIMMED.format("given.value")))  # noqa: S608
# Purpose: rows of people who have none. What was taken by the trigger before an edit stays taken. By dated_due_once.
_FILL = """
INSERT INTO triggers_dateddue (trigger_id, account_id, subscriber_id, day, date, at, taken)
SELECT %(trigger)s, %(account)s, found.subscriber_id, found.day, found.date, found.at, found.taken
FROM json_to_recordset(%(rows)s) AS found (subscriber_id bigint, day date, date date, at timestamptz, taken date)
JOIN subscribers_subscriber s ON s.id = found.subscriber_id
ON CONFLICT (trigger_id, subscriber_id) DO NOTHING
"""
# Purpose: rows of people whose value has changed. By dated_due_once.
_FOLLOW = """
INSERT INTO triggers_dateddue (trigger_id, account_id, subscriber_id, day, date, at)
SELECT found.trigger_id, found.account_id, found.subscriber_id, found.day, found.date, found.at
FROM json_to_recordset(%(rows)s) AS found (trigger_id bigint, account_id bigint, subscriber_id bigint, day date,
                                           date date, at timestamptz)
JOIN subscribers_subscriber s ON s.id = found.subscriber_id
ORDER BY 1, 3
ON CONFLICT (trigger_id, subscriber_id) DO UPDATE SET day = EXCLUDED.day, date = EXCLUDED.date, at = EXCLUDED.at
"""
# Purpose: what these people's dates have been taken for. By dated_due_once.
_TAKEN = """
SELECT trigger_id, subscriber_id, taken FROM triggers_dateddue
WHERE trigger_id = ANY(%(triggers)s) AND subscriber_id = ANY(%(people)s) AND taken IS NOT NULL
"""
# Purpose: what is due, the longest first, each account's first before anybody's second; of each person one, since what
# it causes comes before their next. By dated_due_at, for each trigger that anybody listens to and whose field is there.
_TAKE = """
WITH due AS (
    SELECT d.id, d.at, row_number() OVER (PARTITION BY t.account_id ORDER BY d.at, d.id) AS place,
           row_number() OVER (PARTITION BY d.subscriber_id ORDER BY d.at, d.id) AS of_person
    FROM triggers_datedtrigger t JOIN subscribers_customfield f ON f.id = t.custom_field_id
    CROSS JOIN LATERAL (SELECT id, at, subscriber_id FROM triggers_dateddue WHERE trigger_id = t.id AND at <= %(now)s
                        ORDER BY at, id LIMIT %(limit)s) d
    WHERE t.ended_at IS NULL),
chosen AS (SELECT id FROM due WHERE of_person = 1 ORDER BY place, at, id LIMIT %(limit)s)
SELECT d.id, d.trigger_id, d.subscriber_id, d.at, d.day, d.date FROM triggers_dateddue d
WHERE d.id IN (SELECT id FROM chosen) AND d.at <= %(now)s ORDER BY d.at, d.id FOR UPDATE SKIP LOCKED
"""
# Purpose: they have been taken, and are due again in another year. Primary key.
_GO_ON = """
UPDATE triggers_dateddue d SET taken = d.date, date = next.date, at = next.at
FROM json_to_recordset(%(rows)s) AS next (id bigint, date date, at timestamptz) WHERE d.id = next.id
"""
# Purpose: dates that are to come, at another instant. Primary key.
_MOVE = """
UPDATE triggers_dateddue d SET at = moved.at
FROM json_to_recordset(%(rows)s) AS moved (id bigint, at timestamptz) WHERE d.id = moved.id
"""
# Purpose: triggers whose account has got another zone. Few rows; those of one account, or (NULL) of all.
_REZONE = """
UPDATE triggers_datedtrigger t SET time_zone = a.time_zone, moved_to = 0
FROM accounts_account a
WHERE a.id = t.account_id AND a.time_zone <> t.time_zone AND t.ended_at IS NULL
  AND (%(account)s::bigint IS NULL OR t.account_id = %(account)s)
"""
# Purpose: triggers whose field has been deleted rest for good. Few rows.
_END_WITHOUT_FIELD = """
UPDATE triggers_datedtrigger t SET ended_at = %(now)s
WHERE t.ended_at IS NULL AND NOT EXISTS (SELECT FROM subscribers_customfield f WHERE f.id = t.custom_field_id)
"""
# Purpose: rows that nobody needs any more: those of ended triggers, unless one that replaces it is still being filled.
# By dated_due_once.
_CLEAR = """
DELETE FROM triggers_dateddue WHERE id IN (
    SELECT id FROM triggers_dateddue WHERE trigger_id = %(trigger)s ORDER BY subscriber_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED)
"""
# Purpose: when the next date is reached. By dated_due_at.
_NEXT = """
SELECT min(d.at) FROM triggers_datedtrigger t JOIN subscribers_customfield f ON f.id = t.custom_field_id
CROSS JOIN LATERAL (SELECT at FROM triggers_dateddue WHERE trigger_id = t.id AND at > %(after)s
                    ORDER BY at LIMIT 1) d
WHERE t.ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Owner:
    kind: Literal["rule", "automation"]
    pk: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Due:
    """Somebody's date is reached.

    trigger   its place among the owner's
    at        when it was to be reached, up to now
    date      that it stands for: the one in the field, or its anniversary
    """

    owner: Owner
    trigger: int
    subscriber_id: int
    at: datetime
    date: date


# --- The calendar -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def reached(
    day: date, days: int, hour: int, time_zone: str, after: datetime, *, yearly: bool, taken: date | None = None
) -> tuple[date, datetime] | None:
    """The date that is reached first, later than `after`, and the instant; None: none ever is. Pure.

    day     the date in the field
    taken   the last one that was reached: it and those before it do not count again
    """
    margin = 2 + abs(days) // 365
    last = max(day.year, after.year, taken.year if taken else 0) + margin if yearly else day.year
    for year in range(max(day.year, after.year - margin) if yearly else day.year, last + 1):
        one = anniversary(day, year)
        at = instant_of(one, days, hour, time_zone)
        if at > after and (taken is None or one > taken):
            return one, at
    return None


def anniversary(day: date, year: int) -> date:
    is_leap = (day.month, day.day) == (2, 29)
    return date(year, 3, 1) - timedelta(days=1) if is_leap else day.replace(year=year)


def instant_of(day: date, days: int, hour: int, time_zone: str) -> datetime:
    """So many days after a day, at that hour on the wall. Of a clock change: R3 (engine/schedule.py)."""
    return schedule.instant(datetime.combine(day + timedelta(days=days), time(hour)), ZoneInfo(time_zone))


def _next(
    trigger: DatedTrigger, day: date | None, after: datetime, taken: date | None = None
) -> tuple[date | None, datetime | None]:
    if day is None:
        return None, None
    asked = day, trigger.days, trigger.hour, trigger.time_zone, after
    return reached(*asked, yearly=trigger.yearly, taken=taken) or (None, None)


# --- Triggers -----------------------------------------------------------------------------------------------------

_MEMBERS = ("custom_field_id", "days", "hour", "yearly")


@transaction.atomic
def set_up(owner: Owner, triggers: Sequence[Trigger], now: datetime) -> None:
    """From now on these are its triggers, `field_date` or not; none where it does not listen. In the transaction in
    which the owner is locked. Those that are as they were stay, wherever they stand; of the others the dates are found
    by and by (catch_up)."""
    rows = DatedTrigger.objects.select_for_update(no_key=True).filter(
        owner=owner.kind, owner_id=owner.pk, account=owner.account_id, ended_at=None
    )
    there = {_said(row): row for row in rows.order_by("pk")}
    wanted = {
        tuple(one[name] for name in _MEMBERS): number
        for number, one in enumerate(triggers)
        if one["trigger"] == when.FIELD_DATE
    }
    gone = [row for said, row in there.items() if said not in wanted]
    DatedTrigger.objects.filter(pk__in=[row.pk for row in gone]).update(ended_at=now)
    for said, row in there.items():
        if said in wanted:
            row.number = wanted[said]
    DatedTrigger.objects.bulk_update([row for said, row in there.items() if said in wanted], ["number"])
    time_zone = Account.objects.values_list("time_zone", flat=True).get(pk=owner.account_id)
    DatedTrigger.objects.bulk_create(
        DatedTrigger(
            account_id=owner.account_id,
            owner=owner.kind,
            owner_id=owner.pk,
            number=number,
            time_zone=time_zone,
            since=now,
            replaces=next((row.pk for row in gone if row.custom_field_id == said[0]), None),
            **dict(zip(_MEMBERS, said, strict=True)),
        )
        for said, number in wanted.items()
        if said not in there
    )


def _said(row: DatedTrigger) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in _MEMBERS)


def rezone(account: Account) -> None:
    """The account has another zone: dates that are to come move, by and by (catch_up), some perhaps into the past. Who
    is not told finds it out by itself."""
    _execute(_REZONE, account=account.pk)


# --- Rows, in batches ---------------------------------------------------------------------------------------------


def catch_up(now: datetime) -> bool:
    """One batch of rows: of people who are there, for a new trigger; moved, for a new zone; cleared away, for one that
    has ended. False: nothing is left to be done, or other processes are doing it."""
    with transaction.atomic():
        _execute(_END_WITHOUT_FIELD, now=now)
        _execute(_REZONE, account=None)
    with transaction.atomic():
        rows = DatedTrigger.objects.select_for_update(no_key=True, skip_locked=True).order_by("pk")
        listening = rows.filter(ended_at=None)
        if trigger := listening.filter(filled_to__isnull=False).first():
            _fill(trigger)
        elif trigger := listening.filter(moved_to__isnull=False).first():
            _move(trigger)
        elif trigger := rows.filter(ended_at__isnull=False).exclude(pk__in=_replaced_by_what_is_filled()).first():
            _clear(trigger)
        return trigger is not None


def _replaced_by_what_is_filled() -> QuerySet[DatedTrigger, int | None]:
    filled = DatedTrigger.objects.filter(filled_to__isnull=False, replaces__isnull=False)
    return filled.values_list("replaces", flat=True)


def _fill(trigger: DatedTrigger) -> None:
    """Whoever was changed since the trigger was set up may have got the value since: `follow` knows when."""
    values = {"account": trigger.account_id, "after": trigger.filled_to, "zone": trigger.time_zone, "limit": BATCH}
    people = _fetch(_PEOPLE, field=str(trigger.custom_field_id), **values, **_GRAMMAR)
    taken = _taken([trigger.replaces], [pk for pk, *_ in people]) if trigger.replaces is not None else {}
    found = []
    for pk, day, changed_at in people:
        before = taken.get((trigger.replaces, pk))
        on, at = _next(trigger, day, max(trigger.since, changed_at), before)
        if at is not None or before is not None:
            found.append({"subscriber_id": pk, "day": day, "date": on, "at": at, "taken": before})
    _execute(_FILL, trigger=trigger.pk, account=trigger.account_id, rows=_json(found))
    trigger.filled_to = people[-1][0] if len(people) == BATCH else None
    trigger.save(update_fields=["filled_to"])


def _move(trigger: DatedTrigger) -> None:
    rows = DatedDue.objects.select_for_update().filter(trigger=trigger, subscriber_id__gt=trigger.moved_to)
    some = list(rows.order_by("subscriber_id")[:BATCH])
    moved = [
        {"id": row.pk, "at": instant_of(row.date, trigger.days, trigger.hour, trigger.time_zone)}
        for row in some
        if row.at is not None and row.date is not None
    ]
    _execute(_MOVE, rows=_json(moved))
    trigger.moved_to = some[-1].subscriber_id if len(some) == BATCH else None
    trigger.save(update_fields=["moved_to"])


def _clear(trigger: DatedTrigger) -> None:
    if not _execute(_CLEAR, trigger=trigger.pk, limit=BATCH):
        trigger.delete()


# --- Values that change -------------------------------------------------------------------------------------------


def follow(events: Iterable[Event], now: datetime) -> None:
    """Values have changed, as these events say, in their order: the dates move. In the transaction in which they are
    read; told not to fire rules or not, since a date is reached by time."""
    last: dict[tuple[int, int], Event] = {}
    for event in events:
        if event.type == types.FIELD_VALUE_UPDATED and event.subscriber_id and event.subject_id:
            last[event.subject_id, event.subscriber_id] = event
    fields = {field_id for field_id, _ in last}
    triggers = DatedTrigger.objects.filter(custom_field_id__in=fields, ended_at=None) if fields else ()
    pairs = [
        (trigger, event)
        for trigger in sorted(triggers, key=lambda one: one.pk)
        for (field_id, _), event in last.items()
        if field_id == trigger.custom_field_id and event.account_id == trigger.account_id
    ]
    if pairs:
        _execute(_FOLLOW, rows=_json(_followed(pairs)))


def _followed(pairs: Sequence[tuple[DatedTrigger, Event]]) -> Iterator[dict[str, Any]]:
    days = _days_of(pairs)
    taken = _taken({trigger.pk for trigger, _ in pairs}, {event.subscriber_id or 0 for _, event in pairs})
    for trigger, event in pairs:
        day = days[trigger.time_zone, event.data.get("value")]
        after = max(trigger.since, event.occurred_at)
        on, at = _next(trigger, day, after, taken.get((trigger.pk, event.subscriber_id or 0)))
        ids = {"trigger_id": trigger.pk, "account_id": trigger.account_id, "subscriber_id": event.subscriber_id}
        yield {**ids, "day": day, "date": on, "at": at}


def _days_of(pairs: Sequence[tuple[DatedTrigger, Event]]) -> Mapping[tuple[str, str | None], date | None]:
    """The dates of all texts, by zone and text: a query for each zone."""
    found: dict[tuple[str, str | None], date | None] = {}
    for zone in {trigger.time_zone for trigger, _ in pairs}:
        values = {event.data.get("value") for trigger, event in pairs if trigger.time_zone == zone}
        found |= {(zone, value): day for value, day in days(values, zone).items()}
    return found


def days(values: Collection[str | None], time_zone: str) -> dict[str | None, date | None]:
    """The date that each of these values of a field stands for; None for none."""
    texts = [value for value in values if value]
    rows = _fetch(_DATES, values=texts, zone=time_zone, **_GRAMMAR) if texts else []
    return dict.fromkeys(values) | {text: day for text, (day,) in zip(texts, rows, strict=True)}


def _taken(triggers: Iterable[int | None], people: Iterable[int]) -> dict[tuple[int | None, int], date]:
    rows = _fetch(_TAKEN, triggers=list(triggers), people=list(people))
    return {(trigger_id, subscriber_id): day for trigger_id, subscriber_id, day in rows}


# --- What is due --------------------------------------------------------------------------------------------------


def take(now: datetime, limit: int) -> list[Due]:
    """Those that are due, the longest first and of each person one, in the caller's transaction: no other process takes
    them. Whoever was deleted meanwhile may be among them."""
    rows = _fetch(_TAKE, now=now, limit=limit)
    triggers = DatedTrigger.objects.in_bulk({trigger_id for _, trigger_id, *_ in rows})
    found, next_ones = [], []
    for pk, trigger_id, subscriber_id, at, day, on in rows:
        trigger = triggers[trigger_id]
        owner = Owner(trigger.owner, trigger.owner_id, trigger.account_id)  # type: ignore[arg-type]  # as it was kept
        found.append(Due(owner, trigger.number, subscriber_id, at, on))
        next_on, next_at = _next(trigger, day, at, on) if trigger.yearly else (None, None)
        next_ones.append({"id": pk, "date": next_on, "at": next_at})
    _execute(_GO_ON, rows=_json(next_ones))
    return found


def next_instant(after: datetime) -> datetime | None:
    """When the next one is reached, later than that; for the virtual clock."""
    [(found,)] = _fetch(_NEXT, after=after)
    return found  # type: ignore[no-any-return]


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(rows), default=lambda value: value.isoformat())


def _fetch(statement: str, **values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _execute(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
