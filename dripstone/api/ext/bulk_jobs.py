"""Ours: the bulk calls that are done in the background, how far they are, and what could not be done."""

import json
from typing import Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.bulk import jobs
from dripstone.bulk.models import Failure, Job
from dripstone.shapes.instants import instant

router = Router(tags=["Bulk jobs"])


class JobShape(TypedDict):
    """n_done   entries that were looked at, those that failed included
    callback   what became of it: null without one and before the end, else `queued`, `too_large` or `refused`
    """

    id: int
    operation: str
    status: Literal["waiting", "done"]
    n_entries: int
    n_done: int
    n_failed: int
    callback_url: str | None
    callback: str | None
    asked_by: str
    asked_at: str
    ended_at: str | None


class FailureShape(TypedDict):
    """entry   its number in the call, from 0"""

    entry: int
    failure: dict[str, Any]


class JobAnswer(TypedDict):
    bulk_job: JobShape


class JobsAnswer(TypedDict):
    bulk_jobs: list[JobShape]
    pagination: Pagination


class FailuresAnswer(TypedDict):
    failures: list[FailureShape]
    pagination: Pagination


class JobFilters(Paging):
    status: Literal["waiting", "done", "all"] = "all"


@router.get("/bulk_jobs", response=JobsAnswer, summary="List bulk jobs")
def list_bulk_jobs(request: KitRequest, filters: Query[JobFilters]) -> HttpResponse:
    """Calls with more than 100 entries. They are kept for 30 days after their end."""
    rows = jobs.of_account(request.auth.account.pk)
    if filters.status != "all":
        rows = rows.filter(ended_at__isnull=filters.status == "waiting")
    found = page(rows, filters, "-id")
    return reply(200, bulk_jobs=[_job(one) for one in found.rows], pagination=found.pagination)


@router.get("/bulk_jobs/{int:id}", response=JobAnswer, summary="Get a bulk job")
def get_bulk_job(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, bulk_job=_job(lookup.row(jobs.of_account(request.auth.account.pk), id)))


@router.get("/bulk_jobs/{int:id}/failures", response=FailuresAnswer, summary="List what a bulk job could not do")
def list_failures(request: KitRequest, id: int, paging: Query[Paging]) -> HttpResponse:
    """In the order of the entries. `failure` is what the call would have answered of the entry."""
    job = lookup.row(jobs.of_account(request.auth.account.pk), id)
    found = page(Failure.objects.filter(job=job), paging, "id")
    shaped = [FailureShape(entry=one.entry, failure=json.loads(one.answer)) for one in found.rows]
    return reply(200, failures=shaped, pagination=found.pagination)


def _job(job: Job) -> JobShape:
    return JobShape(
        id=job.pk,
        operation=job.operation,
        status="done" if job.ended_at else "waiting",
        n_entries=job.n_entries,
        n_done=job.n_done,
        n_failed=job.n_failed,
        callback_url=job.callback_url or None,
        callback=job.callback or None,
        asked_by=job.asked_by,
        asked_at=instant(job.asked_at),
        ended_at=instant(job.ended_at) if job.ended_at else None,
    )
