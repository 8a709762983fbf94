"""Every state change of Subscriber and Enrollment, and the moves a Delivery may make, with the cascades between them.

No other code assigns a state or status, except the hot path: it works on sets, by statements in queries.py that follow
the same tables. Each verb is one transaction: the change, what follows from it, and its event. `cause` says who or what
brought it about; the engine's own moves have none (events/causes.py). What is about a person raises NotFound when they
have been deleted meanwhile (acts/forget.py).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Series
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from dripstone.engine import advance, counters, queries, reasons, wake
from dripstone.engine.models import Delivery, Enrollment, places_of, places_of_all
from dripstone.events import causes, types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import SignUp, State, Subscriber, locked
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, came_in_week, left, left_in_week
from dripstone.tracking import responses

DELIVERY_MOVES: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"sending", "skipped"}),
    "sending": frozenset({"planned", "sent", "failed", "unknown", "skipped"}),
    "sent": frozenset(),
    "skipped": frozenset(),
    "failed": frozenset({"planned"}),  # the owner's choice: send again
    "unknown": frozenset({"planned", "sent"}),  # the same, or treat as sent
}

# Of one that must be clicked: docs/reference/life-of-a-sign-up.md.
SIGN_UP_MOVES: Mapping[str, frozenset[str]] = {
    "waiting": frozenset({"confirmed", "replaced", "withdrawn"}),
    "confirmed": frozenset(),
    "replaced": frozenset(),
    "withdrawn": frozenset(),
}

RETURN_WITHIN = timedelta(hours=24)  # of unsubscribing, by the same link (R20)

# R15: these end all enrollments at once, and coming back resumes none.
_ENDED = {
    State.CANCELLED: types.SUBSCRIBER_UNSUBSCRIBED,
    State.BOUNCED: types.SUBSCRIBER_BOUNCED,
    State.COMPLAINED: types.SUBSCRIBER_COMPLAINED,
}

_STAMPS: Mapping[State, responses.Stamp] = {
    State.CANCELLED: "unsubscribed_at",
    State.BOUNCED: "bounced_at",
    State.COMPLAINED: "complained_at",
}

# The states that each of these must not replace: a person's own act outweighs a bounce, and a click can't take back a
# complaint.
_STRONGER = {State.BOUNCED: (State.CANCELLED, State.COMPLAINED), State.CANCELLED: (State.COMPLAINED,)}


def cancel(
    subscriber_id: int,
    now: datetime,
    *,
    delivery_id: int | None = None,
    cause: Cause = causes.NONE,
    said: str = "",
) -> bool:
    """Unsubscribe from everything. False: they had cancelled or complained before. `delivery_id`: the email whose link
    they used. `said`: why, in the words of whoever does it for them; kept with the event."""
    return _end_subscriber(subscriber_id, State.CANCELLED, now, delivery_id, cause, said)


def bounce(subscriber_id: int, now: datetime, *, delivery_id: int | None = None, cause: Cause = causes.NONE) -> bool:
    """Their address does not exist any more. Cancelled and complained people keep their state."""
    return _end_subscriber(subscriber_id, State.BOUNCED, now, delivery_id, cause)


def complain(subscriber_id: int, now: datetime, *, delivery_id: int | None = None, cause: Cause = causes.NONE) -> bool:
    """They reported an email as spam."""
    return _end_subscriber(subscriber_id, State.COMPLAINED, now, delivery_id, cause)


@transaction.atomic
def _end_subscriber(
    subscriber_id: int, state: State, now: datetime, delivery_id: int | None, cause: Cause, said: str = ""
) -> bool:
    person = locked(subscriber_id)
    if state != State.BOUNCED:  # whoever asked to come in before has taken it back
        _end_sign_ups(SignUp.Status.WITHDRAWN, now, subscriber=person)
    is_out_already = person.state == state or person.state in _STRONGER.get(state, ())
    if state == State.CANCELLED and cause != causes.SUBSCRIBER and person.left_through is not None:
        person.left_through = None  # the owner has decided it, too: their link no longer leads back
        person.save(update_fields=["left_through"])
    if delivery_id is not None and not (is_out_already and state == State.CANCELLED):
        _came_back(delivery_id, _STAMPS[state], now)
    if is_out_already:
        return False
    person.state = state
    if state == State.CANCELLED:
        person.canceled_at = now
        person.left_through = delivery_id if cause == causes.SUBSCRIBER else None
    person.updated_at = now
    person.save(update_fields=["state", "canceled_at", "left_through", "updated_at"])
    going = places_of(person.account_id, person.pk).filter(status__in=["unconfirmed", "active"])
    places = list(going.select_for_update(no_key=True).order_by("pk"))
    ended = event(_ENDED[state], person.account_id, now, cause=cause, subscriber_id=person.pk, subject_id=delivery_id)
    ended.data = {"reason": said} if said else {}
    record([ended])  # after the lock, so that a place that completes meanwhile is recorded first
    _remove(places, reasons.subscriber_is(state.value), now, cause)
    return True


def cancel_all(people: Mapping[int, Subscriber], now: datetime, *, cause: Cause) -> set[int]:
    """What `cancel` does for one after the other, in so many statements whatever their number. Returns who left.

    people   of one account, by id, locked by the caller's transaction; they are told their new state
    cause    not their own click, which leads back
    """
    _end_sign_ups(SignUp.Status.WITHDRAWN, now, subscriber__in=people.keys())
    is_out = (State.CANCELLED, *_STRONGER[State.CANCELLED])
    leaving = [person for pk, person in sorted(people.items()) if person.state not in is_out]
    came_by_link = [one for one in people.values() if one.state in is_out and one.left_through is not None]
    for person in came_by_link:
        person.left_through = None  # the owner has decided it, too: their link no longer leads back
    for person in leaving:
        person.state, person.canceled_at, person.left_through, person.updated_at = State.CANCELLED, now, None, now
    rows = Subscriber.objects.filter(pk__in=[person.pk for person in leaving])
    rows.update(state=State.CANCELLED, canceled_at=now, left_through=None, updated_at=now)
    Subscriber.objects.filter(pk__in=[person.pk for person in came_by_link]).update(left_through=None)
    if not leaving:
        return set()
    ids = {person.pk for person in leaving}
    going = places_of_all(leaving[0].account_id, ids).filter(status__in=["unconfirmed", "active"])
    places = list(going.select_for_update(no_key=True).order_by("pk"))
    record(
        event(_ENDED[State.CANCELLED], person.account_id, now, cause=cause, subscriber_id=person.pk)
        for person in leaving
    )
    _remove(places, reasons.subscriber_is(State.CANCELLED.value), now, cause)
    return ids


def _came_back(delivery_id: int, what: responses.Stamp, now: datetime) -> None:
    """Stamp the delivery: each one that bounces or is called spam, but only the one a person unsubscribed from."""
    row = Delivery.objects.only("account_id", "subscriber_id", "email_id").filter(pk=delivery_id).first()
    if row is not None and row.subscriber_id is not None:
        ids = {"account_id": row.account_id, "subscriber_id": row.subscriber_id}
        responses.stamp(what, row.pk, now, email_id=row.email_id, **ids)


def confirm(subscriber_id: int, now: datetime, *, cause: Cause = causes.NONE) -> bool:
    """Double opt-in, or consent that is on record elsewhere: inactive → active. Their sequences start now (R2). False:
    nothing to confirm."""
    return _let_in(subscriber_id, (State.INACTIVE,), now, cause)


def come_back(subscriber_id: int, now: datetime, *, cause: Cause) -> bool:
    """Their own click in a mail that a form had sent (R20): whoever is unconfirmed, had unsubscribed or bounced is
    active, and the bounce is forgotten. Sequences that ended stay ended. False: active already, or they complained."""
    return _let_in(subscriber_id, (State.INACTIVE, State.CANCELLED, State.BOUNCED), now, cause)


def reinstate(subscriber_id: int, why: str, now: datetime, *, cause: Cause = causes.OWNER) -> bool:
    """The owner answers for somebody who complained (R20): active again. `why` stays with the event. False: they did
    not complain."""
    return _let_in(subscriber_id, (State.COMPLAINED,), now, cause, why=why)


@transaction.atomic
def _let_in(subscriber_id: int, states: Series[State], now: datetime, cause: Cause, **data: Any) -> bool:
    person = locked(subscriber_id)
    if person.state not in states:
        return False
    kind = types.SUBSCRIBER_ACTIVATED if person.state == State.INACTIVE else types.SUBSCRIBER_RESUBSCRIBED
    _activate(person, kind, now, cause, **data)
    _end_sign_ups(SignUp.Status.CONFIRMED, now, subscriber=person, form=None)  # no form, so nothing is left to add
    waiting = places_of(person.account_id, person.pk).filter(status="unconfirmed")
    rows = list(waiting.select_for_update(no_key=True).order_by("pk"))
    with _counted(rows):
        for row in rows:
            row.status, row.anchored_at = Enrollment.Status.ACTIVE, now
        Enrollment.objects.bulk_update(rows, ["status", "anchored_at"])
    wake.engine_if_due(advance.advance([row.pk for row in rows], now, cause), now)
    return True


@transaction.atomic
def resubscribe(subscriber_id: int, now: datetime, *, through: int, cause: Cause = causes.NONE) -> bool:
    """The person changed their mind on the unsubscribe page: cancelled → active. Old sequences stay ended (R15).

    through  the delivery whose link they used; only if `may_return`
    """
    person = locked(subscriber_id)
    if not may_return(person, through, now):
        return False
    _activate(person, types.SUBSCRIBER_RESUBSCRIBED, now, cause)
    return True


def may_return(person: Subscriber, delivery_id: int, now: datetime) -> bool:
    """Whether the link in this email leads back (docs/decisions/coming-back.md)."""
    has_left_by_it = person.state == State.CANCELLED and person.left_through == delivery_id
    return has_left_by_it and person.canceled_at is not None and now - person.canceled_at <= RETURN_WITHIN


def _activate(person: Subscriber, kind: str, now: datetime, cause: Cause, **data: Any) -> None:
    person.state = State.ACTIVE
    person.canceled_at = person.left_through = None
    person.updated_at = now
    person.save(update_fields=["state", "canceled_at", "left_through", "updated_at"])
    record([event(kind, person.account_id, now, cause=cause, subscriber_id=person.pk, **data)])


def end_sign_up(row: SignUp, end: SignUp.Status, now: datetime) -> bool:
    """waiting → confirmed or replaced. False: it had ended before. The caller has locked the person."""
    return _end_sign_ups(end, now, pk=row.pk) == 1


def _end_sign_ups(end: SignUp.Status, now: datetime, **which: object) -> int:
    """By sign_up_of_subscriber, or by the key."""
    if end not in SIGN_UP_MOVES[SignUp.Status.WAITING]:
        raise ValueError(f"waiting → {end} is not a move")
    rows = SignUp.objects.filter(status=SignUp.Status.WAITING, **which)
    return rows.update(status=end, ended_at=now)


@transaction.atomic
def remove(enrollment_ids: Series[int], reason: str, now: datetime, *, cause: Cause = causes.NONE) -> int:
    """Take people out of a sequence. Planned mail is skipped; mail on the wire still goes. Returns how many left."""
    rows = Enrollment.objects.select_for_update(no_key=True).filter(pk__in=enrollment_ids)
    staying = list(rows.exclude(status="removed").order_by("pk"))
    _remove(staying, reason, now, cause)
    return len(staying)


def _remove(rows: list[Enrollment], reason: str, now: datetime, cause: Cause) -> None:
    last = _last_ended(rows)
    with _counted(rows):
        for row in rows:
            row.status, row.left_after_id = Enrollment.Status.REMOVED, last[row.pk]
            row.removed_at, row.removed_reason = now, reason
            row.completed_at = row.due_at = row.next_email = row.paused_at = row.held_due_at = None
            row.in_flight = False
    if rows:
        gone = queries.rows(("id", "left_after"), [(row.pk, row.left_after_id) for row in rows])
        _execute(queries.REMOVE_PLACES, places=gone, reason=reason, now=now)
    skip_planned([row.pk for row in rows], reason, now)
    record(
        event(
            types.REMOVED_FROM_SEQUENCE,
            row.account_id,
            now,
            cause=cause,
            subscriber_id=row.subscriber_id,
            subject_id=row.sequence_id,
            reason=reason,
        )
        for row in rows
    )


def _last_ended(rows: Series[Enrollment]) -> dict[int, int | None]:
    """Place → the email that ended last in its run."""
    with connection.cursor() as cursor:
        cursor.execute(queries.LAST_ENDED, {"enrollments": queries.ids(row.pk for row in rows)})
        return dict(cursor.fetchall())


def skip_planned(enrollment_ids: Series[int], reason: str, now: datetime) -> int:
    """Returns how many deliveries were planned."""
    return _skip(queries.SKIP_PLANNED, {"enrollments": list(enrollment_ids), "reason": reason, "now": now})


def skip_planned_notices(notice_ids: Series[int], reason: str, now: datetime) -> int:
    """The same for notices."""
    return _skip(queries.SKIP_PLANNED_NOTICES, {"notices": list(notice_ids), "reason": reason, "now": now})


def _skip(statement: str, values: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        n_skipped: int = cursor.rowcount
    counters.on_commit(skipped=n_skipped)
    return n_skipped


def send_again(pairs: Series[tuple[Delivery, Enrollment]], now: datetime) -> None:
    """failed or unknown → planned, and each person waits for theirs. The caller has locked all of them; nothing of
    theirs is in flight."""
    rows, places = [row for row, _ in pairs], [place for _, place in pairs]
    for row in rows:
        row.status = Delivery.Status.PLANNED
        row.planned_at = row.ready_at = now
        row.unparked_at, row.ended_at, row.edition_id, row.reason, row.reply = None, None, None, "", ""
    what_was = ["unparked_at", "ended_at", "edition", "reason", "reply"]
    Delivery.objects.bulk_update(rows, ["status", "planned_at", "ready_at", *what_was])
    counters.on_commit(planned=len(rows))
    with _counted(places):
        for row, place in pairs:
            place.status = Enrollment.Status.ACTIVE
            place.next_email_id, place.in_flight = row.email_id, True
            place.due_at = place.held_due_at = place.completed_at = place.left_after_id = None
    what_was = ["in_flight", "due_at", "held_due_at", "completed_at", "left_after"]
    Enrollment.objects.bulk_update(places, ["status", "next_email", *what_was])


def send_notice_again(row: Delivery, now: datetime) -> None:
    """failed or unknown → planned, for a row no place waits for. The caller has locked it."""
    row.status = Delivery.Status.PLANNED
    row.planned_at = row.notice_ready_at = now
    row.ended_at, row.reason, row.reply = None, "", ""
    row.save(update_fields=["status", "planned_at", "notice_ready_at", "ended_at", "reason", "reply"])
    counters.on_commit(planned=1)


def treat_as_sent(rows: Series[Delivery]) -> None:
    """unknown → sent, at the instant each was handed over. The caller has locked them."""
    for row in rows:
        row.status = Delivery.Status.SENT
        row.sent_at = row.ended_at
    Delivery.objects.bulk_update(rows, ["status", "sent_at"])


def skipped_delivery(row: Enrollment, email: SequenceEmail, reason: str, now: datetime) -> Delivery:
    """An unsaved row for an email that somebody decided not to send."""
    return _ended_delivery(row, email, now, status=Delivery.Status.SKIPPED, reason=reason)


def sent_delivery(row: Enrollment, email: SequenceEmail, now: datetime) -> Delivery:
    """An unsaved row for an email that is taken for sent: of a person who is only imagined, in a transaction that is
    rolled back (automations/trial.py)."""
    return _ended_delivery(row, email, now, status=Delivery.Status.SENT, attempt=1, sent_at=now)


def _ended_delivery(row: Enrollment, email: SequenceEmail, now: datetime, **how: Any) -> Delivery:
    return Delivery(
        account_id=row.account_id,
        sequence_id=row.sequence_id,
        subscriber_id=row.subscriber_id,
        enrollment=row,
        run=row.run,
        email=email,
        planned_at=now,
        ended_at=now,
        **how,
    )


def reopen(row: Enrollment, now: datetime, *, new_run: bool) -> None:
    """The owner moves a place: it is active again, delays count from now, and a new run starts if an email is to come
    again. Paused people stay paused."""
    with _counted([row]):
        row.status = Enrollment.Status.ACTIVE
        row.run += 1 if new_run else 0
        row.anchored_at = now
        row.next_email = row.due_at = row.completed_at = row.held_due_at = row.left_after_id = None
        row.in_flight = False
        row.save()


def new_enrollment(sequence: Sequence, person: Subscriber, source: str, door: str, now: datetime) -> Enrollment:
    """A new, unsaved place. People who may not be mailed get one that is removed, with the reason
    (docs/decisions/adding-people.md)."""
    row = Enrollment(account_id=sequence.account_id, sequence=sequence, subscriber=person)
    _enter(row, person, source, door, now)
    return row


def reenter(
    rows: list[Enrollment],
    people: Mapping[int, Subscriber],
    source: str,
    door: str,
    now: datetime,
    *,
    restart: bool,
) -> None:
    """Back in: from the start in a new run, or (restart=False) where they left off. The rows are locked."""
    if not rows:
        return
    if restart:
        skip_planned([row.pk for row in rows], reasons.RESTARTED, now)
    with _counted(rows):
        for row in rows:
            row.run += 1 if restart else 0
            _enter(row, people[row.subscriber_id], source, door, now)
    places = queries.rows(
        ("id", "status", "run", "removed_at", "removed_reason"),
        [(row.pk, row.status, row.run, row.removed_at, row.removed_reason) for row in rows],
    )
    _execute(queries.REENTER_PLACES, places=places, source=source, door=door, now=now)


def _execute(statement: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _enter(row: Enrollment, person: Subscriber, source: str, door: str, now: datetime) -> None:
    row.status = {State.ACTIVE: Enrollment.Status.ACTIVE, State.INACTIVE: Enrollment.Status.UNCONFIRMED}.get(
        State(person.state), Enrollment.Status.REMOVED
    )
    row.source, row.door = source, door
    row.entered_at = row.anchored_at = now
    row.next_email = row.due_at = row.completed_at = row.paused_at = row.held_due_at = row.left_after_id = None
    row.in_flight = False
    is_removed = row.status == Enrollment.Status.REMOVED
    row.removed_at = now if is_removed else None
    row.removed_reason = reasons.subscriber_is(person.state) if is_removed else ""


# --- Counting: docs/decisions/kept-counts.md. New places, and what happens to deliveries here, the database counts. ---


@contextmanager
def _counted(rows: Series[Enrollment]) -> Iterator[None]:
    """Counts places that the block moves: out of where they were before it, into where they are after it."""
    before = _standing(rows)
    yield
    after = _standing(rows)
    after.subtract(before)
    tallies.add(after)


def _standing(rows: Series[Enrollment]) -> Counter[tuple[Kind, int, str]]:
    counts = Counter((Kind.PLACES, row.sequence_id, row.status) for row in rows)
    for row in rows:
        came = came_in_week(row.entered_at.astimezone(UTC).date(), row.door or row.source)
        counts[Kind.CAME_IN_WEEK, row.sequence_id, came] += 1
        if row.status == Enrollment.Status.ACTIVE and row.next_email_id is not None:
            counts[Kind.WAITING, row.next_email_id, row.status] += 1
        if (left_at := row.completed_at or row.removed_at) is not None:
            why = row.removed_reason if row.completed_at is None else row.status
            counts[Kind.LEFT, row.sequence_id, left(row.left_after_id, why)] += 1
            counts[Kind.LEFT_IN_WEEK, row.sequence_id, left_in_week(left_at.astimezone(UTC).date(), why)] += 1
    return counts
