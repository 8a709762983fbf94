"""A worker is killed while it follows an edit, before each of its statements; another one finishes it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine import enroll, follow, plan
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.sequences.models import SequenceEmail
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_email, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)

N_PEOPLE = 5


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://following")
    connection.close()


def course(now: datetime) -> SequenceEmail:
    """Its only email, an hour after entry, which all wait for."""
    account = make_account()
    sequence = make_sequence(account)
    email = make_email(sequence, position=0, delay_value=1, delay_unit="hours")
    enroll.add(sequence, [make_subscriber(account).pk for _ in range(N_PEOPLE)], "bulk", now)
    return email


def held(email: SequenceEmail, now: datetime) -> None:
    edits.hold_email(email.account, email.sequence_id, email.pk, now)


def released(email: SequenceEmail, now: datetime) -> None:
    held(email, now)
    follow.everybody(email.sequence_id, now)
    edits.release_email(email.account, email.sequence_id, email.pk, now)


def deleted(email: SequenceEmail, now: datetime) -> None:
    held(email, now)
    follow.everybody(email.sequence_id, now)
    edits.delete_email(email.account, email.sequence_id, email.pk, now)


def hurried(email: SequenceEmail, now: datetime) -> None:
    edits.skip_wait(email.account, email.sequence_id, email.pk, now)


def planned_and_held(email: SequenceEmail, now: datetime) -> None:
    plan.everything_due(now + timedelta(hours=2))
    held(email, now)


@pytest.mark.parametrize("edit", [held, released, deleted, hurried, planned_and_held])
def test_killed_while_an_edit_is_followed(place: Place, edit: Any) -> None:
    now = clock.now()
    expected = None
    for n_statements in range(1, 200):
        email = course(now)
        edit(email, now)
        connection.close()
        with doomed.worker(doomed.follow_and_die_at, place, email.sequence_id, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        if follow.pending():
            assert was_killed
            assert plan.batch([email.sequence_id], now + timedelta(days=1)) == 0  # before all stand where they should
            follow.everybody(email.sequence_id, now + timedelta(seconds=9))
        expected = expected or outcome(email, now)
        assert outcome(email, now) == expected
        assert follow.pending() == []
        if not was_killed:
            return
    pytest.fail("it does not end")


def outcome(email: SequenceEmail, now: datetime) -> list[Any]:
    """Where people stand, their planned mail, and how often they were told of it."""
    rows = Enrollment.objects.filter(sequence=email.sequence_id).order_by("pk")
    stands = [
        (row.next_email_id == email.pk, since(row.due_at, now), since(row.held_due_at, now), row.in_flight)
        for row in rows
    ]
    planned = Delivery.objects.filter(sequence=email.sequence_id, status="planned")
    notes = [Note.objects.filter(enrollment=row).count() for row in rows]
    return [*stands, notes, [delivery.is_parked for delivery in planned]]


def since(at: datetime | None, now: datetime) -> timedelta | None:
    return None if at is None else at - now
