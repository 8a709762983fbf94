"""Moves the people of a sequence to where the rules put them after an edit (R4, R6 to R11, R16, R22).

Takes       a sequence whose `edits` is ahead of `edits_done`
Leaves      every active place where the rules now put it, and `edits_done` caught up
A crash here means some places were moved and others not yet. Nothing of the sequence is planned until another worker
has gone through all of it again; going through it twice changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection
from collections.abc import Sequence as Series
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F, Q

from dripstone.engine import advance, notes, queries, reasons, schedule, transitions, wake
from dripstone.engine.advance import Place, Standing
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind

BATCH = 2000


def after_edit(sequence: Sequence, *, moved_draft: SequenceEmail | None = None) -> None:
    """Call this in the transaction of every edit that raised `edits`. Planned mail stops at once; the people follow in
    a job. `moved_draft`: an unpublished email that got another position; people stop waiting for it (R8).
    """
    park(sequence)
    if moved_draft is not None:
        waiting = Enrollment.objects.filter(sequence=sequence, next_email=moved_draft, in_flight=False)
        n_freed = waiting.update(next_email=None, due_at=None, held_due_at=None)
        tallies.add({(Kind.WAITING, moved_draft.pk, Enrollment.Status.ACTIVE.value): -n_freed})
    wake.reevaluation(sequence.pk)


def pending() -> list[int]:
    """Sequences with an edit that was not followed to the end: a job was lost, or a worker killed on the way."""
    stale = Sequence.objects.extra(where=["edits <> edits_done"])
    return list(stale.order_by("pk").values_list("pk", flat=True))


def everybody(sequence_id: int, now: datetime) -> int:
    """Returns how many places moved. An edit made meanwhile is followed too: the last one decides."""
    moved = 0
    while (edit := edit_to_follow(sequence_id)) is not None:
        unpark(sequence_id, edit, now)
        moved += _in_batches(sequence_id, edit, edit.as_of(now))
        Sequence.objects.filter(pk=sequence_id, edits=edit.number).update(edits_done=edit.number)
    wake.engine()
    return moved


def person(sequence_id: int, enrollment_id: int, now: datetime) -> None:
    """Apply the edits to one person ahead of the job, for a verb that needs their current place. The caller holds all
    locks. The job comes by later and finds nothing to change for them."""
    edit = edit_to_follow(sequence_id)
    if edit is not None:
        _batch(_lock([enrollment_id]), edit, edit.as_of(now))


@dataclass(frozen=True, slots=True)
class Following:
    """All edits not followed yet, as one."""

    number: int  # of the last one
    reason: str  # for the notes: which edits
    actor: str
    rescheduled_at: datetime | None  # new dates are computed as of then, so that a second go gives the same ones
    moves: tuple[SequenceEdit, ...] = ()  # of emails whose delay may now count from another one
    skips: tuple[SequenceEdit, ...] = ()  # of the wait for an email

    def as_of(self, now: datetime) -> datetime:
        return self.rescheduled_at or now


def park(sequence: Sequence) -> None:
    """Parks planned deliveries that may no longer go: the sequence is paused or deleted, or the email is a draft, on
    hold or deleted."""
    planned = Delivery.objects.filter(sequence_id=sequence.pk, status=Delivery.Status.PLANNED)
    if not sequence.active or sequence.deleted_at is not None:
        planned.update(ready_at=Delivery.PARKED)
    else:
        stopped = Q(email__published=False) | Q(email__held_at__isnull=False) | Q(email__deleted_at__isnull=False)
        planned.filter(stopped).update(ready_at=Delivery.PARKED)


@transaction.atomic
def unpark(sequence_id: int, edit: Following, now: datetime) -> None:
    """Release deliveries that may go again: hours at once, days at their next slot (R4). Skip deleted emails (R9), and
    the wait of those whose owner says so.

    Locks the sequence: meanwhile no person is paused or resumed (acts/places.py) and no refusal recorded (record.py).
    """
    sequence = Sequence.objects.select_for_update(no_key=True).get(pk=sequence_id)
    if sequence.deleted_at is not None:
        _empty(sequence, now)
        return
    for email in sequence.emails.all():
        planned = Delivery.objects.filter(email=email, status=Delivery.Status.PLANNED)
        if email.deleted_at is not None:
            _skip_deleted(email, now)
        elif may_go(sequence, email):
            waiting = planned.filter(enrollment__paused_at=None)
            parked = waiting.filter(ready_at=Delivery.PARKED)
            parked.update(ready_at=ready_again(sequence, email, now), unparked_at=now)
            for skip in edit.skips:
                if skip.email_id == email.pk:
                    waiting.filter(ready_at__gt=skip.at).update(ready_at=skip.at)


def ready_after(
    edit: Following, sequence: Sequence, email: SequenceEmail, ready_at: datetime, now: datetime
) -> datetime:
    """Where `unpark` leaves the planned email of somebody who is not paused, if it may go."""
    at = ready_again(sequence, email, now) if ready_at == Delivery.PARKED else ready_at
    return min([at, *(skip.at for skip in edit.skips if skip.email_id == email.pk)])


def may_go(sequence: Sequence, email: SequenceEmail) -> bool:
    return sequence.active and email.published and not email.is_held and email.deleted_at is None


def ready_again(sequence: Sequence, email: SequenceEmail, now: datetime) -> datetime:
    """After a pause of the sequence, or when they are released from a hold, day-emails go at their next slot. An email
    that was a draft meanwhile goes right away (R4)."""
    let_go_at = _latest(sequence.resumed_at, email.released_at)
    stopped_last = let_go_at is not None and (email.published_at or email.created_at) <= let_go_at
    if not stopped_last or not schedule.follows_schedule(advance.delay_of(email)):
        return now
    return schedule.next_slot(now, advance.schedule_of(sequence, email))


def _latest(*instants: datetime | None) -> datetime | None:
    return max((at for at in instants if at is not None), default=None)


def _skip_deleted(email: SequenceEmail, now: datetime) -> None:
    waiting = Delivery.objects.filter(email=email, status=Delivery.Status.PLANNED).values("enrollment_id")
    flying = list(Enrollment.objects.select_for_update(no_key=True).filter(pk__in=waiting).order_by("pk"))
    transitions.skip_planned([row.pk for row in flying], reasons.EMAIL_DELETED, now)
    advance.advance([row.pk for row in flying], now)


def _empty(sequence: Sequence, now: datetime) -> None:
    """A deleted sequence keeps its history, but no people."""
    inside = Enrollment.objects.filter(sequence=sequence, status__in=["unconfirmed", "active"]).order_by("pk")
    while ids := list(inside.values_list("pk", flat=True)[:BATCH]):
        transitions.remove(ids, reasons.SEQUENCE_DELETED, now)


def edit_to_follow(sequence_id: int) -> Following | None:
    edits, done = Sequence.objects.values_list("edits", "edits_done").get(pk=sequence_id)
    if edits == done:
        return None
    log = list(SequenceEdit.objects.filter(sequence=sequence_id, number__gt=done, number__lte=edits).order_by("number"))
    return Following(
        edits,
        reason=reasons.edits(done + 1, edits),
        actor=", ".join(dict.fromkeys(row.actor for row in log)) or notes.ENGINE,
        rescheduled_at=max((row.at for row in log if row.reschedules), default=None),
        moves=tuple(row for row in log if row.moved_id is not None),
        skips=tuple(row for row in log if row.kind == SequenceEdit.Kind.WAIT_SKIPPED),
    )


def _in_batches(sequence_id: int, edit: Following, now: datetime) -> int:
    moved, after = 0, 0
    while people := _people(sequence_id, after):
        with transaction.atomic():
            moved += _batch(_lock([enrollment_id for enrollment_id, _ in people]), edit, now)
        after = people[-1][1]
    return moved


def _people(sequence_id: int, after: int) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(queries.PEOPLE_OF_SEQUENCE, {"sequence": sequence_id, "after": after, "limit": BATCH})
        return list(cursor.fetchall())


def _lock(enrollment_ids: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(queries.LOCK_PLACES, {"enrollments": queries.ids(enrollment_ids)})
        return [row[0] for row in cursor.fetchall()]


def _batch(ids: list[int], edit: Following, now: datetime) -> int:
    changed = changes(ids, edit, now)
    advance.write([standing for standing, _ in changed], [place for _, place in changed], now)
    notes.of_edit(changed, edit.reason, edit.actor, now)
    return len(changed)


def changes(ids: list[int], edit: Following, now: datetime) -> list[tuple[Standing, Place]]:
    """The places among these that are not where the rules now put them. Writes nothing."""
    standings = advance.standings_of(ids)
    had = _had([one for one in standings if _passed(edit.moves, one)])
    places = ((one, place_after(edit, one, had.get(one.enrollment_id, ()), now)) for one in standings)
    return [(standing, place) for standing, place in places if not _stands(standing, place)]


def _had(standings: list[Standing]) -> dict[int, list[int]]:
    """Enrollment id → the emails they have had in this run."""
    had = defaultdict[int, list[int]](list)
    ids = [one.enrollment_id for one in standings]
    deliveries = Delivery.objects.filter(enrollment__in=ids, run=F("enrollment__run"))
    for enrollment_id, email_id in deliveries.values_list("enrollment_id", "email_id") if ids else ():
        had[enrollment_id].append(email_id)
    return had


def place_after(edit: Following, standing: Standing, had: Collection[int], now: datetime) -> Place:
    """Where one person stands once the edit is followed. `had`: the emails of this run, needed only for people
    whose email moved: if it moved past an email they had, its delay now counts from that one (R2)."""
    is_live = standing.current_published and not standing.current_deleted
    is_free = is_live and not _passed(edit.moves, standing).isdisjoint(had)
    freed = standing._replace(current_id=None) if is_free else standing
    place = place_after_edit(freed, now, reschedules=edit.rescheduled_at is not None)
    return _without_the_wait(edit.skips, standing, place)


def _without_the_wait(skips: Series[SequenceEdit], standing: Standing, place: Place) -> Place:
    """The owner has skipped the wait for their email. Whoever came to wait for it later waits; so do paused people, and
    all of them if it can't go any more."""
    is_live = standing.current_published and not standing.current_deleted and not standing.current_held
    if place.due_at is None or place.next_email_id != standing.current_id or standing.is_paused or not is_live:
        return place
    skipped_at = [skip.at for skip in skips if skip.email_id == standing.current_id and _waited(standing, skip.at)]
    return replace(place, due_at=min(place.due_at, *skipped_at)) if skipped_at else place


def _waited(standing: Standing, at: datetime) -> bool:
    """Whether they had come to where they are by then."""
    return standing.anchor <= at and (standing.last_ended_at is None or standing.last_ended_at <= at)


def _passed(moves: Series[SequenceEdit], standing: Standing) -> set[int]:
    """Emails that changed sides with a person's email by the moves since their date was given."""
    passed: set[int] = set()
    for move in moves:
        given_before = standing.last_ended_at is None or standing.last_ended_at <= move.at
        if move.moved_id == standing.current_id and given_before:
            passed ^= set(move.passed or ())
    return passed


def _stands(standing: Standing, place: Place) -> bool:
    here = (standing.current_id, standing.due_at, standing.is_kept, None)
    return here == (place.next_email_id, place.due_at, standing.keeps_date(place), place.completed_at)


def place_after_edit(standing: Standing, now: datetime, *, reschedules: bool = False) -> Place:
    """Where one person stands after an edit. Dates already given stay (R11) unless their email changes, or the edit is
    a reschedule."""
    if standing.current_id is None:
        return _next_or_end(standing, now)
    if _is_passed_by(standing):
        return _right_away_or_later(standing, now)
    if standing.current_deleted:
        return Place(standing.enrollment_id, standing.current_id, _date_of_deleted(standing, now))
    if not standing.current_published:
        return Place(standing.enrollment_id, standing.current_id, None)  # R8: they keep waiting for the draft
    if reschedules:
        return Place(standing.enrollment_id, standing.next_id, _date_anew(standing, now))
    if standing.due_at is None:  # published again
        return _right_away_or_later(standing, now)
    if standing.current_held:  # R22: the date is kept as it is
        return Place(standing.enrollment_id, standing.current_id, standing.due_at)
    return Place(standing.enrollment_id, standing.current_id, _date_after_pause(standing, standing.due_at))


def _is_passed_by(standing: Standing) -> bool:
    """R7: an email they have not had now stands before the one they wait for."""
    if standing.next_id is None or standing.next_id == standing.current_id:
        return False
    assert standing.next_position is not None and standing.current_position is not None
    return standing.next_position < standing.current_position


def _next_or_end(standing: Standing, now: datetime) -> Place:
    if standing.next_id is None:
        return advance.end_of_sequence(standing, now)
    return _right_away_or_later(standing, now)


def _right_away_or_later(standing: Standing, now: datetime) -> Place:
    """R4: a date that publishing, inserting or moving puts into the past means right away."""
    return Place(standing.enrollment_id, standing.next_id, max(standing.next_due(), now))


def _date_of_deleted(standing: Standing, now: datetime) -> datetime:
    """R9: they skip it at the moment it would have gone, which may have been while it was on hold (R22). People who
    waited without a date get that moment now."""
    released_at = standing.current_released_at
    if standing.due_at is not None and released_at is not None and standing.due_at < released_at:
        return released_at
    if standing.due_at is not None:
        return _date_after_pause(standing, standing.due_at)
    assert standing.current_anchor is not None
    own_schedule = standing.schedule(standing.current_days)
    return max(schedule.next_due(standing.current_anchor, standing.current_delay(), own_schedule), now)


def _date_anew(standing: Standing, now: datetime) -> datetime:
    """A reschedule (R11): the date they would be given today. No burst, and no backlog after a pause (R4)."""
    due = _date_after_pause(standing, advance.date_after_end(standing, now))
    return max(due, now)


def _date_after_pause(standing: Standing, due: datetime) -> datetime:
    """R4, R22: an email that fell due while the sequence was paused, or while it was on hold itself, goes right away
    (hours) or at the next slot (days)."""
    let_go_at = _latest(standing.resumed_at, standing.current_released_at)
    if let_go_at is None or due >= let_go_at or not schedule.follows_schedule(standing.current_delay()):
        return due
    return schedule.next_slot(let_go_at, standing.schedule(standing.current_days))
