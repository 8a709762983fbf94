"""How far bulk jobs are, and what they could not do, over HTTP."""

from typing import Any

import pytest

from dripstone.bulk import operations, runner
from dripstone.bulk.models import Job
from tests.api.caller import Caller


def ask(alice: Caller, *names: str, url: str | None = None) -> int:
    """The id of a job of 100 tags, and these."""
    tags = [{"name": name} for name in (*names, *(f"t{n}" for n in range(101)))]
    assert alice.post("/v4/bulk/tags", {"tags": tags, "callback_url": url}) == (202, {})
    return Job.objects.latest("pk").pk


def shown(alice: Caller, job_id: int) -> Any:
    status, answer = alice.get(f"/ext/v1/bulk_jobs/{job_id}")
    assert status == 200
    return answer["bulk_job"]


def test_a_job_tells_how_far_it_is(alice: Caller, now: Any) -> None:
    job_id = ask(alice, "", url="https://example.com/done")
    waiting = {
        "id": job_id,
        "operation": "create_tags",
        "status": "waiting",
        "n_entries": 102,
        "n_done": 0,
        "n_failed": 0,
        "callback_url": "https://example.com/done",
        "callback": None,
        "asked_by": shown(alice, job_id)["asked_by"],
        "asked_at": "2026-11-23T09:00:00Z",
        "ended_at": None,
    }
    assert waiting["asked_by"].startswith("API key test (…")
    assert shown(alice, job_id) == waiting
    runner.step(operations.ALL, alice.account.pk, lambda: now)
    assert shown(alice, job_id) == waiting | {"n_done": 102, "n_failed": 1}
    runner.step(operations.ALL, alice.account.pk, lambda: now)
    ended = {"status": "done", "n_done": 102, "n_failed": 1, "callback": "queued", "ended_at": "2026-11-23T09:00:00Z"}
    assert shown(alice, job_id) == waiting | ended


def test_jobs_are_listed_by_whether_they_have_ended(alice: Caller, now: Any) -> None:
    first = ask(alice)
    runner.finish(operations.ALL, alice.account.pk, lambda: now)
    second = ask(alice)
    listed = {
        status: [one["id"] for one in alice.get("/ext/v1/bulk_jobs", status=status)[1]["bulk_jobs"]]
        for status in ("all", "waiting", "done")
    }
    assert listed == {"all": [second, first], "waiting": [second], "done": [first]}
    assert alice.get("/ext/v1/bulk_jobs", status="late")[0] == 422


def test_failures_are_listed_in_the_order_of_entries(alice: Caller, now: Any) -> None:
    job_id = ask(alice, "", "A", " ")
    runner.finish(operations.ALL, alice.account.pk, lambda: now)
    path, blank = f"/ext/v1/bulk_jobs/{job_id}/failures", ["Name can't be blank"]
    page = alice.get(path, per_page=1)[1]
    assert page["failures"] == [{"entry": 0, "failure": {"errors": blank, "tag": {"name": ""}}}]
    after = alice.get(path, after=page["pagination"]["end_cursor"])[1]
    assert after["failures"] == [{"entry": 2, "failure": {"errors": blank, "tag": {"name": " "}}}]


@pytest.mark.django_db
def test_what_was_asked_for_is_done_before_the_clock_moves(alice: Caller, mallory: Caller) -> None:
    ask(alice, "soon")
    assert mallory.post("/ext/v1/clock/advance", {"seconds": 60})[0] == 200
    assert alice.account.tags.get(name="soon").created_at.minute == 0
    assert alice.account.tags.count() == 102
