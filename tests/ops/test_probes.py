from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import InternalError, connection, transaction
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.calls.models import Receiver
from dripstone.engine import claim, counters, notices, plan, process, pulse, tasks, transitions
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery, Pulse
from dripstone.explain import disk
from dripstone.ops import doctor, flow, metrics, readiness
from dripstone.senders import hindrances, pace
from dripstone.senders.models import Breaker
from dripstone.sequences.models import Sequence
from dripstone.webhooks import endpoints
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber
from tests.owned import ENDPOINT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted_yet() -> None:
    """Other tests of this process count too."""
    counters._counts.clear()


def a_worker_was_seen(seconds_ago: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)",
            [clock.system_now() - timedelta(seconds=seconds_ago)],
        )


def test_it_is_healthy_with_a_worker(client: Client) -> None:
    a_worker_was_seen(seconds_ago=5)
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "findings": []})


def test_a_full_disk_is_told_before_nothing_works_any_more(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    a_worker_was_seen(seconds_ago=5)
    monkeypatch.setattr(disk, "LEAST_FREE_BYTES", disk.free_bytes() + 10**9)
    response = client.get("/healthz")
    assert (response.status_code, response.json()["status"]) == (503, "no room")
    assert response.json()["findings"][0].startswith("The disk is nearly full, with ")
    assert not doctor._disk().is_well


def test_a_worker_that_cannot_write_its_flight_log_is_told_until_it_can(client: Client, tmp_path: Path) -> None:
    a_worker_was_seen(seconds_ago=5)
    flights = tmp_path / "flights"
    watch = hindrances.Watch("host-1", flights)
    assert watch.look() == ""
    watch.tell(clock.system_now())
    assert client.get("/healthz").status_code == 200
    flights.rmdir()
    flights.write_text("in the way")
    assert watch.look() == "File exists"
    watch.tell(clock.system_now())
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["findings"][0].startswith("A worker cannot write its flight log (File exists)")
    flights.unlink()
    watch.look()
    watch.tell(clock.system_now())
    assert client.get("/healthz").status_code == 200


def test_what_a_worker_said_is_over_when_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "flights").write_text("in the way")
    watch = hindrances.Watch("host-1", tmp_path / "flights")
    watch.look()
    watch.tell(clock.system_now() - timedelta(minutes=2))
    assert hindrances.current(clock.system_now()) == []


def test_a_worker_that_is_hindered_takes_no_mail(sequence: Sequence) -> None:
    """Each try in vain would have put it off, for hours in the end."""
    make_place_with(sequence, "planned", LONG_AGO)
    process.hinder("No space left on device")
    try:
        tasks.send()
        assert set(Delivery.objects.values_list("status", "attempt")) == {("planned", 0)}
    finally:
        process.hinder("")


@pytest.mark.parametrize("seconds_ago", [None, 90])
def test_it_is_not_ready_without_one(client: Client, seconds_ago: float | None) -> None:
    if seconds_ago:
        a_worker_was_seen(seconds_ago)
    response = client.get("/healthz")
    assert response.status_code == 503
    assert "start dripstone worker" in response.json()["findings"][0]


def test_a_missing_migration_is_a_finding() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'engine' AND name LIKE '0001%'")
    assert list(readiness.findings(clock.system_now())) == ["1 migration is not applied: run dripstone migrate."]
    assert doctor._schema().sentence == "1 migration missing: dripstone migrate"


def test_a_database_without_anything_lacks_every_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_migrations")
    assert readiness.n_pending_migrations() == len(readiness._migrations()) > 20


def test_the_metrics_are_in_prometheus_format(client: Client) -> None:
    client.get("/healthz")
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    text = response.content.decode()
    assert "dripstone_due 0.0" in text
    assert "dripstone_oldest_due_seconds 0.0" in text
    assert 'dripstone_request_seconds_count{area="web"' in text


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
    assert client.post("/metrics").status_code == 405


def test_a_server_that_is_left_alone_is_seen_by_probes_and_doctor(client: Client) -> None:
    opened_at = clock.now() - timedelta(minutes=5)
    Breaker.objects.create(
        server="inbox://", reason="connection_refused", opened_at=opened_at, retry_at=opened_at + timedelta(minutes=10)
    )
    text = client.get("/metrics").content.decode()
    assert 'dripstone_server_left_alone_seconds{server="inbox://"} 30' in text
    (result,) = (one for one in doctor.examine() if one.subject == "mail server")
    assert not result.is_well
    assert "nothing listens at the mail server's address" in result.sentence
    Breaker.objects.all().delete()
    (result,) = (one for one in doctor.examine() if one.subject == "mail server")
    assert result.is_well


def test_the_metrics_touch_the_database_eleven_times_and_people_seldom(django_assert_num_queries: Any) -> None:
    metrics._people.cache_clear()
    with django_assert_num_queries(11):
        metrics.text(clock.now())
    with django_assert_num_queries(10):
        metrics.text(clock.now())


def test_the_metrics_tell_what_waits_and_what_was_done() -> None:
    sequence = make_sequence(make_account(), {"delay_value": 0}, {"delay_value": 3})
    for status in ("planned", "planned", "planned", "sent", "failed", "unknown"):
        make_place_with(sequence, status)
    parked, later = Delivery.objects.filter(status="planned").order_by("-pk")[:2]
    Delivery.objects.filter(pk=parked.pk).update(ready_at=Delivery.PARKED)
    Delivery.objects.filter(pk=later.pk).update(ready_at=MONDAY_9 + timedelta(hours=1))
    make_enrollment(sequence, make_subscriber(sequence.account), MONDAY_9 - timedelta(minutes=7))
    counters.outcomes({(1, "sent"): 3, (2, "sent"): 2, (1, "planned"): 1}, MONDAY_9)
    with counters.timed("render"):
        pass
    assert list(counters.timed_each("hand_over", "ab")) == ["a", "b"]
    counters.flush()
    lines = metrics.text(MONDAY_9).decode().splitlines()
    for line in (
        'dripstone_deliveries{status="planned"} 3.0',
        'dripstone_deliveries{status="failed"} 1.0',
        'dripstone_deliveries{status="unknown"} 1.0',
        'dripstone_planned{state="ready"} 1.0',
        'dripstone_planned{state="later"} 1.0',
        'dripstone_planned{state="parked"} 1.0',
        "dripstone_due 1.0",
        "dripstone_oldest_due_seconds 420.0",
        'dripstone_outcomes_total{outcome="sent"} 5.0',
        'dripstone_outcomes_total{outcome="retry"} 1.0',
        'dripstone_stage_seconds_count{stage="render"} 1.0',
        'dripstone_stage_seconds_count{stage="hand_over"} 3.0',
        "dripstone_halted 0.0",
    ):
        assert line in lines, line


def test_the_metrics_and_doctor_tell_of_webhooks_that_wait_and_of_receivers_that_fail(alice: Account) -> None:
    waiting, failing = (endpoints.create(alice, ENDPOINT, MONDAY_9)[0] for _ in range(2))
    endpoints.send_test(waiting, MONDAY_9)
    Receiver.objects.filter(pk=failing.pk).update(failing_since=MONDAY_9)
    lines = metrics.text(MONDAY_9 + timedelta(seconds=90)).decode().splitlines()
    for line in (
        'dripstone_webhook_deliveries{state="new"} 1.0',
        'dripstone_webhook_deliveries{state="again"} 0.0',
        "dripstone_oldest_webhook_seconds 90.0",
        'dripstone_webhooks{state="failing"} 1.0',
        'dripstone_webhooks{state="switched_off"} 0.0',
    ):
        assert line in lines, line
    told = next(one.sentence for one in doctor.examine() if one.subject == "webhooks")
    assert told.startswith("1 delivery not tried yet") and "1 receiver failing" in told


def test_the_metrics_tell_of_notices_that_wait() -> None:
    account = make_account()
    for minutes in (-2, 3):
        person = make_subscriber(account, state="inactive")
        notices.confirmation(person.pk, MONDAY_9 + timedelta(minutes=minutes))
    lines = metrics.text(MONDAY_9).decode().splitlines()
    for line in (
        'dripstone_deliveries{status="planned"} 2.0',
        'dripstone_planned{state="ready"} 1.0',
        'dripstone_planned{state="later"} 1.0',
        "dripstone_oldest_ready_seconds 120.0",
    ):
        assert line in lines, line


def test_figures_of_all_processes_add_up() -> None:
    for n in (2, 3):
        counters.add(counters.OUTCOME, "sent", n)
        counters.flush()
    assert counters.read()[counters.OUTCOME, "sent"] == 5


def test_figures_that_cannot_be_written_are_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    counters.flush()
    before = counters.read().get((counters.OUTCOME, "sent"), 0)
    counters.add(counters.OUTCOME, "sent", 4)
    with monkeypatch.context() as broken:
        broken.setattr(counters, "_ADD", "SELECT 1/0")
        with transaction.atomic(), suppress(InternalError):
            counters.flush()
            transaction.set_rollback(True)
    counters.flush()
    assert counters.read()[counters.OUTCOME, "sent"] == before + 4


# --- Does mail flow? --------------------------------------------------------------------------------------------

NOW = MONDAY_9
LONG_AGO = NOW - timedelta(hours=3)


def the_engine_runs(since: datetime = LONG_AGO, sent_at: datetime | None = None) -> None:
    Pulse.objects.update_or_create(pk=1, defaults={"beat_at": NOW, "running_since": since, "sent_at": sent_at})


def make_place_with(sequence: Sequence, status: str, at: datetime = NOW, **values: Any) -> Delivery:
    """Somebody whose first email was planned at that instant, and stands so now."""
    make_enrollment(sequence, make_subscriber(sequence.account), at)
    plan.everything_due(at)
    row = Delivery.objects.latest("pk")
    if status != "planned":
        values |= {"ready_at": None, "ended_at": at, "sent_at": at if status == "sent" else None}
    Delivery.objects.filter(pk=row.pk).update(**{"status": status, **values})
    return row


@pytest.fixture
def sequence() -> Sequence:
    return make_sequence(make_account(), {"delay_value": 0}, {"delay_value": 3})


def test_mail_that_should_have_gone_while_nothing_is_sent_is_a_stop(sequence: Sequence) -> None:
    the_engine_runs()
    make_enrollment(sequence, make_subscriber(sequence.account), NOW - timedelta(minutes=20))
    assert flow.stopped(NOW).startswith("1 email should have gone, the oldest at 2026-11-23 08:40 UTC, and nothing was")
    plan.everything_due(NOW - timedelta(minutes=20))
    assert flow.stopped(NOW), "planned and taken by nobody, too"


@pytest.mark.parametrize("minutes_ago", [0, 14])
def test_what_is_due_since_a_moment_is_none(sequence: Sequence, minutes_ago: int) -> None:
    the_engine_runs()
    make_enrollment(sequence, make_subscriber(sequence.account), NOW - timedelta(minutes=minutes_ago))
    assert flow.stopped(NOW) == ""


def test_a_backlog_that_is_worked_off_is_none(sequence: Sequence) -> None:
    the_engine_runs(sent_at=NOW - timedelta(minutes=1))
    make_enrollment(sequence, make_subscriber(sequence.account), LONG_AGO)
    assert flow.stopped(NOW) == ""


def test_a_restart_after_an_outage_gets_its_time(sequence: Sequence) -> None:
    the_engine_runs(since=NOW - timedelta(minutes=3))
    make_enrollment(sequence, make_subscriber(sequence.account), LONG_AGO)
    assert flow.stopped(NOW) == ""


def test_people_and_sequences_that_are_paused_stop_nothing(sequence: Sequence) -> None:
    the_engine_runs()
    make_place_with(sequence, "planned", LONG_AGO, ready_at=Delivery.PARKED)
    place = make_enrollment(sequence, make_subscriber(sequence.account), LONG_AGO)
    places.pause(place.pk, "test", "", NOW)
    resting = make_sequence(sequence.account, {"delay_value": 0})
    make_enrollment(resting, make_subscriber(sequence.account), LONG_AGO)
    Sequence.objects.filter(pk=resting.pk).update(active=False)
    assert flow.stopped(NOW) == ""


def test_a_mail_server_that_takes_nothing_is_a_stop_but_one_person_s_is_not(sequence: Sequence) -> None:
    the_engine_runs()
    for _ in range(4):
        make_place_with(
            sequence, "planned", LONG_AGO, attempt=3, reason="451 later", ready_at=NOW + timedelta(minutes=5)
        )
    assert flow.stopped(NOW) == ""
    make_place_with(sequence, "planned", LONG_AGO, attempt=3, reason="451 later", ready_at=NOW + timedelta(minutes=5))
    assert "The mail server has taken nothing for 15 minutes" in flow.stopped(NOW)
    the_engine_runs(sent_at=NOW - timedelta(minutes=1))
    assert flow.stopped(NOW) == ""


def test_a_mail_server_that_refuses_notices_is_a_stop_too(sequence: Sequence) -> None:
    the_engine_runs()
    for _ in range(flow.REFUSED_AT_LEAST):
        notices.confirmation(make_subscriber(sequence.account, state="inactive").pk, LONG_AGO)
    Delivery.objects.update(attempt=1, reason="smtp 451", notice_ready_at=NOW + timedelta(minutes=1))
    assert "refuses" in flow.stopped(NOW)


def test_a_notice_that_should_have_gone_is_a_stop(sequence: Sequence) -> None:
    the_engine_runs()
    notices.confirmation(make_subscriber(sequence.account, state="inactive").pk, LONG_AGO)
    assert flow.stopped(NOW).startswith("1 email should have gone")


def test_a_mail_server_that_is_left_alone_is_a_stop_while_something_waits_for_it(sequence: Sequence) -> None:
    the_engine_runs()
    Breaker.objects.create(server="inbox://", reason="refused", opened_at=LONG_AGO, retry_at=NOW + timedelta(minutes=9))
    assert flow.stopped(NOW) == ""
    make_place_with(sequence, "planned", LONG_AGO)
    assert "The mail server has accepted nothing since 2026-11-23 06:00 UTC" in flow.stopped(NOW)


def test_a_limit_that_is_used_up_stops_nothing(sequence: Sequence, settings: Any) -> None:
    settings.DRIPSTONE_MAIL_URL = "smtp://127.0.0.1:2525?per_day=1"
    the_engine_runs()
    make_place_with(sequence, "planned", LONG_AGO)
    assert flow.stopped(NOW)
    mail = claim.server()
    with pace.server_gauge(mail.server, mail.limit) as gauge:
        gauge.take(NOW, 1)
    assert flow.stopped(NOW) == ""


def test_a_virtual_clock_that_stands_still_stops_nothing(sequence: Sequence, settings: Any) -> None:
    the_engine_runs()
    make_enrollment(sequence, make_subscriber(sequence.account), LONG_AGO)
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    assert flow.stopped(NOW) == ""


def test_healthz_fails_while_sending_is_halted(client: Client, sequence: Sequence) -> None:
    a_worker_was_seen(seconds_ago=5)
    make_enrollment(sequence, make_subscriber(sequence.account), LONG_AGO)
    Pulse.objects.create(beat_at=LONG_AGO)
    assert not pulse.beat(clock.now() + timedelta(days=400))
    response = client.get("/healthz")
    assert (response.status_code, response.json()["status"]) == (503, "not sending")
    assert "dripstone resume-sending --late" in response.json()["findings"][0]
    assert "dripstone_halted 1.0" in client.get("/metrics").content.decode()


@pytest.mark.django_db(transaction=True)
def test_what_an_act_skips_is_counted_so_that_planned_and_ended_add_up() -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 3})
    made = [make_enrollment(sequence, make_subscriber(account), MONDAY_9) for _ in range(4)]
    counters.flush()
    before = counters.read()
    plan.everything_due(MONDAY_9)
    transitions.remove([made[0].pk], "asked", MONDAY_9)
    transitions.cancel(made[1].subscriber_id, MONDAY_9)
    places.skip(made[2].pk, "api", "", MONDAY_9)
    with suppress(InternalError), transaction.atomic():
        transitions.remove([made[3].pk], "only to look", MONDAY_9)
        raise InternalError
    counters.flush()
    rows = counters.read()
    ended = Delivery.objects.filter(status="skipped").count()
    assert rows[counters.OUTCOME, "skipped"] - before.get((counters.OUTCOME, "skipped"), 0) == ended >= 3
    assert rows[counters.PLANNED, ""] - before.get((counters.PLANNED, ""), 0) == Delivery.objects.count()
