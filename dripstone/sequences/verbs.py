"""Create, change and delete sequences and their emails.

Each verb is one transaction that locks the sequence first (lock order: sequence, subscribers, enrollments,
deliveries). An edit that can move people raises the sequence's `edits` and leaves a row in its log, with the actor;
engine/acts/edits.py, which all other code calls, has the engine follow it. An edit that only changes when emails go
from now on leaves a row too, for the journeys of people who had their dates before. All problems of the values given
are raised together, as Invalid.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q

from dripstone.accounts.models import Account, SendingAddress
from dripstone.errors import Invalid, NotFound
from dripstone.events import causes, types
from dripstone.events.record import event, record
from dripstone.given import MAX_NAME, Given
from dripstone.sequences import email_checks, sequence_checks, versions, warnings
from dripstone.sequences.models import EmailDraft, Sequence, SequenceEdit, SequenceEmail

_RETIMING = ("send_days", "send_hour", "time_zone")
_DELAY = ("delay_value", "delay_unit")
_HOLD = ("held_at", "held_by", "released_at")
_SETTINGS = (
    *("sending_address_id", "email_template_id", "send_days", "send_hour", "time_zone"),
    *("repeat", "hold", "exclude_subscriber_sources"),
)
_COPY = " (copy)"
OWNER = "owner"
_FAR = 1_000_000_000  # above every position, below the column's maximum

Kind = SequenceEdit.Kind
Changes = dict[str, list[Any]]
"""Before and after by name, as SequenceEdit.changes has them."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What was written. `moves_people`: people in the sequence may have to move."""

    sequence: Sequence
    email: SequenceEmail | None = None
    moves_people: bool = False
    moved_draft: bool = False  # an unpublished email got another position; people stop waiting for it (R8)
    retimed: Changes = field(default_factory=dict)  # how dates given from now on differ (R11)
    warnings: list[str] = field(default_factory=list)
    is_filtered: bool = False  # who gets the email is another matter now (R21)


@transaction.atomic
def create_sequence(account: Account, given: Given, now: datetime, actor: str = OWNER) -> Edit:
    """A new sequence; everything but its name has a default."""
    values = sequence_checks.check(account, given, None)
    defaults: dict[str, Any] = {"send_hour": account.send_hour, "time_zone": account.time_zone}
    if "sending_address" not in values:
        defaults["sending_address"] = _default_address(account)
    stamps = {"created_at": now, "updated_at": now}
    sequence = Sequence.objects.create(account=account, **(defaults | values | stamps))
    _record(types.SEQUENCE_CREATED, sequence, actor, now)
    return Edit(sequence)


def _default_address(account: Account) -> SendingAddress:
    address = account.sending_addresses.order_by("-is_default", "pk").first()
    if address is None:
        raise Invalid("email_address can't be left out: the account has no sending address")
    return address


@transaction.atomic
def update_sequence(account: Account, sequence_id: int, given: Given, now: datetime, actor: str = OWNER) -> Edit:
    """Change the values given, leave the rest. New days, hours and zones apply to dates given from now on (R11)."""
    sequence = lock(account, sequence_id)
    values = sequence_checks.check(account, given, sequence)
    changed = _changes(sequence, values)
    retimed = _before_and_after(sequence, values, changed.intersection(_RETIMING))
    is_let_go = "hold" in changed and not values["hold"]  # switching hold on moves no one (R16)
    switched = _before_and_after(sequence, values, changed & {"active"} | ({"hold"} if is_let_go else set()))
    if "active" in changed and values["active"]:
        sequence.resumed_at = now
    if changed:
        _set(sequence, values)
        sequence.updated_at = now
        sequence.save()
    if switched:
        _log(sequence, Kind.SEQUENCE_UPDATED, actor, now, changes=switched)
    if retimed:
        sequence.edit_log.create(kind=Kind.SEQUENCE_RETIMED, changes=retimed, actor=actor, at=now)
    if "active" in changed:
        _record(types.SEQUENCE_PUBLISHED if sequence.active else types.SEQUENCE_DISABLED, sequence, actor, now)
    return Edit(sequence, moves_people=bool(switched), retimed=retimed)


@transaction.atomic
def delete_sequence(account: Account, sequence_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """A soft delete: no page or call shows it any more, its history stays."""
    sequence = lock(account, sequence_id)
    sequence.deleted_at = sequence.updated_at = now
    sequence.save()
    _log(sequence, Kind.SEQUENCE_DELETED, actor, now)
    _record(types.SEQUENCE_DELETED, sequence, actor, now)
    return Edit(sequence, moves_people=True)


@transaction.atomic
def reschedule(account: Account, sequence_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """People who wait get a new date, by today's delays and schedule (R11)."""
    sequence = lock(account, sequence_id)
    _log(sequence, Kind.RESCHEDULED, actor, now, reschedules=True)
    return Edit(sequence, moves_people=True)


@transaction.atomic
def create_email(account: Account, sequence_id: int, given: Given, now: datetime, actor: str = OWNER) -> Edit:
    """A new email: a draft unless `published` is given, after the last one unless a position is given (R10)."""
    sequence = lock(account, sequence_id)
    values = email_checks.check(account, sequence, given, None)
    position = values.pop("position", None)
    return _add(sequence, values, _after_last(sequence) if position is None else position, now, actor)


def _add(sequence: Sequence, values: dict[str, Any], position: int, now: datetime, actor: str) -> Edit:
    shifted = _make_room(sequence, position)
    stamps = {"account_id": sequence.account_id, "created_at": now, "updated_at": now}
    email = SequenceEmail.objects.create(sequence=sequence, position=position, **stamps, **values)
    if email.published:
        versions.keep(email, now, actor)
    moves_people = email.published or shifted
    if moves_people:
        changes = {"published": [None, email.published], "position": [None, email.position]}
        _log(sequence, Kind.EMAIL_CREATED, actor, now, email=email, changes=changes)
    return Edit(sequence, email, moves_people, warnings=warnings.of_email(email))


@transaction.atomic
def update_email(
    account: Account, sequence_id: int, email_id: int, given: Given, now: datetime, actor: str = OWNER
) -> Edit:
    """Change the values given, leave the rest. A new delay applies to dates given from now on (R11)."""
    sequence = lock(account, sequence_id)
    email = lock_email(sequence, email_id)
    values = email_checks.check(account, sequence, given, email)
    changed = _changes(email, values)
    retimed = _before_and_after(email, values, changed & {"send_days"}) | _new_delay(email, values, changed)
    moving = _before_and_after(email, values, changed & {"published", "position"})
    passed = _place_at(email, values["position"]) if "position" in changed else None
    if is_reprinted := not changed.isdisjoint(versions.PRINTED):
        versions.current(email)  # people had it, even if it was published without a version
    if changed:
        _set(email, values)
        email.version += is_reprinted
        email.published_at = now if "published" in changed and email.published else email.published_at
        email.updated_at = now
        email.save()
    if email.published and (is_reprinted or "published" in changed):
        versions.keep(email, now, actor)
    if moving:
        went = {"moved": email if passed else None, "passed": passed}
        _log(sequence, Kind.EMAIL_UPDATED, actor, now, email=email, changes=moving, **went)
    if retimed:
        sequence.edit_log.create(kind=Kind.EMAIL_RETIMED, email=email, changes=retimed, actor=actor, at=now)
    moved_draft = "position" in changed and not email.published
    return Edit(sequence, email, bool(moving), moved_draft, retimed, warnings.of_email(email))


def _place_at(email: SequenceEmail, position: int) -> list[int]:
    """Makes room and puts it there (R10). Returns the ids of the emails it passed; some may be deleted ones."""
    were_behind = _behind(email)
    _make_room(email.sequence, position, email)
    email.position = position
    return sorted(were_behind ^ _behind(email))


def _behind(email: SequenceEmail) -> set[int]:
    others = SequenceEmail.objects.filter(sequence_id=email.sequence_id).exclude(pk=email.pk)
    return {other.pk for other in others if other.order > email.order}


@transaction.atomic
def delete_email(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """The email is gone for good to every reader; the row stays for its deliveries and for people who wait for it (R9).

    The email that becomes the first has a delay above zero already, so no rule can be broken by deleting.
    """
    sequence = lock(account, sequence_id)
    email = lock_email(sequence, email_id)
    email.deleted_at = email.updated_at = now
    if email.is_held:
        _let_go(email, now)
    email.save(update_fields=["deleted_at", "updated_at", *_HOLD])
    EmailDraft.objects.filter(email=email).delete()
    _log(sequence, Kind.EMAIL_DELETED, actor, now, email=email)
    return Edit(sequence, email, moves_people=True)


@transaction.atomic
def hold_email(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """Nobody gets it until it is released; people wait at it (R22). A draft may be held too, for when it is published.
    If it is on hold already, nothing changes."""
    sequence = lock(account, sequence_id)
    email = email_of(sequence, email_id)
    if email.is_held:
        return Edit(sequence, email)
    email.held_at, email.held_by = now, actor
    return _held_or_released(sequence, email, now, actor)


@transaction.atomic
def release_email(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """People who wait at it get it, as after a pause of the sequence (R4). If it is not on hold, nothing changes."""
    sequence = lock(account, sequence_id)
    email = email_of(sequence, email_id)
    if not email.is_held:
        return Edit(sequence, email)
    _let_go(email, now)
    return _held_or_released(sequence, email, now, actor)


@transaction.atomic
def filter_email(
    account: Account, sequence_id: int, email_id: int, given: Given, now: datetime, actor: str = OWNER
) -> Edit:
    """From now on, who does not meet its `filter` when it is due skips it (R21); null takes the filter away. Nobody
    moves. It is neither a change of the text nor part of a draft: it holds at once."""
    sequence = lock(account, sequence_id)
    email = email_of(sequence, email_id)
    before, after = email.filter, email_checks.filter_of(account, email, given)
    if before == after:
        return Edit(sequence, email)
    email.filter, email.updated_at = after, now
    email.save(update_fields=["filter", "updated_at"])
    changes = {"filter": [before, after]}
    sequence.edit_log.create(kind=Kind.EMAIL_FILTERED, email=email, changes=changes, actor=actor, at=now)
    return Edit(sequence, email, is_filtered=True)


def _let_go(email: SequenceEmail, now: datetime) -> None:
    email.held_at, email.held_by, email.released_at = None, "", now


def _held_or_released(sequence: Sequence, email: SequenceEmail, now: datetime, actor: str) -> Edit:
    email.updated_at = now
    email.save(update_fields=["updated_at", *_HOLD])
    _log(sequence, Kind.EMAIL_UPDATED, actor, now, email=email, changes={"on_hold": [not email.is_held, email.is_held]})
    return Edit(sequence, email, moves_people=True)


@transaction.atomic
def skip_wait(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """Everybody who waits for this email now gets it now, whatever its delay and schedule say. People who come to wait
    for it later do not. Raises Invalid when nobody could get it."""
    sequence = lock(account, sequence_id)
    email = email_of(sequence, email_id)
    if not sequence.active:
        raise Invalid("Sequence is inactive")
    if not email.published:
        raise Invalid("This email is not published: publish it first")
    if email.is_held:
        raise Invalid("This email is on hold: release it first")
    _log(sequence, Kind.WAIT_SKIPPED, actor, now, email=email)
    return Edit(sequence, email, moves_people=True)


@transaction.atomic
def duplicate_email(account: Account, sequence_id: int, email_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """A draft that says the same, right after the original. The copy of an immediate email comes a day after it: only
    the first may have 0 days (R10)."""
    sequence = lock(account, sequence_id)
    email = email_of(sequence, email_id)
    return _add(sequence, _copied(email) | {"delay_value": email.delay_value or 1}, email.position + 1, now, actor)


@transaction.atomic
def duplicate_sequence(account: Account, sequence_id: int, now: datetime, actor: str = OWNER) -> Edit:
    """A new sequence with the same settings and the same emails, all of them drafts, and nobody in it. It is active,
    as every new one: as long as nothing is published, nothing goes."""
    original = lock(account, sequence_id)
    settings = {name: getattr(original, name) for name in _SETTINGS}
    name = f"{original.name[: MAX_NAME - len(_COPY)]}{_COPY}"
    copy = Sequence.objects.create(account=account, name=name, created_at=now, updated_at=now, **settings)
    stamps = {"account": account, "sequence": copy, "created_at": now, "updated_at": now}
    SequenceEmail.objects.bulk_create(
        SequenceEmail(position=email.position, **_copied(email), **stamps)
        for email in original.emails.filter(deleted_at=None).order_by("position")
    )
    _record(types.SEQUENCE_CREATED, copy, actor, now)
    return Edit(copy)


def _copied(email: SequenceEmail) -> dict[str, Any]:
    return {name: getattr(email, name) for name in (*versions.PRINTED, *_DELAY, "send_days", "filter")}


def lock(account: Account, sequence_id: int) -> Sequence:
    """Locks the sequence: until the transaction ends it is neither edited elsewhere nor planned. Raises NotFound."""
    rows = Sequence.objects.select_for_update(no_key=True).filter(account=account, deleted_at=None)
    sequence = rows.filter(pk=sequence_id).first()
    if sequence is None:
        raise NotFound
    return sequence


def email_of(sequence: Sequence, email_id: int) -> SequenceEmail:
    email = sequence.emails.filter(pk=email_id, deleted_at=None).first()
    if email is None:
        raise NotFound
    return email


def lock_email(sequence: Sequence, email_id: int) -> SequenceEmail:
    """Until the transaction ends, nobody else writes it or its draft. After its sequence, if both are locked; a draft
    locks it alone, and the sequence is planned meanwhile. Raises NotFound."""
    email = sequence.emails.select_for_update(no_key=True).filter(pk=email_id, deleted_at=None).first()
    if email is None:
        raise NotFound
    return email


def _changes(row: Sequence | SequenceEmail, values: dict[str, Any]) -> set[str]:
    return {name for name, value in values.items() if getattr(row, name) != value}


def _before_and_after(row: Sequence | SequenceEmail, values: dict[str, Any], names: set[str]) -> Changes:
    return {name: [getattr(row, name), values[name]] for name in sorted(names)}


def _new_delay(email: SequenceEmail, values: dict[str, Any], changed: set[str]) -> Changes:
    """Value and unit are one change: `{"delay": [[2, "days"], [5, "hours"]]}`."""
    if changed.isdisjoint(_DELAY):
        return {}
    before = [getattr(email, name) for name in _DELAY]
    return {"delay": [before, [values.get(name, old) for name, old in zip(_DELAY, before, strict=True)]]}


def _set(row: Sequence | SequenceEmail, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _log(sequence: Sequence, kind: SequenceEdit.Kind, actor: str, now: datetime, **details: Any) -> None:
    """Raises `edits`, counted in memory: the row has been locked since it was read."""
    sequence.edits += 1
    sequence.save(update_fields=["edits"])
    sequence.edit_log.create(number=sequence.edits, kind=kind, actor=actor, at=now, **details)


def _record(kind: str, sequence: Sequence, actor: str, now: datetime) -> None:
    cause = causes.of_actor(actor)
    record([event(kind, sequence.account_id, now, cause=cause, subject_id=sequence.pk)])


def _after_last(sequence: Sequence) -> int:
    last = sequence.emails.filter(deleted_at=None).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def _make_room(sequence: Sequence, position: int, moving: SequenceEmail | None = None) -> bool:
    """Make room before an email is put at `position`. False if no living email had to shift.

    A taken position shifts the emails from there on up by one, and deleted ones behind it along with them. At the end
    there is nothing to shift, and deleted emails move down instead, so that people who still wait for one are not
    passed over (docs/decisions/deleted-emails.md).
    """
    emails = sequence.emails.all()
    others = emails.filter(deleted_at=None)
    others = others.exclude(pk=moving.pk) if moving else others
    if not others.filter(position__gte=position).exists():
        emails.exclude(deleted_at=None).filter(position__gt=position).update(position=position)
        return False
    if not others.filter(position=position).exists():
        return False
    # Positions go through a range far above, since the unique index checks every row as it is written. If the email
    # that moves here stood behind, it is shifted too; its own new position is written afterwards.
    shifting = Q(position__gte=position, deleted_at=None) | Q(position__gt=position)  # SequenceEmail.order
    emails.filter(shifting).update(position=F("position") + _FAR)
    emails.filter(position__gte=_FAR).update(position=F("position") - (_FAR - 1))
    return True
