"""Bulk calls: few entries are done at once, more are kept as a job (runner.py)."""

import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from django.db import OperationalError, transaction
from django.db.models import QuerySet

from dripstone import outbound
from dripstone.bulk import line, wake
from dripstone.bulk.models import Batch, Job
from dripstone.bulk.outcomes import Failed, Operation, Shape
from dripstone.errors import Invalid, Problem, TooLarge
from dripstone.given import Checked, Given

AT_ONCE = 100  # entries of a call, as Kit's
INSERTED = 20  # batches in a statement: a call has up to 16 MB
KEPT_DAYS = 30  # after the end
TRIES = 3  # two calls about the same people in another order may wait for each other: one is told, and begins again

FULL = (
    "This request exceeds your queued bulk requests limit. Please wait while we process your existing requests and try"
    " again later."
)


def read(operation: Operation, given: Given) -> tuple[list[Any], str]:
    """The entries and `callback_url`, "" when there is none. Raises Invalid with every problem."""
    entries = given.get(operation.entries)
    if not isinstance(entries, list):
        entries = []
    problems: list[Problem] = [] if entries else [(operation.entries, operation.nothing)]
    read = Checked(given)
    read.text_or_null("callback_url")
    problems += read.problems
    url = read.values.get("callback_url") or ""
    if url:
        try:
            outbound.check(url, "callback_url")
        except Invalid as refused:
            problems += refused.problems
    if problems:
        raise Invalid(problems=problems)
    return list(map(operation.trimmed, entries)), url


def at_once(operation: Operation, account_id: int, entries: Sequence[Any], now: datetime) -> dict[str, list[Shape]]:
    """Does them, and returns the members of the answer.

    entries   trimmed
    """
    for n_left in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                outcomes = operation.outcomes(account_id, entries, now)
            break
        except OperationalError as error:
            if not n_left or not is_deadlock(error):
                raise
    answers: dict[str, list[Shape]] = {operation.answers: []} if operation.answers else {}
    answers["failures"] = []
    for entry, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Failed):
            answers["failures"].append(operation.failure(entry, outcome))
        elif outcome.shape is not None:
            answers[operation.answers].append(outcome.shape)
    return answers


def is_deadlock(error: OperationalError) -> bool:
    return isinstance(error.__cause__, psycopg.errors.DeadlockDetected)


@transaction.atomic
def keep(
    operation: Operation,
    account_id: int,
    entries: Sequence[Any],
    callback_url: str,
    now: datetime,
    *,
    n_bytes: int,
    asked_by: str,
) -> Job:
    """They will be done later.

    entries   trimmed
    n_bytes   of the call
    asked_by  the credential, as notes name it
    Raises TooLarge when so much waits already that this does not fit.
    """
    if not line.stand_in(account_id, n_bytes):
        raise TooLarge(FULL)
    job = Job.objects.create(
        account_id=account_id,
        operation=operation.name,
        callback_url=callback_url,
        asked_by=asked_by,
        asked_at=now,
        n_bytes=n_bytes,
        n_entries=len(entries),
    )
    batches = (
        Batch(job=job, first=first, entries=_json(entries[first : first + operation.at_a_time]))
        for first in range(0, len(entries), operation.at_a_time)
    )
    while some := list(itertools.islice(batches, INSERTED)):
        Batch.objects.bulk_create(some)
    wake.worker()
    return job


def _json(entries: Sequence[Any]) -> str:
    return json.dumps(entries, separators=(",", ":"))


def of_account(account_id: int) -> QuerySet[Job]:
    return Job.objects.filter(account_id=account_id)


def recent(account_id: int, since: datetime, most: int) -> list[Job]:
    """Those that wait, the next first; then the last that have ended, if not before then."""
    waiting = of_account(account_id).filter(ended_at=None).order_by("pk")[:most]
    newest = of_account(account_id).order_by("-pk")[:most]
    return [*waiting, *(job for job in newest if job.ended_at and job.ended_at >= since)][:most]


def first_failure(job: Job) -> str:
    """What was wrong with the first entry that failed."""
    answer = job.failures.order_by("pk").values_list("answer", flat=True).first()
    return "; ".join(json.loads(answer)["errors"]) if answer else ""
