"""Several processes at once: real commits, real threads, one connection each."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from dripstone.accounts.models import Account
from dripstone.engine import claim, editions, enroll, follow, life, plan, record, transitions
from dripstone.engine.acts import edits
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.memory import MemorySender
from dripstone.sequences.models import EmailVersion, Sequence, SequenceEmail
from tests.crash.doomed import until
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)
NOW = MONDAY_9


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def in_parallel(threads: ThreadPoolExecutor, work: Callable[[int], Any], n: int = 8) -> list[Any]:
    def alone(number: int) -> Any:
        try:
            return work(number)
        finally:
            connection.close()

    return list(threads.map(alone, range(n)))


def course(n_people: int) -> Sequence:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second", "delay_value": 2})
    people = [make_subscriber(account) for _ in range(n_people)]
    enroll.add(sequence, [person.pk for person in people], "bulk", NOW)
    return sequence


def test_eight_planners_plan_everybody_once(threads: ThreadPoolExecutor) -> None:
    sequence = course(300)
    counts = in_parallel(threads, lambda _: sum(iter(lambda: plan.batch([sequence.pk], NOW, 20), 0)))
    assert sum(counts) == 300
    assert Delivery.objects.count() == 300


def test_eight_workers_send_everything_once(threads: ThreadPoolExecutor) -> None:
    sequence = course(300)
    plan.everything_due(NOW)
    senders = [MemorySender() for _ in range(8)]

    def work(number: int) -> None:
        while life.send_batch(f"worker-{number}", senders[number], lambda: NOW):
            pass

    in_parallel(threads, work)
    accepted = [message.delivery_id for sender in senders for message in sender.messages]
    assert len(accepted) == len(set(accepted)) == 300
    assert Enrollment.objects.filter(sequence=sequence, in_flight=False, due_at__gt=NOW).count() == 300


def test_two_adds_of_one_person_make_one_enrollment(threads: ThreadPoolExecutor) -> None:
    account = make_account()
    sequence, person = make_sequence(account, {"delay_value": 0}), make_subscriber(account)
    entries = in_parallel(threads, lambda _: enroll.add(sequence, [person.pk], "api", NOW)[person.pk])
    assert sorted(entry.added for entry in entries) == [False] * 7 + [True]


def test_adding_and_cancelling_at_once_never_leaves_a_cancelled_person_inside(threads: ThreadPoolExecutor) -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0})
    people = [make_subscriber(account) for _ in range(20)]

    def work(number: int) -> None:
        for person in people:
            if number % 2:
                transitions.cancel(person.pk, NOW)
            else:
                enroll.add(sequence, [person.pk], "api", NOW)

    in_parallel(threads, work)
    assert set(Enrollment.objects.values_list("status", flat=True)) == {"removed"}


def test_recording_removing_and_editing_at_once_ends_without_a_deadlock(threads: ThreadPoolExecutor) -> None:
    sequence = course(200)
    plan.everything_due(NOW)
    claimed = claim.take("worker-1", NOW)

    def work(number: int) -> None:
        mine = claimed[number::4]
        match number % 4, number // 4:
            case _, 0:
                for start in range(0, len(mine), 10):
                    outcomes = [Outcome(row.delivery_id, row.attempt, "sent") for row in mine[start : start + 10]]
                    record.outcomes(outcomes, NOW)
            case 0, _:
                for row in reversed(claimed[::7]):
                    transitions.cancel(row.subscriber_id or 0, NOW)
            case 1, _:
                ids = list(Enrollment.objects.order_by("-pk").values_list("pk", flat=True)[:60])
                transitions.remove(ids, "removed_by_owner", NOW)
            case _:
                for _ in range(5):
                    touch(sequence.pk)
                    follow.everybody(sequence.pk, NOW)

    in_parallel(threads, work)
    assert Delivery.objects.filter(status="sent").count() == 200
    assert not Enrollment.objects.filter(in_flight=True).exists()


def touch(sequence_id: int) -> None:
    with transaction.atomic():
        sequence = Sequence.objects.select_for_update(no_key=True).get(pk=sequence_id)
        sequence.edits += 1
        sequence.save(update_fields=["edits"])
        follow.after_edit(sequence)


def test_a_sequence_under_edit_is_not_planned_until_everybody_is_in_line() -> None:
    sequence = course(3)
    touch(sequence.pk)
    assert plan.everything_due(NOW) == 0
    follow.everybody(sequence.pk, NOW)
    assert plan.everything_due(NOW) == 3


def test_an_edit_left_half_done_by_a_killed_worker_is_finished_by_the_next() -> None:
    sequence = course(3)
    touch(sequence.pk)
    assert follow.pending() == [sequence.pk]
    follow.everybody(sequence.pk, NOW + timedelta(hours=1))
    assert follow.pending() == []
    assert make_enrollment(sequence, Enrollment.objects.earliest("pk").subscriber, NOW).due_at == NOW


def test_whoever_is_about_to_arrive_at_an_email_that_is_released_is_not_forgotten(threads: ThreadPoolExecutor) -> None:
    """The answer to their first email is being recorded by somebody who has read that the second is on hold."""
    sequence = course(1)
    account, second = sequence.account, sequence.emails.get(position=1)
    edits.hold_email(account, sequence.pk, second.pk, NOW)
    follow.everybody(sequence.pk, NOW)
    plan.everything_due(NOW)
    (claimed,) = claim.take("worker-1", NOW)
    place = Enrollment.objects.get()
    with transaction.atomic():
        record.outcomes([Outcome(claimed.delivery_id, claimed.attempt, "sent")], NOW)
        released = threads.submit(in_parallel, threads, lambda _: release_and_follow(account, second), 1)
        until(lambda: waits_for_us() or released.done())
    released.result(60)
    place.refresh_from_db()
    assert (place.due_at, place.held_due_at) == (NOW + timedelta(days=2), None)


def test_workers_that_make_many_editions_do_not_wait_for_each_other_in_a_circle(threads: ThreadPoolExecutor) -> None:
    """Another one has made the first version, and goes on to the last. No plan of a join may be what sorts them."""

    def make(_: int) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET enable_mergejoin = off; SET enable_hashjoin = off")
        return editions.of(backwards, NOW)

    emails = list(make_sequence(make_account(), *[{} for _ in range(9)]).emails.order_by("pk"))
    sender = ("A", "a@example.com", "1 Lane", "UTC", "", "")
    prints: dict[Any, editions.Print] = {
        one.pk: editions.Print(one.account_id, one.pk, 1, "x", "", "", None, None, (), *sender) for one in emails
    }
    backwards = dict(reversed(prints.items()))
    version = {"number": 1, "subject": "x", "preview_text": "", "content": "", "published_at": NOW}
    with transaction.atomic():
        EmailVersion.objects.create(email=emails[0], **version)
        working = threads.submit(in_parallel, threads, make, 1)
        until(lambda: waits_for_us() or working.done())
        EmailVersion.objects.create(email=emails[-1], **version)
    (made,) = working.result(60)
    assert made.keys() == prints.keys()


def release_and_follow(account: Account, email: SequenceEmail) -> None:
    edits.release_email(account, email.sequence_id, email.pk, NOW)
    follow.everybody(email.sequence_id, NOW)


def waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT bool_or(pg_backend_pid() = ANY(pg_blocking_pids(pid))) FROM pg_locks WHERE NOT granted")
        (waits,) = cursor.fetchone()
    return bool(waits)
