"""What the benchmarks share: a database with production settings, people by the million, measuring, reporting."""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from dripstone import embedded

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.sequences import models as sequences

PATIENCE_SECONDS = 1800

Figures = Mapping[str, float | int | str | None]

out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def arguments(description: str) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes: only to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser


# --- The database -----------------------------------------------------------------------------------------------


@contextmanager
def database(**environment: str) -> Iterator[None]:
    """Django on a fresh, migrated database, gone afterwards. Child processes find it through the environment.

    On the embedded PostgreSQL as `dripstone up` runs it (fsync on), its files in TMPDIR; with DATABASE_URL in a new
    database on that server, whose user must be allowed to make one. `environment`: further settings of Dripstone.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped
    with tempfile.TemporaryDirectory(prefix="dripstone-bench-") as folder, _server(Path(folder)) as url:
        for name in [name for name in os.environ if name.startswith("DRIPSTONE_")]:
            del os.environ[name]
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "dripstone.settings",
            "DATABASE_URL": url,
            "DRIPSTONE_DATA": folder,
            "DRIPSTONE_URL": "https://mail.example.com",
            "DRIPSTONE_LOG_LEVEL": "warning",
            "DRIPSTONE_SECRET_KEY": "a benchmark has nothing to hide " * 2,
            **environment,
        }
        django.setup()
        from django.db import connections

        from dripstone.ops import schema

        try:
            schema.migrate(lambda _: None)
            yield
        finally:
            connections.close_all()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    if given := os.environ.get("DATABASE_URL"):
        name = f"dripstone_bench_{os.getpid()}"
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
            try:
                yield urlsplit(given)._replace(path=f"/{name}").geturl()
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    else:
        with embedded.running(folder):
            yield embedded.url(folder)


def execute(sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Runs a statement on Django's connection and returns its rows, if it is one that has rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


# --- Rows -------------------------------------------------------------------------------------------------------


def make_account() -> "Account":
    """An account with its sending address, a custom field `city`, two snippets and a template."""
    from dripstone.accounts.models import Account, SendingAddress
    from dripstone.content.models import EmailTemplate, Snippet
    from dripstone.subscribers.models import CustomField

    now = datetime.now(UTC)
    address = "alice@news.example.com"
    account = Account.objects.create(
        name="Alice", primary_email_address=address, postal_address="1 Long Lane, Springfield", created_at=now
    )
    SendingAddress.objects.create(
        account=account, email_address=address, from_name="Alice’s letters", is_default=True, created_at=now
    )
    CustomField.objects.create(account=account, label="City", key="city", name="ck_field_1_city", created_at=now)
    stamps = {"account": account, "created_at": now, "updated_at": now}
    Snippet.objects.create(name="Greeting", key="greeting", snippet_type="inline", content=GREETING, **stamps)
    Snippet.objects.create(name="Signature", key="signature", snippet_type="block", value_html=SIGNATURE, **stamps)
    EmailTemplate.objects.create(name="Letter", html=TEMPLATE, is_default=True, **stamps)
    return account


def make_sequence(account: "Account", name: str, *, active: bool = True) -> "sequences.Sequence":
    """Three emails: at once, after a day, after a week; 8 KB each as messages."""
    from dripstone.sequences.models import Sequence as Course
    from dripstone.sequences.models import SequenceEmail

    now = datetime.now(UTC)
    stamps = {"account": account, "created_at": now, "updated_at": now}
    sequence = Course.objects.create(
        name=name,
        active=active,
        sending_address=account.sending_addresses.get(),
        send_hour=9,
        time_zone="America/New_York",
        **stamps,
    )
    for position, delay in enumerate((0, 1, 7)):
        SequenceEmail.objects.create(
            sequence=sequence,
            subject="{{ subscriber.first_name }}, " + f"letter {position + 1}: water wears the stone",
            preview_text="What a drop can do, {{ subscriber.first_name }}",
            content=CONTENT,
            position=position,
            delay_value=delay,
            delay_unit="days",
            published=True,
            **stamps,
        )
    return sequence


def empty() -> None:
    """Deletes all people, and everything that happened to them."""
    execute(
        "TRUNCATE subscribers_subscriber, subscribers_nameword, engine_enrollment, engine_entry, engine_delivery,"
        " tallies_tally, events_event, tracking_response, procrastinate_jobs CASCADE"
    )


def add_people(account: "Account", n_people: int, prefix: str = "reader") -> int:
    """Active subscribers with a first name and a city. Returns the lowest id; the ids have no gaps.

    prefix  of their addresses: another one for more people of the same account
    """
    rows = execute(
        """
        WITH made AS (
            INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields,
                                                created_at, updated_at)
            SELECT %(account)s, %(prefix)s || i || '@example.org',
                   (ARRAY['Ana', 'Björn', 'Chioma', 'Đorđe', 'Emma', 'Farid', 'Grace'])[1 + i %% 7], 'active',
                   jsonb_build_object(%(field)s::text, (ARRAY['Łódź', 'Lagos', 'Leeds'])[1 + i %% 3]),
                   %(now)s, %(now)s
            FROM generate_series(1, %(n)s) i RETURNING id)
        SELECT min(id) FROM made
        """,
        {
            "account": account.pk,
            "field": str(account.custom_fields.get().pk),
            "n": n_people,
            "prefix": prefix,
            "now": datetime.now(UTC) - timedelta(days=30),
        },
    )
    lowest: int = rows[0][0]
    return lowest


# Every subscriber's place: who is the n-th of them is known from the id. `sequence` and `due` are SQL over `n`.
_ENROLL = """
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, removed_reason)
SELECT {account}, s.id, p.id, 'active', 1, 'api', p.created_at, p.created_at, e.id, {due}, false, ''
FROM (SELECT id, created_at, id - {lowest} AS n FROM subscribers_subscriber WHERE id >= {lowest}) p
JOIN sequences_sequence s ON s.id = {sequence}
JOIN sequences_sequenceemail e ON e.sequence_id = s.id AND e.position = {position}
ORDER BY p.id
"""


def enroll_everybody(account: "Account", lowest: int, sequence: str, due: str, position: int = 0) -> None:
    """A place for every subscriber from id `lowest` on.

    sequence, due  SQL for the sequence's id and the due date, over `n`: 0 for the first subscriber, 1 for the next
    position       of the email that is due; those before it are passed over, as if the person had come by import
    """
    execute(_ENROLL.format(account=account.pk, lowest=lowest, sequence=sequence, due=due, position=position))


def make_due(account: "Account", n_messages: int) -> None:
    """One sequence in which everybody is due for the first of three emails, one after the other."""
    from dripstone.sequences.models import Sequence as Course

    Course.objects.update(active=False)
    sequence = make_sequence(account, "Course")
    lowest = add_people(account, n_messages)
    due = f"now() - interval '1 minute' + n * interval '{30 / n_messages:.9f} seconds'"
    enroll_everybody(account, lowest, str(sequence.pk), due)


def settle() -> None:
    """Statistics and visibility as autovacuum would have left them, and the checkpoint's cost behind us."""
    execute("VACUUM (ANALYZE) subscribers_subscriber, engine_enrollment, engine_delivery, procrastinate_jobs")
    checkpoint()


def checkpoint() -> None:
    _as_superuser("CHECKPOINT")


@contextmanager
def without_key_checks() -> Iterator[None]:
    """Foreign keys are not checked for rows made inside (what we make fits): seeding takes half the time."""
    _as_superuser("SET session_replication_role = replica")
    yield
    _as_superuser("SET session_replication_role = origin")


def restart_server(mode: str) -> None:
    """Stops PostgreSQL (fast: connections are cut, then a clean stop; immediate: as in a crash) and starts it again.

    A server of yours, found by DATABASE_URL, is left running: all connections to the database are cut instead.
    """
    folder = Path(os.environ["DRIPSTONE_DATA"])
    if (folder / "postgres").exists():
        embedded.restart(folder, mode)
    else:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _as_superuser(statement: str) -> None:
    """Does nothing on a server of yours where we are no superuser."""
    from django.db import Error

    with suppress(Error):
        execute(statement)


# --- Processes --------------------------------------------------------------------------------------------------


@contextmanager
def stopping(processes: Sequence[Any]) -> Iterator[None]:
    """All of them end with the block."""
    try:
        yield
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
        for process in processes:
            if process.pid is not None:
                process.wait(30) if isinstance(process, subprocess.Popen) else process.join(30)


def until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up_at, "nothing happens any more"
        time.sleep(0.05)


def n_listening() -> int:
    from dripstone.ops import worker

    n_queues: int = execute(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '10 seconds'"
    )[0][0]
    return n_queues // len(worker.threads())  # each process registers once for each of its queues


# --- Measuring --------------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """Seconds. `server` is PostgreSQL's CPU, 0 when it runs on another machine."""

    wall: float = 0.0
    python: float = 0.0
    server: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """What the block costs, in this process and in the database server."""
    cost = Cost()
    wall, python, server = time.perf_counter(), time.process_time(), server_cpu_seconds()
    yield cost
    cost.wall = time.perf_counter() - wall
    cost.python = time.process_time() - python
    cost.server = server_cpu_seconds() - server


def server_cpu_seconds() -> float:
    """CPU the embedded PostgreSQL has used up to now, all of its processes; 0 when the server is another one."""
    try:
        pid = int((Path(os.environ["DRIPSTONE_DATA"]) / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        postmaster = psutil.Process(pid)
    except (OSError, psutil.Error):
        return 0.0
    total = sum(postmaster.cpu_times()[:4])  # with its ended children
    for backend in postmaster.children():
        try:
            total += sum(backend.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def peak_memory_mb() -> float:
    """This process's highest resident memory, MB. Linux counts the parent's into ru_maxrss, up to the exec."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "linux" else 1024) / 1024


def peak_memory_mb_of(pid: int) -> float:
    """Another process's highest resident memory, MB; what it has now where the system does not keep the highest."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def process_cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


# --- Reporting --------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """Tables on the screen as they come, and the same figures as JSON at the end."""

    name: str
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=lambda: machine())

    def __post_init__(self) -> None:
        out.print(" · ".join(f"{name} {value}" for name, value in self.machine.items()), style="dim")

    def table(self, title: str, rows: Sequence[Figures]) -> None:
        """One row per line, with the columns of the first."""
        self.tables[title] = [dict(row) for row in rows]
        shown = Table(title=title, title_justify="left", title_style="bold")
        for number, name in enumerate(rows[0]):
            shown.add_column(name, justify="left" if number == 0 else "right")
        for row in rows:
            shown.add_row(*(_text(value) for value in row.values()))
        out.print(shown)

    def save(self, path: Path | None) -> None:
        if path is not None:
            figures = {"benchmark": self.name, "machine": self.machine, "tables": self.tables}
            path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def _text(value: float | int | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def machine() -> dict[str, Any]:
    """What the figures depend on. `load`: of the minute before, which should be near 0."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


# --- The letter: with everything a real one has, about 8 KB as a message ------------------------------------------

GREETING = "Dear {{ subscriber.first_name | default: 'friend' }}"
SIGNATURE = (
    '<p style="margin:24px 0 0">Yours,<br><b>Alice</b><br>'
    '<a href="https://www.example.com/?city={{ subscriber.city }}">www.example.com</a></p>'
)
TEMPLATE = """<!doctype html>
<html><head><meta charset="utf-8"><title>Letter</title>
<style>body { margin: 0; font-family: Georgia, serif } .box { max-width: 600px; margin: 0 auto; padding: 24px }
h2 { font-size: 20px; color: #234 } .foot { color: #777; font-size: 12px }</style></head>
<body><div class="box">{{ message_content }}</div>
<div class="box foot"><p>You get this because you asked for it in {{ subscriber.city }}. {{ unsubscribe_link }}</p>
<p>{{ address }}</p></div></body></html>"""
_PARAGRAPH = (
    "<h2>Drop by drop</h2><p>A drop falls, and leaves behind a ring of lime thinner than a breath. The next one falls "
    "on the same spot – it has nowhere else to go – and after a hundred years there is a stone as long as a finger. "
    'Nobody pushed it. <a href="https://www.example.com/caves?from=letter">Read on</a> about the caves, where the '
    "air has not moved since the ice went, and where the guide puts out the lamp so that you can hear it work.</p>\n"
)
CONTENT = (
    "<p>{{ snippet.greeting }},</p>\n"
    + _PARAGRAPH * 2
    + "{% if subscriber.city %}<p>The next evening in {{ subscriber.city }} is on Thursday.</p>{% endif %}\n"
    + _PARAGRAPH * 3
    + "{{ snippet.signature }}"
)
