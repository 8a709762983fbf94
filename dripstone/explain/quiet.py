"""Why little or nothing goes out on a day, and who is not counted in a forecast: a sentence each.

Takes       sequences of one account, and what the forecast says of them
Leaves      nothing: it only reads
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Sequence as Series
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Prefetch, QuerySet

from dripstone import conditions, words
from dripstone.content import subjects
from dripstone.engine import advance, audience, filters, schedule
from dripstone.engine.models import Enrollment
from dripstone.foresight import forecast
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places

LOOK_AHEAD = 9  # days: no sequence waits longer for a day of the week

# Purpose: people of some sequences who are paused, each on their own. Reads all places: 0.1 s for a million.
_PAUSED = """
SELECT sequence_id, count(*) FROM engine_enrollment
WHERE sequence_id = ANY(%s::bigint[]) AND status = 'active' AND paused_at IS NOT NULL GROUP BY 1
"""


class Why(NamedTuple):
    """status   of the people it is about, where a list of them shows more than the sequence does"""

    sentence: str
    sequence: Sequence
    n: int
    status: str = ""


# --- Little on a day ----------------------------------------------------------------------------------------------


def few(day: date, time_zone: str, sequences: QuerySet[Sequence], now: datetime) -> list[Why]:
    """Sequences that send on other days of the week, the one with most to send next first.

    day        of `time_zone`; each sequence has its own zone
    sequences  forecast for a week behind that day, if they do not send on it
    """
    until = _midnight(day + timedelta(days=LOOK_AHEAD), time_zone)
    emails = Prefetch("emails", SequenceEmail.objects.defer("content"))
    rows = forecast.with_mail(sequences.filter(active=True), until).prefetch_related(emails)
    found = (_other_days(day, time_zone, sequence, now, until) for sequence in rows)
    return sorted((why for why in found if why is not None), key=lambda why: -why.n)


def _other_days(day: date, time_zone: str, sequence: Sequence, now: datetime, until: datetime) -> Why | None:
    waiting = _waiting(sequence, _weekdays(day, time_zone, sequence.time_zone))
    by_day = Counter[date]()
    for email_id, instants in forecast.of_sequence(sequence, now, until).items() if waiting else ():
        for at, n in instants.items() if email_id in waiting else ():
            by_day[at.astimezone(ZoneInfo(time_zone)).date()] += n
    following = min((one for one in by_day if one > day), default=None)
    if following is None:
        return None
    n, days = by_day[following], {weekday for those in waiting.values() for weekday in those}
    goes = "the next email goes" if n == 1 else f"the next {n:,} emails go"
    sends = f"{words.title(sequence.name)} sends {words.weekdays(days)}"
    return Why(f"{sends}: {goes} on {words.day(following)}.", sequence, n)


def _waiting(sequence: Sequence, weekdays: set[int]) -> dict[int, frozenset[int]]:
    """Its emails that go on none of these days of the week, each with the days on which it goes."""
    live = (email for email in sequence.emails.all() if email.published and email.deleted_at is None)
    days = {
        email.pk: advance.schedule_of(sequence, email).send_days
        for email in live
        if schedule.follows_schedule(advance.delay_of(email))
    }
    return {pk: those for pk, those in days.items() if those.isdisjoint(weekdays)}


def _weekdays(day: date, time_zone: str, other_zone: str) -> set[int]:
    """The days of the week in another zone while it is `day` in this one."""
    last = _midnight(day + timedelta(days=1), time_zone) - timedelta(seconds=1)
    return {at.astimezone(ZoneInfo(other_zone)).weekday() for at in (_midnight(day, time_zone), last)}


def _midnight(day: date, time_zone: str) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(time_zone))


# --- Not counted --------------------------------------------------------------------------------------------------


def uncounted(sequences: Series[Sequence], now: datetime) -> list[Why]:
    """People inside whom the forecast leaves out, most first. Reads everybody inside. Nobody is in two sentences about
    one sequence but those who are paused on their own and wait for an email that does not go, or whom one passes by."""
    by_status = places.by_status([one.pk for one in sequences])
    inside = [one for one in sequences if by_status[one.pk, "active"] or by_status[one.pk, "unconfirmed"]]
    running = [one for one in inside if one.active]
    found = [*_in_paused(inside, by_status), *_stopped_at(running), *_paused(running)]
    found += [*_excluded(running, by_status, now), *_filtered(running, now), *_unconfirmed(running, by_status)]
    return sorted(found, key=lambda why: -why.n)


def _in_paused(sequences: Iterable[Sequence], by_status: Counter[tuple[int, str]]) -> Iterator[Why]:
    for one in sequences:
        n = by_status[one.pk, "active"] + by_status[one.pk, "unconfirmed"]
        if not one.active:
            yield Why(f"{words.people(n)} in {words.title(one.name)}, which is paused.", one, n)


def _stopped_at(sequences: Collection[Sequence]) -> Iterator[Why]:
    """Emails on hold, and those that were unpublished while people waited for them."""
    of = {one.pk: one for one in sequences}
    emails = SequenceEmail.objects.filter(sequence__in=of, deleted_at=None).defer("content").order_by("pk")
    stopped = [email for email in emails if email.is_held or not email.published]
    waiting = places.waiting_for([email.pk for email in stopped])
    for email in stopped:
        if n := waiting[email.pk]:
            state = "is not published" if not email.published else "is on hold"
            what = f"{subjects.title(email.subject)} of {words.title(of[email.sequence_id].name)}"
            yield Why(f"{words.people(n, 'waits', 'wait')} for {what}, which {state}.", of[email.sequence_id], n)


def _paused(sequences: Iterable[Sequence]) -> Iterator[Why]:
    of = {one.pk: one for one in sequences}
    with connection.cursor() as cursor:
        cursor.execute(_PAUSED, [list(of)])
        rows = cursor.fetchall()
    for sequence_id, n in rows:
        one = of[sequence_id]
        said = f"{words.people(n)} in {words.title(one.name)} whom somebody paused."
        yield Why(said, one, n, Enrollment.Status.ACTIVE)


def _excluded(sequences: Iterable[Sequence], by_status: Counter[tuple[int, str]], now: datetime) -> Iterator[Why]:
    for one in sequences:
        if not one.exclude_subscriber_sources or not by_status[one.pk, "active"]:
            continue
        inside = Enrollment.objects.filter(sequence=one, status=Enrollment.Status.ACTIVE)
        with suppress(EmptyResultSet):
            if n := inside.filter(subscriber__in=audience.outsiders(one, now).values("pk")).count():
                name = words.title(one.name)
                yield Why(f"{words.people(n)} in {name}, left out by its exclusions.", one, n)


def _filtered(sequences: Collection[Sequence], now: datetime) -> Iterator[Why]:
    """Those who have an email before them that is not for them (R21). They get the others."""
    of = {one.pk: one for one in sequences}
    emails = SequenceEmail.objects.filter(sequence__in=of, deleted_at=None, published=True, filter__isnull=False)
    found = list(emails.defer("content").order_by("sequence", "position"))
    readers = filters.readers(filters.of(found), found[0].account_id) if found else {}
    for email in found:
        one = of[email.sequence_id]
        before = Enrollment.objects.filter(
            sequence=one, status=Enrollment.Status.ACTIVE, next_email__position__lte=email.position
        )
        meeting = conditions.matching(email.filter, one.account, now)
        if n := before.count() - before.filter(subscriber__in=meeting.values("pk")).count():
            title = f"{subjects.title(email.subject)} of {words.title(one.name)}"
            yield Why(f"{words.people(n)} whom {title} passes by: it is for {readers[email.pk]}.", one, n)


def _unconfirmed(sequences: Iterable[Sequence], by_status: Counter[tuple[int, str]]) -> Iterator[Why]:
    for one in sequences:
        if n := by_status[one.pk, "unconfirmed"]:
            have = words.agree(n, "has", "have")
            said = f"{words.people(n)} in {words.title(one.name)} who {have} yet to confirm their address."
            yield Why(said, one, n, Enrollment.Status.UNCONFIRMED)
