"""Events as an outbox, with real commits and several connections: nothing is passed over, nothing comes twice."""

import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from django.db import OperationalError, connection

from dripstone import embedded
from dripstone.events import reading
from dripstone.events.models import Event, Number, Numbering
from tests.events.writing import connect, happened, read, write, writers
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_events_are_read_once_and_in_order() -> None:
    happened("a", "b", "c")
    assert (read(limit=2), read(limit=2), read(limit=2)) == (["a", "b"], ["c"], [])
    happened("d")
    assert read() == ["d"]


def test_a_transaction_that_commits_late_is_not_passed_over() -> None:
    with writers(2) as (slow, quick):
        write(slow, "early id, late commit")
        write(quick, "late id, early commit")
        quick.commit()
        assert read() == ["late id, early commit"]
        assert read() == []
        slow.commit()
        assert read() == ["early id, late commit"]


def test_it_may_be_late_by_any_number_of_passes() -> None:
    with writers(1) as (slow,):
        write(slow, "late")
        for _ in range(5):
            happened("meanwhile")
            assert read() == ["meanwhile"]
        assert read() == []
        slow.commit()
        assert read() == ["late"]
    assert read() == []


def test_what_was_numbered_while_an_earlier_event_was_late_is_not_numbered_twice() -> None:
    with writers(1) as (slow,):
        write(slow, "late")
        for kind in ("a", "b"):
            happened(kind)
            assert read() == [kind]
        slow.commit()
    assert read() == ["late"]
    for kind in ("c", "d", "e"):
        happened(kind)
        assert read() == [kind]


def test_what_was_rolled_back_is_never_read_and_holds_nobody_up() -> None:
    with writers(1) as (failing,):
        write(failing, "never")
        happened("a")
        assert read() == ["a"]
        failing.rollback()
        happened("b")
        assert (read(), read()) == (["b"], [])


def test_a_pass_looks_no_further_back_than_it_must() -> None:
    """As soon as nobody writes who wrote then: what is numbered is not looked at any more."""
    with writers(1) as (slow,):
        write(slow, "late")
        happened("a", "b")
        reading.number_visible()
        assert Numbering.objects.get().settled_event == 0
        slow.commit()
    reading.number_visible()
    reading.number_visible()
    assert Numbering.objects.get().settled_event == Event.objects.latest("pk").pk


def test_two_events_of_one_person_keep_their_order() -> None:
    """The writer that waits for the person's lock gets its id after the other one has committed."""
    with writers(2) as (first, second):
        first.execute("SELECT pg_advisory_xact_lock(1)")  # in the place of the person's row
        write(first, "first")

        def follow() -> None:
            second.execute("SELECT pg_advisory_xact_lock(1)")
            write(second, "second")
            second.commit()

        waiting = threading.Thread(target=follow)
        waiting.start()
        assert read() == []
        first.commit()
        waiting.join()
    assert read() == ["first", "second"]


def test_two_readers_go_each_at_their_own_pace() -> None:
    happened("a", "b", "c")
    assert read("rules", limit=1) == ["a"]
    assert read("webhooks") == ["a", "b", "c"]
    assert read("rules") == ["b", "c"]


def test_two_processes_of_one_reader_share_the_events() -> None:
    happened(*(f"{number:03}" for number in range(200)))

    def read_to_the_end() -> list[str]:
        found: list[str] = []
        while kinds := read(limit=7):
            found += kinds
        return found

    parts = together(read_to_the_end, 4)
    assert sorted(kind for part in parts for kind in part) == [f"{number:03}" for number in range(200)]


def test_who_begins_to_read_begins_now() -> None:
    happened("before")
    with reading.following("webhooks") as events:
        assert events == []
    happened("after")
    with reading.following("webhooks") as events:
        assert [event.type for event in events] == ["after"]


def test_what_began_before_a_reader_and_commits_after_it_is_read() -> None:
    with writers(1) as (slow,):
        write(slow, "late")
        with reading.following("webhooks") as events:
            assert events == []
        slow.commit()
    with reading.following("webhooks") as events:
        assert [event.type for event in events] == ["late"]


def test_an_error_gives_the_batch_back_with_what_was_done_about_it() -> None:
    def fail() -> None:
        with reading.following("rules", 1, start="first") as events:
            assert [event.type for event in events] == ["a"]
            happened("done about a")
            raise RuntimeError

    happened("a", "b")
    with pytest.raises(RuntimeError):
        fail()
    assert read() == ["a", "b"]


def test_a_kill_in_the_middle_repeats_the_batch_exactly() -> None:
    def be_killed() -> None:
        with reading.following("rules", 2, start="first") as events:
            assert [event.type for event in events] == ["a", "b"]
            happened("done about a")
            _cut(connection.connection.info.backend_pid)

    happened("a", "b", "c")
    with pytest.raises(OperationalError):
        be_killed()
    connection.close()
    assert (read(limit=2), read()) == (["a", "b"], ["c"])


def test_a_kill_while_events_are_numbered_leaves_them_to_the_next() -> None:
    happened("a", "b")
    with connect() as other:
        other.execute("SELECT 1 FROM events_numbering FOR UPDATE")
        other.execute("INSERT INTO events_number VALUES (1, 1), (2, 2)")
        _cut(other.info.backend_pid)
        other.close()
    assert read() == ["a", "b"]


def _cut(backend_pid: int) -> None:
    """Ends a connection from outside, as a kill of its process would."""
    with connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend_pid])


def test_passes_of_any_size_number_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PASS", 3)
    kinds = [f"{number:02}" for number in range(20)]
    with writers(1) as (slow,):
        for number in range(4):
            write(slow, f"late {number}")
        happened(*kinds)
        assert (read(limit=50), read()) == (kinds, [])
        slow.commit()
    assert read() == [f"late {number}" for number in range(4)]
    assert list(Number.objects.values_list("pk", flat=True)) == list(range(1, 25))


def test_numbers_go_on_when_the_events_have_been_pruned() -> None:
    happened("a", "b")
    assert read() == ["a", "b"]
    Event.objects.all().delete()
    Number.objects.all().delete()
    happened("c")
    assert read() == ["c"]
    assert Number.objects.get().pk == 3


def test_a_reader_steps_over_what_was_pruned_before_it_came() -> None:
    happened("a", "b", "c")
    reading.number_visible()
    Event.objects.filter(type__in=["a", "b"]).delete()
    assert (read(limit=1), read()) == (["c"], [])


def test_a_dump_restored_into_a_fresh_cluster_goes_on_where_it_stood() -> None:
    """Whose transaction ids start over, and which knows nothing of who was writing."""
    happened("a", "b", "c")
    assert read(limit=2) == ["a", "b"]
    with writers(1) as (slow,), TemporaryDirectory() as folder, embedded.throwaway() as fresh:
        write(slow, "lost: not committed when the dump was made")
        happened("d")
        reading.number_visible()
        _restore(_dump(Path(folder)), fresh)
        with psycopg.connect(fresh) as restored:
            write(restored, "e")
        assert _read_elsewhere(fresh) == ["c", "d", "e"]
        assert _read_elsewhere(fresh) == []
    assert read() == ["c", "d"]


def _dump(folder: Path) -> Path:
    made = connection.get_connection_params()
    url = psycopg.conninfo.make_conninfo(**{k: made[k] for k in ("host", "port", "user", "dbname") if made.get(k)})
    _run("pg_dump", "--format=custom", f"--file={folder / 'dump'}", url, password=made.get("password") or "")
    return folder / "dump"


def _restore(dump: Path, url: str) -> None:
    _run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", str(dump))


def _run(program: str, *arguments: str, password: str = "") -> None:
    environment = os.environ | {"PGPASSWORD": password}
    subprocess.run([embedded.programs() / program, *arguments], env=environment, check=True, timeout=120)


_READ = """
import django; django.setup()
from tests.events.writing import read
print(*read(), sep="\\n", end="")
"""


def _read_elsewhere(url: str) -> list[str]:
    """As a process that is started on the other cluster."""
    environment = os.environ | {"DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-c", _READ], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split("\n") if done.stdout else []


def test_what_happened_before_there_were_numbers_is_read_by_nobody() -> None:
    """As on the upgrade. A reader that begins at the first event gets what has happened since."""
    migration = import_module("dripstone.events.migrations.0003_numbers")
    happened("long ago")
    Numbering.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(migration.BEGIN)
    happened("since")
    assert read() == ["since"]
