"""A worker dies between two steps: whatever it held is settled once, and nothing is lost or doubled."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine import claim, follow, plan, process, record, rescue
from dripstone.engine.acts import edits
from dripstone.engine.attempts import Outcome
from dripstone.engine.claim import Claimed
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.flight import FlightLog
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db
NOW = MONDAY_9
LATER = NOW + claim.LEASE


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[FlightLog]:
    log = FlightLog(tmp_path, "worker-1")
    yield log
    log.close()


class Time:
    """A machine's two clocks: the one that can be set, and the one that only counts."""

    def __init__(self) -> None:
        self.wall_now, self.seconds = NOW, 1000.0

    def wall(self) -> datetime:
        return self.wall_now

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, **duration: float) -> None:
        self.wall_now += timedelta(**duration)
        self.seconds += timedelta(**duration).total_seconds()

    def jump(self, **duration: float) -> None:
        self.wall_now += timedelta(**duration)


def claimed(account: Account, n: int = 1) -> list[Claimed]:
    make_planned(account, n)
    return claim.take("worker-1", NOW)


def make_planned(account: Account, n: int = 3) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second"})
    for _ in range(n):
        make_enrollment(sequence, make_subscriber(account), NOW)
    plan.everything_due(NOW)


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
    """After a minute: a claim that was being committed when the worker died may show itself only then."""
    claimed(account)
    die(worker)
    time = Time()
    watch = rescue.Watch(tmp_path, monotonic=time.monotonic)
    watch.look(NOW)
    assert list(tmp_path.iterdir()) != []
    time.pass_by(minutes=1)
    watch.look(NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("now", [NOW, LATER])
def test_planning_twice_plans_once(account: Account, now: datetime) -> None:
    claimed(account, 3)
    plan.everything_due(now)
    assert Delivery.objects.count() == 3


def test_a_clock_set_forwards_takes_nothing_from_a_worker_that_is_at_work(
    account: Account, worker: FlightLog, tmp_path: Path
) -> None:
    """Its messages were given back and sent by another, while it was about to send them too."""
    claimed(account)
    time = Time()
    time.wall_now -= timedelta(hours=1)
    watch = rescue.Watch(tmp_path, clock.Watch(time.wall, time.monotonic), time.monotonic)
    time.pass_by(hours=1)  # this process has been up for long
    assert watch.look(time.wall()) == {}
    time.jump(hours=5)
    assert watch.look(time.wall()) == {}
    time.pass_by(minutes=14)
    assert watch.look(time.wall()) == {}
    time.pass_by(minutes=1)
    watch.look(time.wall())
    assert Delivery.objects.get().status == "planned"


def test_a_process_that_has_just_started_ends_no_lease(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    """It cannot know whether the clock was set while it was away."""
    claimed(account)
    time = Time()
    time.pass_by(hours=1)
    watch = rescue.Watch(tmp_path, clock.Watch(time.wall, time.monotonic), time.monotonic)
    assert watch.look(time.wall()) == {}
    time.pass_by(minutes=15)
    assert sum(watch.look(time.wall()).values()) == 1


def test_a_clock_set_back_makes_nobody_wait_longer(account: Account, worker: FlightLog, tmp_path: Path) -> None:
    """Planned, put off and claimed while the clock was five hours ahead, which nobody knew."""
    sequence = make_sequence(account, {"delay_value": 0})
    time = Time()
    watch = rescue.Watch(tmp_path, clock.Watch(time.wall, time.monotonic), time.monotonic)
    time.jump(hours=5)
    watch.look(time.wall())
    for _ in range(3):
        make_enrollment(sequence, make_subscriber(account), time.wall())
    plan.everything_due(time.wall())
    (put_off,) = claim.take("worker-1", time.wall(), 1)
    refused = Outcome(put_off.delivery_id, put_off.attempt, "planned", "greylisted", retry_in=timedelta(minutes=1))
    record.outcomes([refused], time.wall())
    (leased,) = claim.take("worker-1", time.wall(), 1)

    time.jump(hours=-5)
    watch.look(time.wall())
    waits = dict(Delivery.objects.filter(status="planned").values_list("pk", "ready_at"))
    assert waits.pop(put_off.delivery_id) == NOW + timedelta(minutes=1)
    assert list(waits.values()) == [NOW]
    assert Delivery.objects.get(pk=leased.delivery_id).lease_until == NOW + claim.LEASE


def test_a_clock_set_back_hurries_nothing_to_before_its_slot(
    account: Account, worker: FlightLog, tmp_path: Path
) -> None:
    """What a pause held goes at the next allowed hour; as many workers look at it as there are."""
    sequence = make_sequence(account, {})
    make_enrollment(sequence, make_subscriber(account), NOW - timedelta(days=1))
    plan.everything_due(NOW)
    for is_active in (False, True):
        edits.update_sequence(account, sequence.pk, {"active": is_active}, NOW + timedelta(minutes=1))
        follow.everybody(sequence.pk, NOW + timedelta(minutes=1))
    slot = Delivery.objects.get().ready_at
    assert slot == NOW + timedelta(days=1)
    time = Time()
    watches = [rescue.Watch(tmp_path, clock.Watch(time.wall, time.monotonic), time.monotonic) for _ in range(3)]
    time.jump(hours=5)
    for jump in (timedelta(), timedelta(hours=-5)):
        time.jump(hours=jump / timedelta(hours=1))
        for watch in watches:
            watch.look(time.wall())
    assert Delivery.objects.get().ready_at == slot


def test_a_batch_broken_off_is_settled_though_its_worker_lives(
    account: Account, worker: FlightLog, tmp_path: Path
) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second"})
    for _ in range(3):
        make_enrollment(sequence, make_subscriber(account), NOW)
    plan.everything_due(NOW)
    with suppress(KeyError), process.batch("worker-1") as holder:
        replied, flying, _ = claim.take(holder, NOW)
        for row in (replied, flying):
            worker.started(row.delivery_id, row.attempt)
        worker.ended(replied.delivery_id, replied.attempt, "sent")
        raise KeyError("a bug of ours")
    rescue.abandoned(tmp_path, NOW)
    statuses = dict(Delivery.objects.values_list("pk", "status"))
    assert statuses.pop(replied.delivery_id) == "sent"
    assert statuses.pop(flying.delivery_id) == "sending"  # its reply may still come
    assert list(statuses.values()) == ["planned"]
    worker.ended(flying.delivery_id, flying.attempt, "sent")
    rescue.abandoned(tmp_path, NOW)
    assert Delivery.objects.get(pk=flying.delivery_id).status == "sent"
    process.forget(holder)


# --- Flight logs that came to harm -------------------------------------------------------------------------------

MENTIONED = ["unknown", "sent"]  # with a line: of one the body had left, the other was answered


def a_dead_workers_rows(account: Account, worker: FlightLog) -> list[Claimed]:
    """Five rows: one had begun, one was answered, three had not begun."""
    rows = claimed(account, 5)
    for row in rows[:2]:
        worker.started(row.delivery_id, row.attempt)
    worker.ended(rows[1].delivery_id, rows[1].attempt, "sent")
    die(worker)
    return rows


def statuses() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("status", flat=True))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_to_its_first_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_by_a_byte(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def scramble(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(path.stat().st_size))


def fill_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def a_huge_line(path: Path) -> None:
    path.write_bytes(b"s 1" + b"0" * 100_000 + b"\n")


def lose_a_line(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:512] + content[576:] + bytes(64))


@pytest.mark.parametrize(
    ("harm", "is_still_mentioned"),
    [
        (empty, False),
        (cut_to_its_first_half, True),
        (cut_by_a_byte, True),
        (scramble, False),
        (fill_with_zeros, False),
        (a_huge_line, False),
        (lose_a_line, False),
    ],
)
def test_what_a_harmed_log_does_not_say_is_unknown(
    account: Account, worker: FlightLog, tmp_path: Path, harm: Callable[[Path], None], is_still_mentioned: bool
) -> None:
    """It was taken for never begun, so people got the email twice."""
    a_dead_workers_rows(account, worker)
    harm(tmp_path / "worker-1.flightlog")
    rescue.abandoned(tmp_path, NOW)
    assert statuses()[2:] == ["unknown"] * 3
    if is_still_mentioned:
        assert statuses()[:2] == MENTIONED
    else:
        assert "planned" not in statuses()


def test_a_log_from_before_a_power_cut_speaks_only_of_what_it_mentions(account: Account, tmp_path: Path) -> None:
    a_dead_workers_rows(account, FlightLog(tmp_path, "worker-1", machine="an-earlier-start"))
    rescue.abandoned(tmp_path, NOW)
    assert statuses() == [*MENTIONED, "unknown", "unknown", "unknown"]
    assert set(Delivery.objects.values_list("reason", flat=True)[2:]) == {"worker_stopped_without_log"}


def remove(path: Path) -> None:
    path.unlink()


def a_folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe_in_its_place(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_in_its_place(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("harm", [remove, a_folder_in_its_place, a_pipe_in_its_place, a_link_in_its_place])
def test_without_a_log_the_lease_is_waited_for_and_others_are_settled(
    account: Account, worker: FlightLog, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    a_dead_workers_rows(account, worker)
    harm(tmp_path / "worker-1.flightlog")
    FlightLog(tmp_path, "worker-2").close()
    Delivery.objects.filter(pk=Delivery.objects.latest("pk").pk).update(worker="worker-2/1")
    rescue.abandoned(tmp_path, NOW)
    assert statuses() == ["sending"] * 4 + ["planned"]
    rescue.abandoned(tmp_path, LATER)
    assert statuses() == ["unknown"] * 4 + ["planned"]


def test_it_warns_once_of_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "worker-1.flightlog").mkdir()
    watch = rescue.Watch(tmp_path)
    with capture_logs() as said:
        watch.look(NOW)
        watch.look(NOW)
    assert [line["event"] for line in said] == ["flight_log_unreadable"]


def test_a_living_workers_harmed_log_gives_nothing_away_before_the_lease_ends(
    account: Account, worker: FlightLog, tmp_path: Path
) -> None:
    with suppress(KeyError), process.batch("worker-1") as holder:
        make_planned(account)
        claim.take(holder, NOW)
        raise KeyError("a bug of ours")
    empty(tmp_path / "worker-1.flightlog")
    rescue.abandoned(tmp_path, NOW)
    assert statuses() == ["sending"] * 3
    rescue.abandoned(tmp_path, LATER)
    assert statuses() == ["unknown"] * 3
    process.forget(holder)
