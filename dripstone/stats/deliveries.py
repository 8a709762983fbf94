"""How many deliveries an account has: kept counts of those that have ended, rows of the rest."""

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


def of_account(account_id: int) -> int:
    """Rows that are there. What was pruned or deleted is in the kept counts, so the ledger is taken off again."""
    emails = list(SequenceEmail.objects.filter(account_id=account_id).values_list("pk", flat=True))
    ended = tallies.of(Kind.DELIVERIES, emails).total() - tallies.of(Kind.DELIVERIES_GONE, emails).total()
    rows = Delivery.objects.filter(account_id=account_id)
    return ended + sum(rows.filter(condition).count() for condition in _NOT_KEPT)
