"""What every change of a place and a delivery writes: docs/decisions/hot-tables.md."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from dripstone.engine import queries
from dripstone.engine.models import Enrollment, places_of
from dripstone.subscribers.models import Subscriber
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


def indexes_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table])
        return {name for (name,) in cursor.fetchall()}


def keys_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)"
            " WHERE contype = 'f' AND conrelid = %s::regclass",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


def test_a_place_has_three_indexes_and_no_key_that_changes_with_every_email() -> None:
    assert indexes_of("engine_enrollment") == {"engine_enrollment_pkey", "enrollment_once", "enrollment_due"}
    assert keys_of("engine_enrollment") == {"account_id", "sequence_id"}  # of the person a trigger of theirs asks


def test_no_key_of_a_delivery_is_checked() -> None:
    assert keys_of("engine_delivery") == set()


def test_a_person_s_places_are_those_in_their_own_account() -> None:
    alice, mallory = make_account("Alice"), make_account("Mallory")
    person = make_subscriber(alice)
    mine = [make_enrollment(make_sequence(alice), person) for _ in range(2)]
    make_enrollment(make_sequence(alice), make_subscriber(alice))
    assert set(places_of(alice.pk, person.pk)) == set(mine)
    assert not places_of(mallory.pk, person.pk)


def test_instants_come_aware_in_utc_from_every_kind_of_cursor() -> None:
    account = make_account("Alice")
    instant = datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)
    Subscriber.objects.filter(pk=make_subscriber(account).pk).update(created_at=instant)
    (read,) = Subscriber.objects.values_list("created_at", flat=True)
    (streamed,) = Subscriber.objects.values_list("created_at", flat=True).iterator()
    assert read == streamed == instant
    assert read.utcoffset() == streamed.utcoffset() == timedelta(0)


def test_rows_arrive_as_they_were_sent() -> None:
    instant = datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)
    sent = [(1, 'quote " and \\ and é and\nline', instant), (2, "", None)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM json_to_recordset(%(rows)s) AS r (id bigint, text text, at timestamptz) ORDER BY id",
            {"rows": queries.rows(("id", "text", "at"), sent)},
        )
        assert cursor.fetchall() == sent
        cursor.execute("SELECT unnest(%(ids)s::bigint[])", {"ids": queries.ids([3, 2])})
        assert cursor.fetchall() == [(3,), (2,)]


def test_an_empty_set_is_an_empty_set() -> None:
    alice = make_account("Alice")
    make_enrollment(make_sequence(alice), make_subscriber(alice))
    with connection.cursor() as cursor:
        cursor.execute(queries.LOCK_PLACES, {"enrollments": queries.ids([])})
        assert cursor.fetchall() == []
        cursor.execute("SELECT * FROM json_to_recordset(%s) AS r (id bigint)", [queries.rows(("id",), [])])
        assert cursor.fetchall() == []
    assert Enrollment.objects.count() == 1
