"""A worker dies between two steps: whatever it held is settled once, and nothing is lost or doubled."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import plan, rescue
from dripstone.engine.models import Delivery, Enrollment
from dripstone.engine.plan import Claimed
from dripstone.senders.flight import FlightLog
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db
NOW = MONDAY_9
LATER = NOW + plan.LEASE


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[FlightLog]:
    log = FlightLog(tmp_path, "worker-1")
    yield log
    log.close()


def claimed(account: Account, n: int = 1) -> list[Claimed]:
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second"})
    for _ in range(n):
        make_enrollment(sequence, make_subscriber(account), NOW)
    plan.everything_due(NOW)
    return plan.claim("worker-1", NOW)


def die(worker: FlightLog) -> None:
    worker.close()  # the lock on the file goes with the process


def test_what_had_not_started_is_planned_again_at_once(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    claimed(account)
    die(worker)
    rescue.abandoned(tmp_path, NOW)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.ready_at) == ("planned", NOW)


def test_a_body_that_had_started_is_unknown(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    (row,) = claimed(account)
    worker.started(row.delivery_id, row.attempt)
    die(worker)
    rescue.abandoned(tmp_path, NOW)
    assert Delivery.objects.get().status == "unknown"
    assert Enrollment.objects.get().next_email is not None  # the sequence goes on


def test_a_reply_that_had_come_counts(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    (row,) = claimed(account)
    worker.started(row.delivery_id, row.attempt)
    worker.ended(row.delivery_id, row.attempt, "sent")
    die(worker)
    rescue.abandoned(tmp_path, NOW)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.sent_at) == ("sent", NOW)


def test_a_living_worker_keeps_what_it_holds(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    claimed(account)
    assert rescue.abandoned(tmp_path, NOW + timedelta(minutes=1)) == {}
    assert Delivery.objects.get().status == "sending"


def test_a_worker_of_another_machine_is_in_doubt_after_its_lease(account: Account, tmp_path: Path) -> None:
    claimed(account)
    assert rescue.abandoned(tmp_path, LATER - timedelta(seconds=1)) == {}
    rescue.abandoned(tmp_path, LATER)
    assert Delivery.objects.get().status == "unknown"


def test_the_rescue_may_run_twice(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    rows = claimed(account, 5)
    worker.started(rows[0].delivery_id, rows[0].attempt)
    die(worker)
    assert sum(rescue.abandoned(tmp_path, NOW).values()) == 5
    assert rescue.abandoned(tmp_path, NOW) == {}
    statuses = sorted(Delivery.objects.values_list("status", flat=True))
    assert statuses == ["planned"] * 4 + ["unknown"]


def test_the_log_of_a_dead_worker_goes_once_it_holds_nothing(
    account: Account, worker: FlightLog, tmp_path: Path
) -> None:
    claimed(account)
    die(worker)
    rescue.abandoned(tmp_path, NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("now", [NOW, LATER])
def test_planning_twice_plans_once(account: Account, now: datetime) -> None:
    claimed(account, 3)
    plan.everything_due(now)
    assert Delivery.objects.count() == 3
