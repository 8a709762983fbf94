"""What an owner may do to one person's place in a sequence: pause, resume, skip, send now, move, restart, remove.

Each verb is one transaction, leaves a note with actor and reason, and raises Invalid with a sentence when it cannot
be done. An email that is already on the wire still goes; one that is only planned follows the verb. Pending edits of
the sequence are applied to this person first, so that a verb never acts on an outdated place.
A crash here means nothing was changed.
"""

from collections.abc import Callable, Collection
from collections.abc import Sequence as Series
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Coalesce

from dripstone.engine import (
    advance,
    audience,
    counters,
    enroll,
    filters,
    follow,
    notes,
    plan,
    queries,
    reasons,
    schedule,
    transitions,
    wake,
)
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import State, Subscriber, locked

Verb = Callable[[Enrollment], int | None]
"""Acts on a locked row; returns the id of the email it is about."""

INSIDE = (Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED)
SEQUENCE_DELETED = "This sequence has been deleted"
_NOT_IN_IT = {
    Enrollment.Status.UNCONFIRMED: "This person has not confirmed their address yet",
    Enrollment.Status.COMPLETED: "This person has completed the sequence: move them to an email, or restart them",
    Enrollment.Status.REMOVED: "This person has been removed from the sequence: restart them, or add them again",
}


def pause(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """They stay where they are and are sent nothing of this sequence until resumed."""

    def verb(row: Enrollment) -> int | None:
        _must_be_active(row)
        if row.paused_at is not None:
            raise Invalid("This person is paused already")
        _planned(row).update(ready_at=Delivery.PARKED)
        row.paused_at, row.held_due_at, row.due_at = now, row.due_at or row.held_due_at, None
        row.save(update_fields=["paused_at", "held_due_at", "due_at"])
        return row.next_email_id

    return _do(verb, notes.PAUSED, enrollment_id, actor, reason, now)


def resume(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """They go on. An email that fell due meanwhile goes right away if its delay is in hours, else at the next slot
    (R4). If it is on hold, they wait at it."""

    def verb(row: Enrollment) -> int | None:
        if row.paused_at is None:
            raise Invalid("This person is not paused")
        row.paused_at = None
        if not (row.next_email and row.next_email.is_held):
            kept, row.held_due_at = row.held_due_at, None
            row.due_at = kept if kept is None or kept >= now else _after_pause(row, now)
        row.save(update_fields=["paused_at", "held_due_at", "due_at"])
        if row.next_email and follow.may_go(row.sequence, row.next_email):  # else it stays parked, like all others
            _planned(row).update(ready_at=_after_pause(row, now), unparked_at=now)
        _wake(row, now)
        return row.next_email_id

    return _do(verb, notes.RESUMED, enrollment_id, actor, reason, now)


def skip(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """Their next email is skipped now, and the delay of the one after it starts now."""

    def verb(row: Enrollment) -> int | None:
        _must_be_active(row)
        if row.next_email is None:
            raise Invalid("Nothing comes next for this person, so there is nothing to skip")
        _take_back(row, reasons.SKIPPED_BY_OWNER, now)
        _skip(row, [row.next_email], now, causes.of_actor(actor))
        return row.next_email_id

    return _do(verb, notes.SKIPPED, enrollment_id, actor, reason, now)


def send_now(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """Their next email goes right away, whatever the schedule or a retry says. Exclusions and its filter still hold."""

    def verb(row: Enrollment) -> int | None:
        _must_be_active(row)
        if row.next_email is None:
            raise Invalid("Nothing comes next for this person, so there is nothing to send")
        must_be_sendable(row, row.next_email, now)
        if _planned(row).update(ready_at=now):
            wake.senders(1)
        else:
            _must_not_be_on_the_wire(row)
            plan.place(row.sequence, row, now)
        return row.next_email_id

    return _do(verb, notes.SENT_NOW, enrollment_id, actor, reason, now)


def move_to(enrollment_id: int, email_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """The given email comes next, its delay counted from now. Emails before it that they have not had are skipped.

    If they have had that email in this run, a new run starts there and the history stays. People who completed are in
    the sequence again; paused people stay paused. Raises NotFound for an email of another sequence.
    """

    def verb(row: Enrollment) -> int | None:
        if row.status != Enrollment.Status.COMPLETED:
            _must_be_active(row)
        if row.subscriber.state != State.ACTIVE:
            raise Invalid(f"This person can't be mailed: the subscriber is {row.subscriber.state}")
        emails = row.sequence.emails.filter(deleted_at=None)
        target = emails.filter(pk=email_id).first()
        if target is None:
            raise NotFound
        if not target.published:
            raise Invalid("That email is not published: publish it first")
        _take_back(row, reasons.MOVED_BY_OWNER, now)
        is_again = Delivery.objects.filter(enrollment=row, run=row.run, email=target).exists()
        transitions.reopen(row, now, new_run=is_again)
        _skip(row, emails.filter(published=True, position__lt=target.position), now, causes.of_actor(actor))
        return target.pk

    return _do(verb, notes.MOVED_TO, enrollment_id, actor, reason, now)


def restart(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """From the first email again, in a new run, whatever `repeat` says: the owner asks for it. Ends a pause."""

    def verb(row: Enrollment) -> int | None:
        person = row.subscriber
        if person.state not in (State.ACTIVE, State.INACTIVE):
            raise Invalid(f"This person can't be mailed: the subscriber is {person.state}")
        cause = causes.of_actor(actor)
        transitions.reenter([row], {person.pk: person}, row.source, row.door, now, restart=True)
        enroll.record_entries([row], now, cause)
        places = advance.advance([row.pk], now, cause) if row.status == Enrollment.Status.ACTIVE else []
        wake.engine_if_due(places, now)
        return places[0].next_email_id if places else None

    return _do(verb, notes.RESTARTED, enrollment_id, actor, reason, now)


def remove(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    """Out of the sequence. Adding them again continues where they left off, or restarts (R12)."""

    def verb(row: Enrollment) -> int | None:
        cause = causes.of_actor(actor)
        if not transitions.remove([row.pk], reasons.REMOVED_BY_OWNER, now, cause=cause):
            raise Invalid("This person has been removed already")
        return row.next_email_id

    return _do(verb, notes.REMOVED, enrollment_id, actor, reason, now)


def remove_all(
    account_id: int, sequence_id: int, subscriber_ids: Collection[int], reason: str, now: datetime, *, cause: Cause
) -> set[int]:
    """Those of these people who are inside the sequence leave it, in so many statements whatever their number; what is
    on the wire goes on. Returns who left. In a transaction that has held the sequence and locked the people."""
    inside = Enrollment.objects.filter(
        account_id=account_id, sequence=sequence_id, subscriber__in=subscriber_ids, status__in=INSIDE
    )
    rows = lock_all(list(inside.values_list("pk", flat=True)), now)
    leaving = {row.subscriber_id: row.pk for row in rows.values() if row.status in INSIDE}
    transitions.remove(list(leaving.values()), reason, now, cause=cause)
    return set(leaving)


# Purpose: these places, after their sequences and people, in the lock order. Primary keys.
_HOLD_ALL = (
    """SELECT FROM sequences_sequence WHERE id IN (SELECT sequence_id FROM engine_enrollment WHERE id = ANY(%(places)s))
       ORDER BY id FOR SHARE""",
    """SELECT FROM subscribers_subscriber WHERE id IN (SELECT subscriber_id FROM engine_enrollment
       WHERE id = ANY(%(places)s)) ORDER BY id FOR NO KEY UPDATE""",
    "SELECT FROM engine_enrollment WHERE id = ANY(%(places)s) ORDER BY id FOR NO KEY UPDATE",
)


def pause_all(enrollment_ids: Collection[int], now: datetime) -> set[int]:
    """Those of these places that are active are paused as by `pause`, in so many statements whatever their number; no
    note is left. Returns which. Whoever is paused already stays so."""
    _hold_all(enrollment_ids)
    rows = Enrollment.objects.filter(pk__in=enrollment_ids, status=Enrollment.Status.ACTIVE, paused_at=None)
    ids = set(rows.values_list("pk", flat=True))
    planned = Delivery.objects.filter(enrollment__in=ids, status=Delivery.Status.PLANNED)
    planned.update(ready_at=Delivery.PARKED)
    rows = Enrollment.objects.filter(pk__in=ids)
    rows.update(paused_at=now, held_due_at=Coalesce("due_at", "held_due_at"), due_at=None)
    return ids


def resume_all(enrollment_ids: Collection[int], now: datetime) -> int:
    """The same of `resume`. Returns how many go on."""
    _hold_all(enrollment_ids)
    rows = Enrollment.objects.filter(pk__in=enrollment_ids, paused_at__isnull=False)
    ids = list(rows.values_list("pk", flat=True))
    paused = Enrollment.objects.filter(pk__in=ids)
    emails = SequenceEmail.objects.filter(pk__in=paused.values("next_email")).select_related("sequence")
    for email in emails:
        at = _email_after_pause(email, now)
        if not email.is_held:
            late = Case(When(held_due_at__lt=now, then=Value(at)), default=F("held_due_at"))
            paused.filter(next_email=email).update(due_at=late, held_due_at=None, paused_at=None)
        if follow.may_go(email.sequence, email):
            planned = Delivery.objects.filter(enrollment__in=ids, email=email, status=Delivery.Status.PLANNED)
            planned.update(ready_at=at, unparked_at=now)
    Enrollment.objects.filter(pk__in=ids, next_email=None).update(held_due_at=None)
    Enrollment.objects.filter(pk__in=ids).update(paused_at=None)
    wake.engine()
    wake.senders(1)
    return len(ids)


def _hold_all(enrollment_ids: Collection[int]) -> None:
    with connection.cursor() as cursor:
        for statement in _HOLD_ALL:
            cursor.execute(statement, {"places": list(enrollment_ids)})


@transaction.atomic
def _do(verb: Verb, kind: str, enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
    row = lock(enrollment_id, now)
    due_before = _date(row)
    email_id = verb(row)
    row = _read(enrollment_id)
    notes.of_person(row, kind, email_id, reason, actor, now, due_before=due_before, due_after=_date(row))
    return row


def lock(enrollment_id: int, now: datetime) -> Enrollment:
    """Sequence, subscriber, enrollment: the lock order (queries.py). Raises NotFound."""
    row = Enrollment.objects.filter(pk=enrollment_id).first()
    if row is None:
        raise NotFound
    with connection.cursor() as cursor:
        cursor.execute(queries.HOLD_SEQUENCE, {"sequence": row.sequence_id})
        if cursor.fetchone() is None:
            raise Invalid(SEQUENCE_DELETED)
    locked(row.subscriber_id)
    Enrollment.objects.select_for_update(no_key=True).get(pk=enrollment_id)
    follow.person(row.sequence_id, enrollment_id, now)
    return _read(enrollment_id)


def lock_all(enrollment_ids: Series[int], now: datetime) -> dict[int, Enrollment]:
    """The same for many, in the same order; without those whose sequence has been deleted."""
    rows = list(Enrollment.objects.filter(pk__in=enrollment_ids))
    held: dict[int, bool] = {}  # → no edit of it is left to follow
    with connection.cursor() as cursor:
        for sequence_id in sorted({row.sequence_id for row in rows}):
            cursor.execute(queries.HOLD_SEQUENCE, {"sequence": sequence_id})
            if (found := cursor.fetchone()) is not None:
                (held[sequence_id],) = found
    rows = [row for row in rows if row.sequence_id in held]
    ids = sorted(row.pk for row in rows)
    people = Subscriber.objects.filter(pk__in=[row.subscriber_id for row in rows])
    list(people.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    list(Enrollment.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))
    for row in sorted(rows, key=lambda row: row.pk):
        if not held[row.sequence_id]:
            follow.person(row.sequence_id, row.pk, now)
    read = Enrollment.objects.select_related("sequence", "subscriber", "next_email").filter(pk__in=ids)
    return {row.pk: row for row in read}


def _read(enrollment_id: int) -> Enrollment:
    """Read after the lock, not joined to it: a joined row would be as it was before the wait."""
    return Enrollment.objects.select_related("sequence", "subscriber", "next_email").get(pk=enrollment_id)


def _must_be_active(row: Enrollment) -> None:
    if row.status != Enrollment.Status.ACTIVE:
        raise Invalid(_NOT_IN_IT[Enrollment.Status(row.status)])


def must_be_sendable(row: Enrollment, email: SequenceEmail, now: datetime) -> None:
    if row.paused_at is not None:
        raise Invalid("This person is paused: resume them first")
    if not row.sequence.active:
        raise Invalid("Sequence is inactive")
    if email.deleted_at is not None:
        raise Invalid("Their next email has been deleted: skip it, or move them to another")
    if not email.published:
        raise Invalid("Their next email is not published: publish it first")
    if email.is_held:
        raise Invalid("Their next email is on hold: release it first")
    if excluded := audience.excluded(row.sequence, [row.subscriber_id], now):
        reason = excluded[row.subscriber_id]
        because = reasons.because(reason, audience.names_of([reason], row.account_id))
        raise Invalid(f"Nothing would be sent, because {because}")
    if filters.kept_from({email: [row.subscriber_id]}, now):
        [readers] = filters.readers(filters.of([email]), row.account_id).values()
        raise Invalid(f"Nothing would be sent, because {reasons.filtered(readers)}")


def _skip(row: Enrollment, emails: QuerySet[SequenceEmail] | list[SequenceEmail], now: datetime, cause: Cause) -> None:
    """Record a skipped delivery for each, then go on to the next email. Emails they have had already have a row."""
    had = set(Delivery.objects.filter(enrollment=row, run=row.run).values_list("email_id", flat=True))
    left = [email for email in emails if email.pk not in had]
    skipped = [transitions.skipped_delivery(row, email, reasons.SKIPPED_BY_OWNER, now) for email in left]
    Delivery.objects.bulk_create(skipped)
    counters.on_commit(planned=len(skipped), skipped=len(skipped))
    wake.engine_if_due(advance.advance([row.pk], now, cause), now)


def _take_back(row: Enrollment, reason: str, now: datetime) -> None:
    """End planned mail as skipped. Only after that do we know whether an email is on the wire."""
    transitions.skip_planned([row.pk], reason, now)
    _must_not_be_on_the_wire(row)


def _must_not_be_on_the_wire(row: Enrollment) -> None:
    """An email on the wire can't be taken back, and a second one must not go beside it (R5)."""
    if Delivery.objects.filter(enrollment=row, run=row.run, status=Delivery.Status.SENDING).exists():
        raise Invalid("An email is on its way to this person right now: try again in a moment")


def _planned(row: Enrollment) -> QuerySet[Delivery]:
    return Delivery.objects.filter(enrollment=row, run=row.run, status=Delivery.Status.PLANNED)


def _after_pause(row: Enrollment, now: datetime) -> datetime:
    return now if row.next_email is None else _email_after_pause(row.next_email, now)


def _email_after_pause(email: SequenceEmail, now: datetime) -> datetime:
    if not schedule.follows_schedule(advance.delay_of(email)):
        return now
    return schedule.next_slot(now, advance.schedule_of(email.sequence, email))


def _date(row: Enrollment) -> datetime | None:
    """When their next email may go, as things stand: none while paused or parked, or while it is on the wire."""
    ready = _planned(row).exclude(ready_at=Delivery.PARKED).values_list("ready_at", flat=True).first()
    return row.due_at or ready


def _wake(row: Enrollment, now: datetime) -> None:
    if row.due_at is not None and row.due_at <= now:
        wake.engine()
    if row.in_flight:
        wake.senders(1)
