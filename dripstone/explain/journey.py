"""One person's way through a sequence: what became of each email, what comes when, and why. It only reads.

Future dates come from the functions the engine itself uses (timetable.Itinerary, and through it advance.place_after_end
and schedule.next_due): unless the sequence is edited or the person's tags change, they come true. journey_words.py
makes the sentences.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, Min

from dripstone.engine import advance, audience, filters, follow, notes, reasons, schedule
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.engine.schedule import Delay, Schedule
from dripstone.explain import edit_words
from dripstone.foresight import timetable
from dripstone.foresight.timetable import Itinerary
from dripstone.grammar import Condition
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail
from dripstone.subscribers.models import State, Subscriber

PUNCTUAL = timedelta(minutes=2)  # planned so soon after a date means planned because of that date
GOES = ("sending", "next", "later")  # outcomes of a Step that has a date, or is on its way
ENDED = ("sent", "skipped", "failed", "unknown")
MOST_NOTES = 200  # newest first; a place rarely has ten


@dataclass(frozen=True, slots=True)
class Anchor:
    """The instant a delay counts from (R2)."""

    kind: str  # entered, re_added, restarted, confirmed, moved; sent, skipped, failed, unknown, email
    at: datetime
    email: SequenceEmail | None = None


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The figures behind a date, by R3."""

    anchor: Anchor
    delay: Delay
    schedule: Schedule | None  # None: hours and immediate emails follow no days and no hour
    due: datetime
    counted_to: date | None  # anchor's local date + delay, before send days move it

    @property
    def moved(self) -> bool:
        return self.schedule is not None and self.local_due().date() != self.counted_to

    def local_due(self) -> datetime:
        assert self.schedule is not None
        return self.due.astimezone(ZoneInfo(self.schedule.time_zone))


@dataclass(frozen=True, slots=True)
class Coming:
    """An email this person is going to be at, at a known instant."""

    at: datetime
    reckoning: Reckoning
    given_by: Note | None = None  # the note that set the date, if it differs from the reckoning
    excluded: str = ""  # it will be skipped, for this reason
    after_late: bool = False  # counted from the latest email, since its own date had passed (R4)
    missed: datetime | None = None  # the date it had; so long past that planning will move it to `at` (R4)


@dataclass(frozen=True, slots=True)
class Step:
    """One email of the sequence, for this person. `outcome`:

    sent, skipped, failed, unknown   it ended so, `at`
    sending                          it is on its way, or is tried again `at`
    next, later                      it comes, or will be skipped, `at`
    waiting                          it comes, but has no date, for the reason `why`
    draft                            it is sent to no one
    none                             it will not come, for the reason `why`
    """

    email: SequenceEmail
    outcome: str
    at: datetime | None = None
    why: str = ""
    delivery: Delivery | None = None
    coming: Coming | None = None
    reckoning: Reckoning | None = None
    given_by: Note | None = None
    after: SequenceEmail | None = None  # waiting: the email it comes after
    changes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EarlierRun:
    number: int
    began: datetime
    ended: datetime | None
    counts: dict[str, int]  # deliveries by status


@dataclass(slots=True)
class Facts:
    """All that is read, once; the rest of this module is about these rows in memory."""

    row: Enrollment
    now: datetime
    sequence: Sequence
    person: Subscriber
    emails: dict[int, SequenceEmail]
    itinerary: Itinerary
    deliveries: dict[int, Delivery]  # of this run, by email
    earlier_runs: list[EarlierRun]
    notes: list[Note]  # oldest first
    retimed: list[SequenceEdit]  # changes of delays, days, hour and zone; oldest first
    edits: edit_words.Log  # those that notes name
    next_email: SequenceEmail | None
    due_at: datetime | None
    completed_at: datetime | None
    ended: dict[int, datetime]  # when each email of this run ended, by email
    excluded: str = ""
    names: reasons.Named = field(default_factory=dict)
    is_brief: bool = False  # dates as a page says them, which names the zone itself; else in full, for reading alone
    unmet: set[int] = field(default_factory=set)  # published emails whose filter they do not meet now
    readers: dict[int, str] = field(default_factory=dict)  # by email whose filter keeps it from them: to whom it goes


@dataclass(frozen=True, slots=True)
class Journey:
    facts: Facts
    stop: str  # why no email can have a date, or ""
    steps: list[Step]

    @property
    def notes(self) -> list[Note]:
        return self.facts.notes

    @property
    def earlier_runs(self) -> list[EarlierRun]:
        return self.facts.earlier_runs

    @property
    def waiting_because(self) -> str:
        """Why nothing goes to this person at a known date, or "": `stop`, or what their next email waits for."""
        first = next((step for step in self.steps if step.outcome in ("sending", "next")), None)
        if self.stop or first is not None:
            return self.stop or (first.why if first is not None else "")
        if self.facts.next_email is not None:
            return _why_undated(self.facts.next_email)
        return "at_the_end" if self.facts.itinerary.live else "nothing_published"


def of(row: Enrollment, now: datetime) -> Journey:
    """`row` with sequence and subscriber. A fixed number of queries, whatever the size of the sequence, and one more
    for each email with a filter that this person has not had."""
    facts = _read(row, now)
    stop = _stop(facts)
    coming = {} if stop else _ahead(facts)
    shown = [email for email in facts.emails.values() if _is_shown(email, facts)]
    steps = [_step(email, facts, stop, coming) for email in shown]
    return Journey(facts, stop, steps)


# --- Reading ----------------------------------------------------------------------------------------------------


def _read(row: Enrollment, now: datetime) -> Facts:
    sequence: Sequence = row.sequence
    rows = sorted(sequence.emails.defer("content"), key=lambda email: (email.order, email.pk))
    emails = {email.pk: email for email in rows}
    current = {one.email_id: one for one in row.deliveries.filter(run=row.run).order_by("pk") if one.email_id}
    newest = list(row.notes.order_by("-at", "-pk")[:MOST_NOTES])
    retimings = (SequenceEdit.Kind.EMAIL_RETIMED, SequenceEdit.Kind.SEQUENCE_RETIMED)
    retimed = sequence.edit_log.filter(kind__in=retimings, at__gte=row.entered_at).order_by("-pk")
    facts = Facts(
        row=row,
        now=now,
        sequence=sequence,
        person=row.subscriber,
        emails=emails,
        itinerary=timetable.itinerary(sequence, rows),
        deliveries=current,
        earlier_runs=_earlier_runs(row) if row.run > 1 else [],
        notes=newest[::-1],
        retimed=list(retimed.select_related("email")[:MOST_NOTES])[::-1],
        edits=edit_words.log_of(sequence.pk, (one.reason for one in newest if one.kind == notes.MOVED)),
        next_email=emails.get(row.next_email_id or 0),
        due_at=row.due_at or row.held_due_at,
        completed_at=row.completed_at,
        ended={email_id: one.ended_at for email_id, one in current.items() if one.ended_at is not None},
    )
    _follow_edits(facts)
    if row.status == Enrollment.Status.ACTIVE:
        facts.excluded = audience.excluded(sequence, [row.subscriber_id], facts.now).get(row.subscriber_id, "")
        coming = {email: [row.subscriber_id] for email in facts.itinerary.live if email.pk not in current}
        facts.unmet = {email_id for email_id, _ in filters.kept_from(coming, now)}
    facts.names = audience.names_of([facts.excluded, *(one.reason for one in current.values())], row.account_id)
    facts.readers = _readers(facts)
    return facts


def _readers(facts: Facts) -> dict[int, str]:
    """Of emails that they are kept from, by the filter of now; of those that they skipped, by the filter of then."""
    conditions = {pk: facts.emails[pk].filter for pk in facts.unmet}
    conditions |= _filters_then(facts, [one for one in facts.deliveries.values() if one.reason == reasons.FILTERED])
    known = {pk: condition for pk, condition in conditions.items() if condition is not None}
    return filters.readers(known, facts.row.account_id)


def _filters_then(facts: Facts, skipped: list[Delivery]) -> dict[int, Condition | None]:
    """By email, the filter by which each was skipped: what the next change of it replaced, or the one it has now."""
    if not skipped:
        return {}
    ids = [one.email_id for one in skipped]
    log = facts.sequence.edit_log.filter(kind=SequenceEdit.Kind.EMAIL_FILTERED, email__in=ids).order_by("pk")
    found: dict[int, Condition | None] = {}
    for one in skipped:
        assert one.email_id is not None
        assert one.ended_at is not None
        since = (edit for edit in log if edit.email_id == one.email_id and edit.at > one.ended_at)
        edit = next(since, None)
        found[one.email_id] = facts.emails[one.email_id].filter if edit is None else (edit.changes or {})["filter"][0]
    return found


def _follow_edits(facts: Facts) -> None:
    """If an edit has not been followed yet, this uses the place it will give."""
    row, edit = facts.row, follow.edit_to_follow(facts.sequence.pk)
    if edit is None or row.status != Enrollment.Status.ACTIVE or row.in_flight:
        return
    for _, place in follow.changes([row.pk], edit, edit.as_of(facts.now)):
        facts.next_email = facts.emails.get(place.next_email_id or 0)
        facts.due_at, facts.completed_at = place.due_at, place.completed_at


def _is_shown(email: SequenceEmail, facts: Facts) -> bool:
    """Deleted emails only where they are part of this person's story."""
    return email.deleted_at is None or email.pk in facts.deliveries or email == facts.next_email


def _earlier_runs(row: Enrollment) -> list[EarlierRun]:
    """Counted by the database: somebody who goes round and round has thousands of deliveries."""
    runs: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    counts = row.deliveries.exclude(run=row.run).order_by("run", "status").values("run", "status")
    for one in counts.annotate(n=Count("pk"), began=Min("planned_at"), ended=Max("ended_at")):
        runs[one["run"] or 0].append(one)
    return [_earlier_run(number, rows) for number, rows in runs.items()]


def _earlier_run(number: int, rows: list[Mapping[str, Any]]) -> EarlierRun:
    """rows   one per status"""
    ended = [one["ended"] for one in rows if one["ended"] is not None]
    began = min(one["began"] for one in rows)
    return EarlierRun(number, began, max(ended, default=None), {one["status"]: one["n"] for one in rows})


def _stop(facts: Facts) -> str:
    """Why nothing has a date at all."""
    row = facts.row
    if row.status == Enrollment.Status.REMOVED:
        return "removed"
    if row.status == Enrollment.Status.COMPLETED or facts.completed_at is not None:
        return "completed"
    if row.status == Enrollment.Status.UNCONFIRMED:
        return "unconfirmed"
    if facts.person.state != State.ACTIVE:
        return "not_mailable"
    if not facts.sequence.active:
        return "sequence_paused"
    return "person_paused" if row.paused_at is not None else ""


# --- What comes -------------------------------------------------------------------------------------------------


def _ahead(facts: Facts) -> dict[int, Coming]:
    """Every email that has a date, by email id: the date of the next one is on record, the others follow from it."""
    ended = dict(facts.ended)
    email, at = _begin(facts, ended)
    had = set(facts.deliveries)
    found: dict[int, Coming] = {}
    while email is not None and at is not None:
        if email.pk not in had:
            found[email.pk] = _coming(email, at, ended, facts, is_next=not found and email == facts.next_email)
            at = found[email.pk].at
        had.add(email.pk)
        ended[email.pk] = at
        email, at = _after(at, had, ended, facts)
    return found


def _begin(facts: Facts, ended: dict[int, datetime]) -> tuple[SequenceEmail | None, datetime | None]:
    """The email they are at, and when it goes. Nobody gets past one on hold."""
    flying = next((email_id for email_id, one in facts.deliveries.items() if one.ended_at is None), None)
    if flying is not None:
        delivery = facts.deliveries[flying]
        ready_at = max(delivery.ready_at or facts.now, facts.now)
        return facts.emails[flying], None if delivery.is_parked else ready_at
    if facts.next_email is not None and facts.next_email.pk in ended:  # it ended while we were reading
        return _after(facts.now, set(facts.deliveries), ended, facts)
    is_held = facts.next_email is not None and facts.next_email.is_held
    return facts.next_email, None if is_held else facts.due_at


def _after(
    now: datetime, had: set[int], ended: dict[int, datetime], facts: Facts
) -> tuple[SequenceEmail | None, datetime | None]:
    """R1 to R3, for the moment an email has ended."""
    email = next((one for one in facts.itinerary.live if one.pk not in had), None)
    if email is None or email.is_held:
        return email, None
    anchor = anchor_of(email, ended, facts)
    return email, facts.itinerary.due(email, anchor.at, max(ended.values(), default=None), now)


def _coming(email: SequenceEmail, at: datetime, ended: dict[int, datetime], facts: Facts, *, is_next: bool) -> Coming:
    reckoning = reckon(email, anchor_of(email, ended, facts), facts)
    given_by, after_late = None, False
    if at != reckoning.due:
        late = _latest(ended, facts)
        if late is not None and (by_late := reckon(email, late, facts)).due == at:
            reckoning, after_late = by_late, True
        elif is_next:
            given_by = _note_that_gave(at, at, facts)
    missed = None
    if is_next:
        slot = facts.itinerary.due_when_late(email.pk, at, facts.now)
        missed = at if slot > at else None
        at = max(slot, facts.now)
    return Coming(at, reckoning, given_by, _why_skipped(email, facts), after_late, missed)


def _why_skipped(email: SequenceEmail, facts: Facts) -> str:
    """As planning would decide it now; "": it goes."""
    if email.deleted_at is not None:
        return reasons.EMAIL_DELETED
    return facts.excluded or (reasons.FILTERED if email.pk in facts.unmet else "")


def _latest(ended: dict[int, datetime], facts: Facts) -> Anchor | None:
    if not ended:
        return None
    email_id = max(ended, key=lambda pk: ended[pk])
    return _anchor_at_email(email_id, ended[email_id], facts)


def anchor_of(email: SequenceEmail, ended: dict[int, datetime], facts: Facts) -> Anchor:
    """R2: the end of the closest email before it, never before entry. The same order as queries.NEXT_EMAILS."""
    entry = _entry(facts)
    before = [(facts.emails[pk].order, at, pk) for pk, at in ended.items() if pk != email.pk]
    before = [one for one in before if one[0] <= email.order]
    if not before:
        return entry
    _, at, email_id = max(before)
    return entry if at < entry.at else _anchor_at_email(email_id, at, facts)


def _anchor_at_email(email_id: int, at: datetime, facts: Facts) -> Anchor:
    """`kind` is how the email ended; "email" while it is still to come."""
    delivery = facts.deliveries.get(email_id)
    has_ended = delivery is not None and delivery.ended_at is not None
    return Anchor(delivery.status if delivery and has_ended else "email", at, facts.emails[email_id])


def _entry(facts: Facts) -> Anchor:
    row = facts.row
    if any(note.kind == notes.MOVED_TO and note.at == row.anchored_at for note in facts.notes):
        return Anchor("moved", row.anchored_at)
    if row.anchored_at != row.entered_at:
        return Anchor("confirmed", row.anchored_at)
    if any(one.planned_at < row.entered_at for one in facts.deliveries.values()):
        return Anchor("re_added", row.anchored_at)
    return Anchor("restarted" if row.run > 1 else "entered", row.anchored_at)


def reckon(email: SequenceEmail, anchor: Anchor, facts: Facts) -> Reckoning:
    """The date of an email by today's delay and schedule."""
    delay, own = advance.delay_of(email), advance.schedule_of(facts.sequence, email)
    due = schedule.next_due(anchor.at, delay, own)
    if not schedule.follows_schedule(delay):
        return Reckoning(anchor, delay, None, due, None)
    counted_to = anchor.at.astimezone(ZoneInfo(own.time_zone)).date() + timedelta(days=delay.value)
    return Reckoning(anchor, delay, own, due, counted_to)


def _note_that_gave(earliest: datetime, latest: datetime, facts: Facts) -> Note | None:
    """The newest note that set a date between the two."""
    fits = (note for note in facts.notes if note.due_after is not None and earliest <= note.due_after <= latest)
    return max(fits, key=lambda note: (note.at, note.pk), default=None)


# --- Each email -------------------------------------------------------------------------------------------------


def _step(email: SequenceEmail, facts: Facts, stop: str, coming: dict[int, Coming]) -> Step:
    changes = [note for note in facts.notes if note.email_id == email.pk]
    delivery = facts.deliveries.get(email.pk)
    if delivery is not None:
        reckoning, given_by = _why_then(email, delivery, facts)
        outcome = delivery.status if delivery.ended_at is not None else "sending"
        at = delivery.ended_at or _next_try(delivery)
        why = _why_held(email, delivery, facts) if outcome == "sending" else ""
        return Step(email, outcome, at, why, delivery=delivery, reckoning=reckoning, given_by=given_by, changes=changes)
    if email.pk in coming:
        one = coming[email.pk]
        outcome = "next" if one is next(iter(coming.values())) and not facts.row.in_flight else "later"
        return Step(email, outcome, one.at, coming=one, reckoning=one.reckoning, given_by=one.given_by, changes=changes)
    return _without_date(email, facts, stop, changes)


def _next_try(delivery: Delivery) -> datetime | None:
    return None if delivery.is_parked else delivery.ready_at


def _why_held(email: SequenceEmail, delivery: Delivery, facts: Facts) -> str:
    """Why a planned delivery must not be claimed for now."""
    if not delivery.is_parked:
        return ""
    if not facts.sequence.active:
        return "sequence_paused"
    return "person_paused" if facts.row.paused_at is not None else _why_undated(email)


def _why_undated(email: SequenceEmail) -> str:
    """Why nobody gets a date for it, or it is not sent for now (R8, R22)."""
    return "email_on_hold" if email.published and email.is_held else "email_unpublished"


def _why_then(email: SequenceEmail, delivery: Delivery, facts: Facts) -> tuple[Reckoning, Note | None]:
    """What led to the date of a past email, if today's delays and schedule, or a note, still explain it."""
    planned = delivery.planned_at
    ended = {pk: one.ended_at for pk, one in facts.deliveries.items() if one.ended_at and one.ended_at <= planned}
    ended.pop(email.pk, None)
    reckoning, late = reckon(email, anchor_of(email, ended, facts), facts), _latest(ended, facts)
    if is_punctual(delivery, reckoning):
        return reckoning, None
    if late is not None and is_punctual(delivery, by_late := reckon(email, late, facts)):
        return by_late, None
    return reckoning, _note_that_gave(planned - PUNCTUAL, planned, facts)


def retimed_since(step: Step, facts: Facts) -> list[SequenceEdit]:
    """Changes to an email's delay and schedule after the anchor, the instant at which it got its date."""
    assert step.reckoning is not None
    since = [one for one in facts.retimed if one.at >= step.reckoning.anchor.at]
    return [one for one in since if one.kind == SequenceEdit.Kind.SEQUENCE_RETIMED or one.email_id == step.email.pk]


def is_punctual(delivery: Delivery, reckoning: Reckoning) -> bool:
    """Whether it was planned because of exactly this date."""
    return timedelta(0) <= delivery.planned_at - reckoning.due < PUNCTUAL


def _without_date(email: SequenceEmail, facts: Facts, stop: str, changes: list[Note]) -> Step:
    if stop in ("removed", "completed"):
        return Step(email, "none", why=stop, changes=changes)
    if email == facts.next_email:
        why = stop or ("no_date" if email.published and not email.is_held else _why_undated(email))
        anchored = reckon(email, anchor_of(email, facts.ended, facts), facts) if email.published else None
        return Step(email, "waiting", why=why, reckoning=anchored, changes=changes)
    if not email.published:
        return Step(email, "draft", why=stop or ("at_the_end" if _is_at_the_end(facts) else ""), changes=changes)
    return Step(email, "waiting", why=stop or "after_another", after=_before(email, facts), changes=changes)


def _is_at_the_end(facts: Facts) -> bool:
    return facts.next_email is None and not facts.row.in_flight


def _before(email: SequenceEmail, facts: Facts) -> SequenceEmail | None:
    """The email that has to go before this one can have a date; None: it is the first."""
    waited = [one for one in facts.itinerary.live if one.order < email.order and one.pk not in facts.ended]
    if facts.next_email is not None and facts.next_email not in waited and facts.next_email != email:
        waited = [facts.next_email, *waited]
    return max(waited, key=lambda one: one.order, default=None)
