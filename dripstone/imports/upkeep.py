"""Forgets what nobody needs any more of imports that ended long ago, and those that were never ended.

Takes       imports that ended, or that nobody has gone on with, for KEPT
Leaves      the import itself: what it did, and whose word the consent was
A crash here means some batches are gone and the others are not: the next time goes on.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Greatest

from dripstone.imports.models import Import

KEPT = timedelta(days=30)
BATCH = 10_000  # rows

_WAITING_FOR_SOMEBODY = ("uploading", "uploaded", "ready")
_FORGET = """
DELETE FROM {table} WHERE of_import_id = %(import)s AND {key} IN (
    SELECT {key} FROM {table} WHERE of_import_id = %(import)s LIMIT %(most)s)
"""
_TABLES = {"imports_rejected": "number", "imports_touched": "subscriber_id"}


def forget_old(now: datetime, *, rehearse: bool = False, after_batch: Callable[[], None] = lambda: None) -> int:
    """How many imports. Those that nobody has gone on with are cancelled, and their file goes with the next work."""
    cutoff = now - KEPT
    abandoned = Import.objects.annotate(last_at=Greatest("begun_at", Coalesce("uploaded_at", "begun_at"))).filter(
        state__in=_WAITING_FOR_SOMEBODY, last_at__lt=cutoff
    )
    ended = Import.objects.filter(Q(undone_at=None, ended_at__lt=cutoff) | Q(undone_at__lt=cutoff), is_forgotten=False)
    ended = ended.exclude(state__in=Import.WORKING)
    if rehearse:
        return abandoned.count() + ended.count()
    n_abandoned = abandoned.update(state=Import.State.CANCELLED, ended_at=now)
    ids = list(ended.order_by("pk").values_list("pk", flat=True))
    for import_id in ids:
        _forget(import_id, after_batch)
    return n_abandoned + len(ids)


def _forget(import_id: int, after_batch: Callable[[], None]) -> None:
    """First it says that it cannot be undone any more."""
    with transaction.atomic():
        if not Import.objects.filter(pk=import_id).exclude(state__in=Import.WORKING).update(is_forgotten=True):
            return
    for table, key in _TABLES.items():
        n_gone = BATCH
        while n_gone == BATCH:
            with connection.cursor() as cursor:
                cursor.execute(_FORGET.format(table=table, key=key), {"import": import_id, "most": BATCH})
                n_gone = cursor.rowcount
            after_batch()
