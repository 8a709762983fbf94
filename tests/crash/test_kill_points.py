"""A worker is killed at each point of a message's way; another one goes on. Real processes, real SMTP, real commits.

Three people, one connection: the first one's message is where the worker dies.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from dripstone import clock
from dripstone.engine import claim, life, plan, process, rescue
from dripstone.engine.models import Delivery, Edition, Enrollment, Notice
from dripstone.senders import flight
from tests.crash import doomed
from tests.crash.doomed import Place, asked, due, planned, until
from tests.senders.scripted import Script, ScriptedServer, scripted

pytestmark = pytest.mark.django_db(transaction=True)

N_PEOPLE = 3


@dataclass
class Scene:
    """Three people whose email is planned, a mail server, and the worker that is to die."""

    server: ScriptedServer
    place: Place
    victim: list[BaseProcess] = field(default_factory=list)

    def work_and_die(self, work: Callable[..., Any] = doomed.send_a_batch) -> None:
        """Until the script (or the work itself) has killed the process."""
        with doomed.worker(work, self.place) as worker:
            self.victim.append(worker)
            worker.join(60)
            assert worker.exitcode == -9

    def kill(self) -> None:
        until(lambda: bool(self.victim))
        doomed.kill(self.victim[0])

    def go_on(self) -> None:
        """Another worker of this machine, which rescues and sends."""
        self.server.script.reply = Script().reply
        life.until_idle()

    def check(self, first: str) -> None:
        """Everybody's email has ended, the first one's like this, and nobody got two."""
        ends = list(Delivery.objects.order_by("pk").values_list("status", flat=True))
        assert ends == [first] + ["sent"] * (N_PEOPLE - 1)
        recipients = [taken.rcpt_to for taken in self.server.accepted]
        assert len(recipients) == len(set(recipients))
        assert set(recipients) >= set(
            Delivery.objects.filter(status="sent").values_list("subscriber__email_address", flat=True)
        )
        assert not Enrollment.objects.filter(in_flight=True).exists()


@pytest.fixture
def scene(tmp_path: Path, settings: Any) -> Iterator[Scene]:
    with scripted() as server:
        place = Place(connection.settings_dict["NAME"], tmp_path, f"{server.url}&connections=1")
        settings.DRIPSTONE_DATA, settings.DRIPSTONE_MAIL_URL = place.data, place.mail_url
        process.close()
        yield Scene(server, place)
        process.close()


def test_killed_once_claimed(scene: Scene) -> None:
    planned(N_PEOPLE)
    scene.work_and_die(doomed.die_once_claimed)
    scene.go_on()
    scene.check(first="sent")


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_killed_at_a_command_before_the_body(scene: Scene, verb: str) -> None:
    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == verb:
            scene.kill()
        return None

    planned(N_PEOPLE)
    scene.server.script.reply = reply
    scene.work_and_die()
    scene.go_on()
    scene.check(first="sent")


@pytest.mark.parametrize("n_bytes", [3000, None], ids=["and the rest never arrives", "and the rest arrives"])
def test_killed_in_the_middle_of_its_body(scene: Scene, n_bytes: int | None) -> None:
    def body_begins(recipient: str) -> None:
        if len(scene.server.started) == 1:
            scene.kill()

    planned(N_PEOPLE, f"<p>{'drop ' * 2000}</p>")
    scene.server.script.body_begins = body_begins
    if n_bytes is not None:
        scene.server.script.cut_after_received[0] = n_bytes
    scene.work_and_die()
    until(lambda: not scene.server.open)
    assert len(scene.server.accepted) == (1 if n_bytes is None else 0)
    scene.go_on()
    scene.check(first="unknown")


def test_killed_when_the_body_is_out(scene: Scene) -> None:
    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == "BODY":
            scene.kill()
        return None

    planned(N_PEOPLE)
    scene.server.script.reply = reply
    scene.work_and_die()
    until(lambda: len(scene.server.accepted) == 1)  # nobody will ever tell the worker
    scene.go_on()
    scene.check(first="unknown")


@pytest.mark.parametrize("harm", ["emptied", "cut", "scrambled", "removed"])
def test_killed_and_its_flight_log_came_to_harm(scene: Scene, harm: str) -> None:
    """Whatever the file has lost: nobody gets the email twice."""

    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == "BODY" and len(scene.server.started) == 2:
            scene.kill()
        return None

    planned(N_PEOPLE)
    scene.server.script.reply = reply
    scene.work_and_die()
    until(lambda: len(scene.server.accepted) == 2)
    (path,) = scene.place.flights.iterdir()
    content = path.read_bytes()
    match harm:
        case "emptied":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "scrambled":
            path.write_bytes(bytes(each ^ 0x55 for each in content))
        case "removed":
            path.unlink()
    scene.go_on()
    rescue.abandoned(scene.place.flights, clock.now() + claim.LEASE)
    assert statuses() == ["sent" if harm == "cut" else "unknown", "unknown", "unknown"]
    assert len(scene.server.accepted) == 2


def test_killed_with_the_reply_read_and_nothing_recorded(scene: Scene) -> None:
    planned(N_PEOPLE)
    with doomed.worker(doomed.send_a_batch, scene.place) as worker, transaction.atomic():
        list(Enrollment.objects.select_for_update().values_list("pk"))  # recording waits for us
        until(lambda: list(flight.read(scene.place.flights).flights.values()) == ["sent"] * N_PEOPLE)
        doomed.kill(worker)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sending"}
    scene.go_on()
    scene.check(first="sent")
    assert Edition.objects.count() == 1  # made, and not recorded: the flight log knows nothing of it
    assert set(Delivery.objects.values_list("edition", flat=True)) == {None}


def kill_at_commit(
    scene: Scene,
    work: Callable[[], None],
    waits: AbstractContextManager[Callable[[], list[int]]],
    *,
    is_committed: bool,
) -> None:
    """Kills the worker while its commit waits; `is_committed`: PostgreSQL goes on with it all the same."""
    with doomed.worker(work, scene.place) as worker, waits as waiting:
        until(lambda: bool(waiting()))
        doomed.kill(worker)
        if not is_committed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", [waiting()])
    until(lambda: not waiting())


@pytest.mark.parametrize("is_committed", [False, True])
def test_killed_while_the_outcome_is_committed(scene: Scene, is_committed: bool) -> None:
    planned(N_PEOPLE)
    kill_at_commit(scene, doomed.send_a_batch, commits_that_wait(), is_committed=is_committed)
    until(lambda: set(statuses()) == {"sent" if is_committed else "sending"})
    scene.go_on()
    scene.check(first="sent")


@pytest.mark.parametrize("is_committed", [False, True])
def test_killed_while_many_sequences_are_planned_at_once(scene: Scene, is_committed: bool) -> None:
    due(N_PEOPLE)
    waits = commits_that_wait("INSERT", "NEW.status = 'planned'")
    kill_at_commit(scene, doomed.plan_everything, waits, is_committed=is_committed)
    until(lambda: statuses() == ["planned"] * (N_PEOPLE if is_committed else 0))
    scene.go_on()
    scene.check(first="sent")


@pytest.mark.parametrize("is_committed", [False, True])
def test_killed_while_a_claim_of_several_accounts_is_committed(scene: Scene, is_committed: bool) -> None:
    due(N_PEOPLE)
    plan.everything_due(clock.now())
    waits = commits_that_wait("UPDATE", "NEW.status = 'sending'")
    kill_at_commit(scene, doomed.send_a_batch, waits, is_committed=is_committed)
    until(lambda: set(statuses()) == {"sending" if is_committed else "planned"})
    scene.go_on()
    scene.check(first="sent")


@pytest.mark.parametrize("n_statements", range(1, 40, 3))
def test_killed_with_two_batches_on_their_way(scene: Scene, n_statements: int) -> None:
    """Right before one statement or another: of a claim, a rendering, a record; another batch is on the wire."""
    n_people = 12
    planned(n_people)
    with doomed.worker(doomed.send_side_by_side_and_die_at, scene.place, n_statements) as worker:
        worker.join(60)
        assert worker.exitcode == -9
    until(lambda: not scene.server.open)
    scene.go_on()
    taken = [one.rcpt_to for one in scene.server.accepted]
    assert len(taken) == len(set(taken))
    ends = statuses()
    assert ends.count("unknown") <= 1  # there is one connection
    assert ends.count("sent") + ends.count("unknown") == n_people
    assert len(taken) >= ends.count("sent")
    assert not Enrollment.objects.filter(in_flight=True).exists()


# --- Notices, at the same points --------------------------------------------------------------------------------


def check_notices(scene: Scene, first: str) -> None:
    """As of all deliveries; and what was said is kept for just those that may have to go again."""
    scene.check(first)
    kept = Notice.objects.exclude(message=b"").values_list("pk", flat=True)
    assert set(kept) == set(Delivery.objects.filter(status="unknown").values_list("notice", flat=True))


def test_notices_killed_once_claimed(scene: Scene) -> None:
    asked(N_PEOPLE)
    scene.work_and_die(doomed.die_once_claimed)
    scene.go_on()
    check_notices(scene, first="sent")


@pytest.mark.parametrize(("verb", "first"), [("DATA", "sent"), ("BODY", "unknown")])
def test_notices_killed_on_the_way(scene: Scene, verb: str, first: str) -> None:
    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == verb:
            scene.kill()
        return None

    asked(N_PEOPLE)
    scene.server.script.reply = reply
    scene.work_and_die()
    until(lambda: len(scene.server.accepted) == (1 if verb == "BODY" else 0))
    scene.go_on()
    check_notices(scene, first)


def test_notices_killed_with_the_reply_read_and_nothing_recorded(scene: Scene) -> None:
    asked(N_PEOPLE)
    with doomed.worker(doomed.send_a_batch, scene.place) as worker, transaction.atomic():
        list(Notice.objects.select_for_update().values_list("pk"))  # recording waits for us
        until(lambda: list(flight.read(scene.place.flights).flights.values()) == ["sent"] * N_PEOPLE)
        doomed.kill(worker)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sending"}
    scene.go_on()
    check_notices(scene, first="sent")


@pytest.mark.parametrize("is_committed", [False, True])
def test_notices_killed_while_the_outcome_is_committed(scene: Scene, is_committed: bool) -> None:
    asked(N_PEOPLE)
    kill_at_commit(scene, doomed.send_a_batch, commits_that_wait(), is_committed=is_committed)
    until(lambda: set(statuses()) == {"sent" if is_committed else "sending"})
    scene.go_on()
    check_notices(scene, first="sent")


def statuses() -> list[str]:
    return list(Delivery.objects.values_list("status", flat=True))


COMMIT_LOCK = 4711


@contextmanager
def commits_that_wait(
    change: str = "UPDATE", such_that: str = "NEW.ended_at IS NOT NULL"
) -> Iterator[Callable[[], list[int]]]:
    """Inside, a transaction that has changed a delivery like this (by default, ended it) waits in its COMMIT. Yields:
    the backends that do."""

    def waiting() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
                           [COMMIT_LOCK])  # fmt: skip
            return [row[0] for row in cursor.fetchall()]

    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({COMMIT_LOCK}); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER wait_for_test AFTER {change} ON engine_delivery
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({such_that}) EXECUTE FUNCTION wait_for_test();
            SELECT pg_advisory_lock({COMMIT_LOCK})
            """
        )
        try:
            yield waiting
        finally:
            cursor.execute(f"SELECT pg_advisory_unlock({COMMIT_LOCK})")
            until(lambda: not waiting())
            cursor.execute("DROP FUNCTION wait_for_test CASCADE")
