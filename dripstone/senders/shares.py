"""Connections of all workers together: each worker process has a share of them, for as long as it renews it.

Takes       how many connections there may be in all, and how many this worker would like
Leaves      this worker's share in models.Share. All shares together never exceed the number
A crash here means: the dead worker's share comes back after KEPT.

A worker that joins gets what is free. The others come down to an equal part with their next batch, then it gets more.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Sum

from dripstone.senders.models import Share

KEPT = timedelta(seconds=90)  # an unused connection is given back after 60


@transaction.atomic
def renew(server: str, worker: str, in_all: int, wanted: int, now: datetime) -> int:
    """How many connections this worker may have open from now on; 0: none yet, another must give some back first."""
    with connection.cursor() as cursor:  # one at a time per server; ends with the transaction
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"connections {server}"])
    shares = Share.objects.filter(server=server)
    shares.filter(until__lte=now).delete()
    others = shares.exclude(worker=worker)
    n_others = others.aggregate(n=Sum("n_connections"))["n"] or 0
    n_equal = max(1, in_all // (others.count() + 1))
    n_mine = max(0, min(wanted, n_equal, in_all - n_others))
    shares.update_or_create(server=server, worker=worker, defaults={"n_connections": n_mine, "until": now + KEPT})
    return n_mine


def give_back(worker: str) -> None:
    """When a worker stops in order: its share is free at once."""
    Share.objects.filter(worker=worker).delete()
