"""After a long silence nothing is mailed before the operator has decided what becomes of what is overdue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.engine import plan, process, pulse, reasons, tasks
from dripstone.engine.acts import edits, overdue
from dripstone.engine.models import Delivery, Enrollment, Note, Pulse
from dripstone.sequences.models import Sequence
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

NOW = MONDAY_9 + timedelta(days=3)
HOURLY: tuple[dict[str, Any], ...] = (
    {"subject": "one", "delay_value": 1, "delay_unit": "hours"},
    {"subject": "two", "delay_value": 2, "delay_unit": "hours"},
    {"subject": "three", "delay_value": 5, "delay_unit": "days"},
)


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


def course(alice: Account, *emails: dict[str, Any], **values: Any) -> Sequence:
    return make_sequence(alice, *(emails or HOURLY), **values)


def entered(sequence: Sequence, at: datetime = MONDAY_9) -> Enrollment:
    return make_enrollment(sequence, make_subscriber(sequence.account), at)


def last_ran(at: datetime) -> None:
    Pulse.objects.update_or_create(pk=1, defaults={"beat_at": at, "running_since": at})


def statuses() -> list[tuple[str, str, datetime | None]]:
    rows = Delivery.objects.order_by("enrollment_id", "email__position")
    return list(rows.values_list("email__subject", "status", "ended_at"))


def test_a_first_start_asks_nothing(alice: Account) -> None:
    entered(course(alice))
    assert pulse.beat(NOW)
    assert overdue.why_halted(NOW) == ""


def test_a_long_silence_with_something_overdue_halts_sending(alice: Account) -> None:
    entered(course(alice))
    last_ran(MONDAY_9)
    assert not pulse.may_send(NOW)
    assert not pulse.beat(NOW)
    assert not pulse.beat(NOW + timedelta(hours=1)), "until the operator decides"
    why = (
        "Sending is halted: the engine had not run since Monday, 23 November 2026 at 09:00 (UTC), and mail is overdue."
    )
    assert overdue.why_halted(NOW).startswith(why)
    assert overdue.how_much(NOW) == "1 email is overdue, the oldest since Monday, 23 November 2026 at 10:00 (UTC)."


def test_a_delivery_planned_before_the_silence_counts_too(alice: Account) -> None:
    entered(course(alice))
    plan.everything_due(MONDAY_9 + timedelta(hours=1))
    last_ran(MONDAY_9 + timedelta(hours=1))
    assert pulse.overdue(NOW)[2] == 1
    assert not pulse.may_send(NOW)


@pytest.mark.parametrize("silent_for", [timedelta(seconds=5), timedelta(hours=24)])
def test_an_ordinary_restart_asks_nothing(alice: Account, silent_for: timedelta) -> None:
    entered(course(alice))
    last_ran(NOW - silent_for)
    assert pulse.beat(NOW)


def test_a_silence_with_nothing_overdue_asks_nothing(alice: Account) -> None:
    entered(course(alice), NOW)
    entered(course(alice, active=False))  # a paused sequence keeps its people, R4 says what resuming does
    last_ran(MONDAY_9)
    assert pulse.beat(NOW)


def test_nothing_is_asked_when_the_setting_says_never(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_ASK_AFTER_HOURS = 0
    entered(course(alice))
    last_ran(MONDAY_9)
    assert pulse.beat(NOW)


def test_the_virtual_clock_is_never_asked(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    entered(course(alice))
    last_ran(MONDAY_9)
    assert pulse.beat(NOW)
    assert overdue.why_halted(NOW) == ""


def test_a_clock_set_back_halts_until_it_has_caught_up(alice: Account) -> None:
    entered(course(alice))
    last_ran(NOW + timedelta(hours=2))
    assert not pulse.beat(NOW)
    assert "lies ahead of this machine's clock" in overdue.why_halted(NOW)
    assert pulse.beat(NOW + timedelta(hours=1))
    last_ran(NOW + timedelta(hours=2))
    overdue.resume("send", NOW)
    assert pulse.beat(NOW), "or until the operator says that the clock is right"


def test_while_halted_ticks_and_send_jobs_do_nothing(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_MAIL_URL = "memory://late"
    entered(course(alice))
    plan.everything_due(MONDAY_9 + timedelta(hours=1))
    last_ran(MONDAY_9)
    entered(course(alice))
    tasks.tick()
    tasks.send()
    process.close()
    assert [status for _, status, _ in statuses()] == ["planned"]


def test_resuming_with_send_leaves_it_to_the_rules(alice: Account) -> None:
    entered(course(alice))
    entered(course(alice, {"subject": "days"}, send_hour=7))
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)
    assert overdue.resume("send", NOW) == 0
    assert pulse.beat(NOW)
    plan.everything_due(NOW)
    assert statuses() == [("one", "planned", None)]  # the day-email waits for its slot: R4
    assert Enrollment.objects.get(in_flight=False).due_at == datetime(2026, 11, 27, 7, tzinfo=UTC)


def test_resuming_with_next_slot_sends_nothing_right_away(alice: Account) -> None:
    sequence = course(alice)
    planned = entered(sequence)
    plan.everything_due(MONDAY_9 + timedelta(hours=1))
    due = entered(sequence)
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)
    assert overdue.resume("next-slot", NOW) == 2
    slot = NOW + timedelta(days=1)  # it is 9:00 sharp, the sequence's hour: that slot would be right away
    assert Delivery.objects.get(enrollment=planned).ready_at == slot
    due.refresh_from_db()
    assert due.due_at == slot
    note = Note.objects.get(enrollment=due)
    assert (note.kind, note.reason) == ("late", reasons.OVERDUE_MOVED)
    assert pulse.beat(NOW)


def test_resuming_with_skip_treats_everything_as_sent_when_it_was_due(alice: Account) -> None:
    """Two hourly emails fell due in the silence; the one after them keeps the date it would have had."""
    place = entered(course(alice))
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)
    assert overdue.resume("skip", NOW) == 2
    hour = timedelta(hours=1)
    assert statuses() == [("one", "skipped", MONDAY_9 + hour), ("two", "skipped", MONDAY_9 + 3 * hour)]
    place.refresh_from_db()
    assert place.due_at == datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert set(Delivery.objects.values_list("reason", flat=True)) == {reasons.OVERDUE_SKIPPED}


def test_skipping_ends_what_was_planned_when_it_was_planned(alice: Account) -> None:
    place = entered(course(alice))
    planned_at = MONDAY_9 + timedelta(hours=1)
    plan.everything_due(planned_at)
    last_ran(planned_at)
    assert not pulse.beat(NOW)
    assert overdue.resume("skip", NOW) == 2
    assert statuses()[0] == ("one", "skipped", planned_at)
    place.refresh_from_db()
    assert (place.in_flight, place.due_at) == (False, datetime(2026, 11, 28, 9, tzinfo=UTC))


@pytest.mark.parametrize(("choice", "next_status"), [("next-slot", []), ("skip", [("one", "skipped")])])
def test_an_edit_in_the_middle_lets_nothing_go(
    alice: Account, choice: overdue.Choice, next_status: list[tuple[str, str]]
) -> None:
    """The sequence is passed over until its people have followed, and then decided about like the others."""
    sequence = course(alice, HOURLY[0], HOURLY[2])
    last, is_edited = sequence.emails.get(subject="three"), False
    entered(sequence)
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)

    def edit_before_it_is_locked(execute: Any, sql: str, *more: Any) -> Any:
        nonlocal is_edited
        if not is_edited and "FOR SHARE" in sql:
            is_edited = True
            edits.update_email(alice, sequence.pk, last.pk, {"published": False}, NOW)
        return execute(sql, *more)

    with connection.execute_wrapper(edit_before_it_is_locked):
        assert overdue.resume(choice, NOW) == 1
    plan.everything_due(NOW)
    assert [(subject, status) for subject, status, _ in statuses()] == next_status


def test_what_a_paused_sequence_holds_is_not_overdue_and_nobody_waits_for_it(alice: Account) -> None:
    """Past the verbs, which park it: as a restored backup may leave it."""
    sequence = course(alice)
    entered(sequence)
    plan.everything_due(MONDAY_9 + timedelta(hours=1))
    Sequence.objects.filter(pk=sequence.pk).update(active=False)
    last_ran(MONDAY_9)
    assert pulse.beat(NOW), "nothing would go at once"
    assert overdue.resume("skip", NOW) == 0
    assert [status for _, status, _ in statuses()] == ["planned"]


def test_skipping_completes_those_for_whom_nothing_is_left(alice: Account) -> None:
    place = entered(course(alice, *HOURLY[:2]))
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)
    overdue.resume("skip", NOW)
    place.refresh_from_db()
    assert place.status == "completed"


def test_deciding_again_after_a_kill_goes_on_with_the_others(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PLAN_BATCH", 1)
    sequence = course(alice, *HOURLY[:1])
    for _ in range(3):
        entered(sequence)
    last_ran(MONDAY_9)
    assert not pulse.beat(NOW)
    overdue._skip_due(sequence.pk, NOW)  # killed after the first batch
    assert not pulse.beat(NOW)
    assert overdue.resume("skip", NOW) == 2
    assert [status for _, status, _ in statuses()] == ["skipped"] * 3


def test_a_beat_is_one_row_however_many_workers_tick(alice: Account) -> None:
    for seconds in range(0, 60, 3):
        assert pulse.beat(NOW + timedelta(seconds=seconds))
    row = Pulse.objects.get()
    assert (row.running_since, row.beat_at) == (NOW, NOW + timedelta(seconds=48))  # not every tick writes
    pulse.beat(NOW + timedelta(minutes=30))
    assert pulse.read().running_since == NOW + timedelta(minutes=30), "it had stopped in between"


def test_an_old_database_begins_with_its_newest_send() -> None:
    from importlib import import_module

    place = entered(course(make_account()))
    Delivery.objects.create(
        account_id=place.account_id,
        sequence_id=place.sequence_id,
        subscriber_id=place.subscriber_id,
        enrollment=place,
        run=1,
        email=place.sequence.emails.earliest("position"),
        status="sent",
        planned_at=MONDAY_9,
        sent_at=MONDAY_9,
        ended_at=MONDAY_9,
    )
    sql = import_module("dripstone.engine.migrations.0005_pulse").LAST_SIGN_OF_LIFE
    with connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.execute(sql)
    assert pulse.read().beat_at == MONDAY_9
