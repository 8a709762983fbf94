from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from dripstone import clock
from dripstone.ops import doctor, health, metrics
from dripstone.senders.models import Breaker

pytestmark = pytest.mark.django_db


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
    assert list(health.findings(clock.system_now())) == ["1 migrations are not applied: run dripstone migrate."]


def test_a_database_without_anything_lacks_every_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_migrations")
    assert health.n_pending_migrations() == len(health._migrations()) > 20


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
        server="inbox://", reason="connection refused", opened_at=opened_at, retry_at=opened_at + timedelta(minutes=10)
    )
    text = client.get("/metrics").content.decode()
    assert 'dripstone_server_left_alone_seconds{server="inbox://"} 30' in text
    (result,) = (one for one in doctor.examine() if one.subject == "mail server")
    assert not result.is_well
    assert "connection refused" in result.sentence
    Breaker.objects.all().delete()
    (result,) = (one for one in doctor.examine() if one.subject == "mail server")
    assert result.is_well


def test_the_metrics_touch_the_database_four_times(django_assert_num_queries: pytest.FixtureRequest) -> None:
    with django_assert_num_queries(4):  # type: ignore[operator]
        metrics.text(clock.now())
