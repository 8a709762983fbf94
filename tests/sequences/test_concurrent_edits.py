"""Several people edit one sequence at once: real commits, real threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from dripstone.engine.acts import edits
from dripstone.errors import NotFound
from dripstone.sequences.models import SequenceEmail
from tests.factories import MONDAY_9, make_account, make_sequence

pytestmark = pytest.mark.django_db(transaction=True)


def in_parallel(work: Callable[[int], Any], n: int = 6) -> list[Any]:
    def alone(number: int) -> Any:
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(alone, range(n)))


def test_inserts_and_moves_at_once_keep_positions_apart() -> None:
    account = make_account()
    sequence = make_sequence(account, {}, {}, {})
    ids = list(sequence.emails.order_by("position").values_list("pk", flat=True))
    new = {"subject": "New", "delay_value": 1, "delay_unit": "days"}

    def work(number: int) -> None:
        edits.create_email(account, sequence.pk, new | {"position": number % 2, "published": True}, MONDAY_9)
        edits.create_email(account, sequence.pk, new, MONDAY_9)
        edits.update_email(account, sequence.pk, ids[number % 3], {"position": number % 4}, MONDAY_9)

    in_parallel(work)
    positions = list(SequenceEmail.objects.filter(sequence=sequence).values_list("position", flat=True))
    assert len(positions) == len(set(positions)) == 15
    sequence.refresh_from_db()
    assert sequence.edits >= 6


def test_a_sequence_is_deleted_once() -> None:
    account = make_account()
    sequence = make_sequence(account)

    def work(_: int) -> bool:
        try:
            edits.delete_sequence(account, sequence.pk, MONDAY_9)
        except NotFound:
            return False
        return True

    assert sum(in_parallel(work)) == 1
    sequence.refresh_from_db()
    assert sequence.edits == 1
