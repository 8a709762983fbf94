"""Works through jobs and actions: batch after batch, each account in its turn, and between batches a rest.

Takes       jobs with their entries in batches, and the table of operations; actions on people (acting.py)
Leaves      entries that are done, failures of the others, and a callback when it was asked for
A crash here means that the batch at hand was not done: it begins again. What it did, its failures, what the callback
will say of it and the job's place among its entries are one transaction.

The accounts that wait take turns, one batch each; an account's jobs and actions are done one after the other, in the
order in which they were asked for. Several processes may do this beside each other, each for other accounts.
docs/reference/life-of-a-bulk-job.md and life-of-a-bulk-action.md have the states, docs/decisions/bulk-jobs.md the
reasons.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from pydantic_core import to_json

from dripstone.bulk import acting, line
from dripstone.bulk.models import Batch, BulkAction, Failure, Job
from dripstone.bulk.outcomes import Entry, Failed, Operation, Outcome
from dripstone.calls import queue
from dripstone.engine import process, virtual
from dripstone.engine.acts import bulk_answers
from dripstone.errors import Invalid
from dripstone.postgresql.deadlocks import is_deadlock

log = structlog.get_logger(__name__)

REST = 0.5  # times as long as a batch took: sending shares the process
LARGEST_CALLBACK = 64_000_000  # bytes
OUR_MISTAKE = Failed(["Something went wrong on our side"])

Operations = Mapping[str, Operation]
Now = Callable[[], datetime]

# Purpose: whose turn it is. bulk_line_by_turn, a row.
_TAKE_TURN = """
UPDATE bulk_line SET turn_at = clock_timestamp()
WHERE account_id = (SELECT account_id FROM bulk_line WHERE n_jobs > 0 ORDER BY turn_at, account_id LIMIT 1
                    FOR UPDATE SKIP LOCKED)
RETURNING account_id
"""


def work(operations: Operations, now: Now, seconds: float) -> bool:
    """For so many seconds, one batch at least. Whether there is more to do; not what other processes are at."""
    end_at = time.monotonic() + seconds
    taken: set[int] = set()  # accounts another process works for
    while not process.is_retiring():
        account_id = take_turn()
        if account_id is None or account_id in taken:
            return False
        began = time.monotonic()
        if step(operations, account_id, now):
            taken.clear()
            time.sleep(REST * (time.monotonic() - began))
        else:
            taken.add(account_id)
        if time.monotonic() > end_at:
            break
    return True


def finish(operations: Operations, account_id: int, now: Now) -> None:
    """All jobs and actions of the account, without a rest."""
    while step(operations, account_id, now, is_patient=True):
        pass


def take_turn() -> int | None:
    """The account that has waited longest since its last turn, as far as something waits; this is its turn."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN)
        row = cursor.fetchone()
    return row[0] if row else None


def step(operations: Operations, account_id: int, now: Now, *, is_patient: bool = False) -> bool:
    """The next batch of what is the account's next, or its end. False: there is none, or another process is at it;
    `is_patient` waits for that."""
    try:
        with virtual.turn(), transaction.atomic():
            first = _next(account_id, is_patient)
            if first is None:
                return False
            if isinstance(first, BulkAction):
                acting.step(first, now())
            elif first.n_done < first.n_entries:
                _do(operations[first.operation], first, now())
            else:
                _end(operations[first.operation], first, now())
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("bulk_batch_waits", account_id=account_id)  # somebody who holds what we need; it has its next turn
    return True


def _next(account_id: int, is_patient: bool) -> Job | BulkAction | None:
    """Locked. Of an account that another process works for, none: not even its second job."""
    job = _waiting_jobs(account_id).order_by("pk").first()
    action = _waiting_actions(account_id).order_by("queued_at", "pk").first()
    if action is None or (job is not None and job.asked_at <= action.queued_at):
        locked = _waiting_jobs(account_id).select_for_update(skip_locked=not is_patient, no_key=True)
        return locked.filter(pk=job.pk).first() if job else None
    actions = _waiting_actions(account_id).select_for_update(skip_locked=not is_patient, no_key=True)
    return actions.filter(pk=action.pk).first()


def _waiting_jobs(account_id: int) -> QuerySet[Job]:
    return Job.objects.filter(account_id=account_id, ended_at=None)


def _waiting_actions(account_id: int) -> QuerySet[BulkAction]:
    waiting = (BulkAction.State.RUNNING, BulkAction.State.UNDOING)
    return BulkAction.objects.filter(account_id=account_id, state__in=waiting)


# --- A batch --------------------------------------------------------------------------------------------------------


def _do(operation: Operation, job: Job, now: datetime) -> None:
    batch = Batch.objects.get(job=job, first=job.n_done)
    entries: list[Entry | None] = json.loads(batch.entries)
    outcomes = _outcomes(operation, job, entries, now)
    failures, answers = [], []
    for number, (entry, outcome) in enumerate(zip(entries, outcomes, strict=True), batch.first):
        if isinstance(outcome, Failed):
            failures.append(Failure(job=job, entry=number, answer=_json(operation.failure(entry, outcome))))
        elif outcome.shape is not None and job.callback_url:
            answers.append(_json(outcome.shape))
    Failure.objects.bulk_create(failures)
    _keep_answers(batch, job, ",".join(answers))
    job.n_done += len(entries)
    job.n_failed += len(failures)
    job.n_answer_bytes += sum(len(one) for one in answers) + sum(len(one.answer) for one in failures)
    job.save(update_fields=["n_done", "n_failed", "n_answer_bytes"])


def _keep_answers(batch: Batch, job: Job, answers: str) -> None:
    """Only if somebody will be told."""
    if answers and job.n_answer_bytes <= LARGEST_CALLBACK:
        batch.entries, batch.answers = "", answers
        batch.save(update_fields=["entries", "answers"])
    else:
        batch.delete()


def _outcomes(operation: Operation, job: Job, entries: Sequence[Entry | None], now: datetime) -> list[Outcome]:
    """If one of them meets a mistake of ours, that one fails, and not all those around it again and again."""
    try:
        with transaction.atomic():
            return operation.outcomes(job.account_id, entries, now)
    except OperationalError:
        raise
    except Exception as error:
        log.error("bulk_batch_failed", exc_info=error, job_id=job.pk, operation=operation.name)
    return [_outcome_alone(operation, job, entry, now) for entry in entries]


def _outcome_alone(operation: Operation, job: Job, entry: Entry | None, now: datetime) -> Outcome:
    try:
        with transaction.atomic():
            [outcome] = operation.outcomes(job.account_id, [entry], now)
            return outcome
    except OperationalError:
        raise
    except Exception as error:
        log.error("bulk_entry_failed", exc_info=error, job_id=job.pk, operation=operation.name)
        return OUR_MISTAKE


def _json(shape: object) -> str:
    return to_json(shape).decode()


# --- The end --------------------------------------------------------------------------------------------------------


def _end(operation: Operation, job: Job, now: datetime) -> None:
    job.callback = _call_back(operation, job, now) if job.callback_url else ""
    job.ended_at = now
    job.save(update_fields=["callback", "ended_at"])
    Batch.objects.filter(job=job).delete()
    line.leave(job.account_id, job.n_bytes)
    log.info("bulk_job_ended", job_id=job.pk, operation=job.operation, n_entries=job.n_entries, n_failed=job.n_failed)


def _call_back(operation: Operation, job: Job, now: datetime) -> Job.Callback:
    """What a call with few entries answers, of all of them; how many they were, if that is too much to be told."""
    is_short = job.n_answer_bytes > LARGEST_CALLBACK
    bulk_answers.hold(job.account_id)
    body = _summary(job) if is_short else _answer(operation, job)
    try:
        queue.callback(job.account_id, job.callback_url, body, now, about=f"bulk {job.pk}")
    except Invalid:  # the operator has changed whom the server may call
        return Job.Callback.REFUSED
    return Job.Callback.TOO_LARGE if is_short else Job.Callback.QUEUED


def _summary(job: Job) -> bytes:
    """No member is one of the answer's: whoever looks for those must not find them empty."""
    sentence = f"The answer is too large; GET /ext/v1/bulk_jobs/{job.pk}/failures lists what could not be done"
    counts = {"n_entries": job.n_entries, "n_done": job.n_done, "n_failed": job.n_failed}
    return to_json({"errors": [sentence], "bulk_job": {"id": job.pk, "operation": job.operation, **counts}})


def _answer(operation: Operation, job: Job) -> bytes:
    answers = job.batches.order_by("first").exclude(answers="").values_list("answers", flat=True)
    failures = job.failures.order_by("pk").values_list("answer", flat=True)
    done = f'"{operation.answers}":[{",".join(answers.iterator())}],' if operation.answers else ""
    return f'{{{done}"failures":[{",".join(failures.iterator())}]}}'.encode()
