"""Wake a worker for imports. The rows say what waits, so a lost job of Procrastinate's costs seconds."""

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

TASK = "dripstone.imports.tasks.work"


def worker() -> None:
    """Once the caller's transaction is committed, unless a job waits already."""
    transaction.on_commit(_work)


def _work() -> None:
    try:
        with transaction.atomic():
            app.configure_task(TASK, queueing_lock=TASK).defer()
    except AlreadyEnqueued:
        pass
