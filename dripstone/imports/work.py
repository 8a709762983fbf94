"""Works through imports: batch after batch, each account in its turn, and a rest between batches while mail is due.

Takes       imports that are to be read, run or undone, and what is left of those that have ended
Leaves      the same a batch further
A crash here means that the batch at hand was not done: it begins again. What it did and the import's place in its file
are one transaction.

The accounts that wait take turns, a batch each; an account's imports are worked off one after the other, in the order
in which they were begun. Several processes may do this beside each other: an import that runs is worked off by all of
them (running.py), what else is to be done by one at a time, which locks the import.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction

from dripstone.engine import process, queries, virtual
from dripstone.engine.models import Delivery
from dripstone.imports import reading, running, undoing
from dripstone.imports.models import Import, Piece, Row
from dripstone.postgresql.deadlocks import is_deadlock

log = structlog.get_logger(__name__)

REST = 1.0  # times as long as a batch took, while mail is due: sending shares the machine
SOON = timedelta(seconds=5)
PIECES = 100  # bytes of a file that go at a time: some 100 MB
TRIES = 3  # of a batch that meets a mistake of ours
OUR_MISTAKE = "Something went wrong on our side. What it had done until then stays."

Now = Callable[[], datetime]

_WAITS = "(state IN ('reading', 'running', 'undoing') OR (is_staged AND state IN ('done', 'cancelled', 'failed')))"
# Purpose: the first import of each account that waits, of the account whose last turn was longest ago; this is its
# turn. Partial index import_waiting, which has the few that wait.
_TAKE_TURN = f"""
WITH first AS (
    SELECT DISTINCT ON (account_id) account_id, id FROM imports_import WHERE {_WAITS} ORDER BY account_id, id),
turn AS (
    SELECT first.account_id, first.id FROM first LEFT JOIN imports_turn USING (account_id)
    ORDER BY turn_at NULLS FIRST, account_id LIMIT 1),
taken AS (
    INSERT INTO imports_turn (account_id, turn_at) SELECT account_id, clock_timestamp() FROM turn
    ON CONFLICT (account_id) DO UPDATE SET turn_at = EXCLUDED.turn_at)
SELECT id, account_id FROM turn
"""  # noqa: S608
_IS_SENDING = "SELECT EXISTS (SELECT FROM engine_delivery WHERE status = 'sending')"


def work(now: Now, seconds: float) -> bool:
    """For so many seconds, one batch at least. Whether there is more to do; not what other processes are at."""
    end_at = time.monotonic() + seconds
    taken: set[int] = set()  # accounts another process works for
    while not process.is_retiring():
        found = take_turn()
        if found is None or found[1] in taken:
            return False
        began = time.monotonic()
        if step(found[0], now):
            taken.clear()
            if is_mail_due(now()):
                time.sleep(REST * (time.monotonic() - began))
        else:
            taken.add(found[1])
        if time.monotonic() > end_at:
            break
    return True


def until_idle(now: Now) -> None:
    """All that waits, without a rest."""
    while (found := take_turn()) is not None:
        step(found[0], now, is_patient=True)


def next_instant(after: datetime) -> None:
    """None: they wait for no instant."""


def take_turn() -> tuple[int, int] | None:
    """The ids of the import whose turn it is, and of its account."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN)
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def step(import_id: int, now: Now, *, is_patient: bool = False) -> bool:
    """The next batch of it. False: other processes are at it, or it waits no more; `is_patient` waits for that."""
    try:
        with virtual.turn(), transaction.atomic():
            return _step(import_id, now(), is_patient)
    except running.StoppedError:
        log.info("import_batch_stopped", import_id=import_id)
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("import_batch_waits", import_id=import_id)  # somebody holds what we need; it has its next turn
    except Exception as error:
        log.error("import_batch_failed", exc_info=error, import_id=import_id)
        _stumble(import_id, now())
    return True


def _step(import_id: int, now: datetime, is_patient: bool) -> bool:
    if import_ := Import.objects.filter(pk=import_id, state=Import.State.RUNNING).first():
        return running.step(import_, now, is_patient=is_patient)
    rows = Import.objects.select_for_update(skip_locked=not is_patient, no_key=True)
    import_ = rows.filter(pk=import_id).first()
    if import_ is None:
        return False
    match import_.state:
        case Import.State.READING:
            reading.step(import_, now)
        case Import.State.UNDOING if not import_.is_staged:
            undoing.step(import_, now)
        case Import.State.UNDOING | Import.State.DONE | Import.State.CANCELLED | Import.State.FAILED:
            return _sweep(import_)
    return True


def _sweep(import_: Import) -> bool:
    """Some of what an import that has ended needs no more: rows that were not done, then bytes. False: the rows that
    are left are in the hands of batches that will find it stopped."""
    if reading.clear_rows(import_):
        return True
    if Row.objects.filter(of_import_id=import_.pk).exists():
        return False
    numbers = Piece.objects.filter(of_import_id=import_.pk).order_by("number").values_list("number", flat=True)[:PIECES]
    n_gone, _ = Piece.objects.filter(of_import_id=import_.pk, number__in=list(numbers)).delete()
    if n_gone < PIECES:
        import_.is_staged = False
        import_.save(update_fields=["is_staged"])
        log.info("import_ended", import_id=import_.pk, state=import_.state, n_made=import_.n_made)
    return True


def _stumble(import_id: int, now: datetime) -> None:
    """The batch is tried again, and then the import fails: it must not stand in the way of others for ever."""
    with transaction.atomic():
        import_ = Import.objects.select_for_update(no_key=True).filter(pk=import_id).first()
        if import_ is None or import_.state not in Import.WORKING:
            return
        import_.n_stumbles += 1
        if import_.n_stumbles >= TRIES:
            import_.state, import_.why = Import.State.FAILED, OUR_MISTAKE
            import_.ended_at = import_.ended_at or now
        import_.save(update_fields=["n_stumbles", "state", "why", "ended_at"])


def is_mail_due(now: datetime) -> bool:
    """Some is on its way, or will be at once."""
    values: dict[str, Any] = {"after": queries.BEFORE_ALL, "opens_at": now, "parked": Delivery.PARKED}
    with connection.cursor() as cursor:
        cursor.execute(_IS_SENDING)
        if cursor.fetchone()[0]:
            return True
        cursor.execute(queries.NEXT_INSTANT, values)
        instant = cursor.fetchone()[0]
    return instant is not None and instant <= now + SOON
