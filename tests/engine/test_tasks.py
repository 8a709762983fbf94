"""The tasks under a real Procrastinate worker, with real jobs in PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from dripstone import clock
from dripstone.content.models import Precompiled
from dripstone.engine import enroll, letters, plan, process, tasks, wake
from dripstone.engine.kept import Kept
from dripstone.engine.models import Delivery
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from tests.factories import make_account, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def memory(settings: Any) -> Iterator[None]:
    """No mail leaves, and no job or worker is left over: Procrastinate's tables are not Django's to flush."""
    settings.DRIPSTONE_MAIL_URL = "memory://tasks"
    process.close()
    delete_jobs()
    yield
    process.close()
    delete_jobs()


def worker_app() -> App:
    assert isinstance(app.connector, DjangoConnector)
    return app.with_connector(app.connector.get_worker_connector())


def work_until_idle() -> None:
    """Real jobs, until none is left. No periodic ones: what is tested must not depend on their luck."""

    async def run() -> None:
        async with worker_app().open_async() as running:
            await running.run_worker_async(
                wait=False, install_signal_handlers=False, listen_notify=False, delete_jobs="always"
            )

    # In a thread of its own: a browser test of the same process leaves an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


def jobs() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        return [row[0].rsplit(".", 1)[1] for row in cursor.fetchall()]


def delete_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers")


def course() -> Sequence:
    return make_sequence(make_account(), {"subject": "welcome", "delay_value": 0}, {"subject": "second"})


def test_whoever_is_free_joins_in_where_more_than_a_batch_is_due() -> None:
    sequence = course()
    now = clock.now()
    address = "p{}@example.com"
    people = [
        Subscriber(account=sequence.account, email_address=address.format(n), created_at=now, updated_at=now)
        for n in range(2 * plan.PLAN_BATCH + 1)
    ]
    enroll.add(sequence, [row.pk for row in Subscriber.objects.bulk_create(people)], "bulk", now)
    delete_jobs()
    assert plan.everything_due(now) == len(people)
    assert Counter(jobs()) == {"tick": 1, "send": -(-len(people) // wake.CLAIM_BATCH)}
    assert plan.everything_due(now) == 0


def test_an_immediate_first_email_goes_by_jobs_alone() -> None:
    sequence = course()
    person = make_subscriber(sequence.account)
    enroll.add(sequence, [person.pk], "api", clock.now())
    assert jobs() == ["tick"]
    work_until_idle()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.subscriber_id) == ("sent", person.pk)


def test_the_job_belongs_to_the_transaction_that_needs_it() -> None:
    sequence = course()
    person = make_subscriber(sequence.account)
    with transaction.atomic():
        enroll.add(sequence, [person.pk], "api", clock.now())
        transaction.set_rollback(True)
    assert jobs() == []


def test_people_who_enter_one_after_the_other_wake_one_tick() -> None:
    sequence = course()
    for _ in range(3):
        enroll.add(sequence, [make_subscriber(sequence.account).pk], "api", clock.now())
    assert jobs() == ["tick"]


def test_a_tick_is_queued_when_what_it_looks_for_is_committed() -> None:
    """Not before: a tick that is queued and begins now would not see this person."""
    sequence = course()
    with transaction.atomic():
        enroll.add(sequence, [make_subscriber(sequence.account).pk], "api", clock.now())
        assert jobs() == []
    assert jobs() == ["tick"]


def test_somebody_due_tomorrow_wakes_nobody() -> None:
    sequence = make_sequence(make_account(), {"subject": "tomorrow"})
    enroll.add(sequence, [make_subscriber(sequence.account).pk], "api", clock.now())
    assert jobs() == []


def test_a_tick_finds_what_lost_jobs_left_behind() -> None:
    sequence = course()
    enroll.add(sequence, [make_subscriber(sequence.account).pk], "api", clock.now())
    delete_jobs()
    tasks.tick_periodic(0)
    assert jobs() == ["send"]
    delete_jobs()
    tasks.tick_periodic(0)
    assert jobs() == ["send"]
    work_until_idle()
    assert Delivery.objects.get().status == "sent"


def test_a_retry_gets_its_job_when_its_time_has_come() -> None:
    sequence = course()
    enroll.add(sequence, [make_subscriber(sequence.account).pk], "api", clock.now())
    work_until_idle()
    Delivery.objects.update(status="planned", sent_at=None, ended_at=None, ready_at=clock.now() + timedelta(minutes=5))
    tasks.tick_periodic(0)
    assert jobs() == []
    Delivery.objects.update(ready_at=clock.now())
    tasks.tick_periodic(0)
    assert jobs() == ["send"]


def test_an_edit_is_followed_up_by_a_job() -> None:
    from dripstone.engine import follow

    sequence = course()
    sequence.edits += 1
    sequence.save()
    follow.after_edit(sequence)
    work_until_idle()
    sequence.refresh_from_db()
    assert sequence.edits_done == sequence.edits


def test_the_job_that_follows_an_edit_makes_its_letters_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    for cache in ("_bodies", "_versions"):  # as in a process that has just begun
        monkeypatch.setattr(letters, cache, Kept(letters.MOST_BYTES))
    sequence = course()
    wake.reevaluation(sequence.pk)
    work_until_idle()
    assert Precompiled.objects.count() == sequence.emails.filter(published=True).count() > 0


def test_the_job_of_a_killed_worker_starts_over() -> None:
    tasks.tick.defer()
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - interval '1 hour') RETURNING id)"
            " UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM dead)"
        )
    assert jobs() == []
    app.configure_task("dripstone.engine.tasks.retry_stalled").defer(timestamp=0)
    work_until_idle()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        assert cursor.fetchone() == (0,)
