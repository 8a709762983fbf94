"""An owner's acts beside running planners and workers: real commits, real threads, one connection each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection

from dripstone.engine import enroll, follow, life, plan
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.errors import DripstoneError
from dripstone.senders.memory import MemorySender
from dripstone.sequences.models import Sequence
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)
NOW = MONDAY_9


def course(n_people: int) -> Sequence:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second", "delay_value": 2})
    people = [make_subscriber(account) for _ in range(n_people)]
    enroll.add(sequence, [one.pk for one in people], "bulk", NOW)
    return sequence


def in_parallel(*works: Callable[[], Any]) -> None:
    def alone(work: Callable[[], Any]) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(alone, works))


def send_all(worker: str, sender: MemorySender) -> None:
    for _ in range(40):
        plan.everything_due(NOW)
        life.send_batch(worker, sender, lambda: NOW)


def test_two_calls_at_once_pause_once() -> None:
    place = Enrollment.objects.get(sequence=course(1))

    def pause() -> None:
        with suppress(DripstoneError):
            places.pause(place.pk, "owner", "", NOW)

    in_parallel(*[pause] * 6)
    assert Note.objects.count() == 1


def test_skipping_beside_planners_and_workers_ends_every_email_once() -> None:
    sequence = course(40)
    ids = list(Enrollment.objects.filter(sequence=sequence).values_list("pk", flat=True))
    senders = [MemorySender() for _ in range(2)]

    def skip_all() -> None:
        for pk in ids:
            with suppress(DripstoneError):  # on the wire just now
                places.skip(pk, "owner", "", NOW)

    in_parallel(skip_all, lambda: send_all("worker-1", senders[0]), lambda: send_all("worker-2", senders[1]))
    send_all("worker-1", senders[0])
    sent = [message.delivery_id for sender in senders for message in sender.messages]
    assert len(sent) == len(set(sent))
    assert set(Delivery.objects.values_list("status", flat=True)) <= {"sent", "skipped"}
    assert not Enrollment.objects.filter(status="active", due_at=None).exists()


def test_a_sequence_that_comes_back_while_people_are_paused_mails_none_of_them() -> None:
    sequence = course(30)
    ids = list(Enrollment.objects.filter(sequence=sequence).values_list("pk", flat=True))
    plan.everything_due(NOW)
    edits.update_sequence(sequence.account, sequence.pk, {"active": False}, NOW)
    follow.everybody(sequence.pk, NOW)

    def pause_all() -> None:
        for pk in ids:
            places.pause(pk, "owner", "", NOW)

    def come_back() -> None:
        for active in (True, False, True):
            edits.update_sequence(sequence.account, sequence.pk, {"active": active}, NOW)
            follow.everybody(sequence.pk, NOW)

    in_parallel(pause_all, come_back)
    assert Enrollment.objects.filter(paused_at=None).count() == 0
    assert not Delivery.objects.filter(status="planned").exclude(ready_at=Delivery.PARKED).exists()
