"""The impact of an edit: counts, days and examples, with the sentences of explain/impact_words.py."""

from collections import Counter
from datetime import date

from typing_extensions import TypedDict

from dripstone.engine.models import Enrollment
from dripstone.explain import impact_words
from dripstone.foresight.impact import Impact, Person, Where
from dripstone.shapes.instants import instant
from dripstone.subscribers.models import Subscriber


class EmailCount(TypedDict):
    email_id: int | None
    subject: str
    people: int


class Skipped(TypedDict):
    email_id: int | None
    subject: str
    reason: str
    reason_text: str
    people: int


class Day(TypedDict):
    date: str | None
    people: int


class Moved(TypedDict):
    people: int
    before: list[Day]
    after: list[Day]


class PlaceShape(TypedDict):
    status: str
    email_id: int | None
    subject: str | None
    due_at: str | None


class Example(TypedDict):
    enrollment_id: int
    subscriber_id: int
    email_address: str
    before: PlaceShape
    after: PlaceShape
    why: str


class ImpactShape(TypedDict):
    token: str
    summary: str
    people: int
    right_away: list[EmailCount]
    skipped: list[Skipped]
    kept_from: int
    let_through: int
    moved: Moved
    unchanged: int
    completed: int
    removed: int
    paused: int
    waiting: int
    examples: list[Example]


def impact(row: Impact, token: str) -> ImpactShape:
    """`email_id` is null for the email that the edit would create."""
    places = Enrollment.objects.select_related("subscriber").in_bulk([one.enrollment_id for one in row.examples])
    return ImpactShape(
        token=token,
        summary=impact_words.summary(row),
        people=row.people,
        right_away=[
            EmailCount(email_id=_id(row, pk), subject=row.emails[pk].subject, people=n)
            for pk, n in row.by_position(row.right_away)
        ],
        skipped=[
            Skipped(
                email_id=_id(row, pk),
                subject=row.emails[pk].subject,
                reason=reason,
                reason_text=impact_words.why_skipped(row, pk, reason),
                people=n,
            )
            for (pk, reason), n in row.skipped.most_common()
        ],
        kept_from=row.kept_from,
        let_through=row.let_through,
        moved=Moved(people=row.moved, before=_days(row.moved_from), after=_days(row.moved_to)),
        unchanged=row.unchanged,
        completed=row.kinds["completed"],
        removed=row.kinds["removed"],
        paused=row.kinds["paused"],
        waiting=row.kinds["waiting"],
        examples=[_example(row, one, places[one.enrollment_id].subscriber) for one in row.examples],
    )


def _id(row: Impact, email_id: int | None) -> int | None:
    created = row.done.email.pk if row.is_new and row.done.email is not None else None
    return None if email_id == created else email_id


def _days(counts: Counter[date | None]) -> list[Day]:
    """By day; those without a date last."""
    days = sorted(counts.items(), key=lambda pair: (pair[0] is None, pair[0] or date.min))
    return [Day(date=day.isoformat() if day else None, people=n) for day, n in days]


def _example(row: Impact, person: Person, subscriber: Subscriber) -> Example:
    return Example(
        enrollment_id=person.enrollment_id,
        subscriber_id=subscriber.pk,
        email_address=subscriber.email_address,
        before=_place(row, person.before),
        after=_place(row, person.after),
        why=impact_words.why(row, person),
    )


def _place(row: Impact, where: Where) -> PlaceShape:
    return PlaceShape(
        status=where.status,
        email_id=_id(row, where.email_id),
        subject=None if where.email_id is None else row.emails[where.email_id].subject,
        due_at=instant(where.at) if where.at else None,
    )
