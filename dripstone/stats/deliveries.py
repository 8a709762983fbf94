"""How many deliveries an account has: kept counts of those that have ended, rows of the rest."""

from datetime import datetime

from django.db.models import Q

from dripstone.engine.models import Delivery
from dripstone.sequences.models import SequenceEmail
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind

# Each of them the condition of a partial index, and none of them true of many rows.
_NOT_KEPT = (
    Q(email__isnull=False, status=Delivery.Status.PLANNED),
    Q(email__isnull=False, status=Delivery.Status.SENDING),
    Q(notice__isnull=False),
    Q(broadcast_id__isnull=False),
)


COUNTED_FAILED = 1_000  # rows that are looked at: 2 ms


def failed_since(account_id: int, since: datetime) -> int:
    """How many could not be delivered and ended since then, of the newest thousand that could not: more are not told
    apart."""
    failed = Delivery.objects.filter(account_id=account_id, status=Delivery.Status.FAILED).order_by("-pk")
    newest = failed.values_list("ended_at", flat=True)[:COUNTED_FAILED]
    return sum(ended_at >= since for ended_at in newest if ended_at is not None)


def of_account(account_id: int) -> int:
    """Rows that are there. What was pruned or deleted is in the kept counts, so the ledger is taken off again."""
    emails = list(SequenceEmail.objects.filter(account_id=account_id).values_list("pk", flat=True))
    ended = tallies.of(Kind.DELIVERIES, emails).total() - tallies.of(Kind.DELIVERIES_GONE, emails).total()
    rows = Delivery.objects.filter(account_id=account_id)
    return ended + sum(rows.filter(condition).count() for condition in _NOT_KEPT)
