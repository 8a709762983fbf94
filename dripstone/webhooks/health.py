"""Switches off receivers that have taken nothing for days, and tells the owners: by mail and on the page.

A callback is never switched off: there is one address per job, and each of its calls ends by itself.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Min, QuerySet

from dripstone.accounts import members
from dripstone.calls import queue
from dripstone.calls.models import Receiver
from dripstone.engine import notices
from dripstone.errors import Invalid

log = structlog.get_logger(__name__)

GIVE_UP_AFTER = timedelta(days=3)  # longer than the 41 hours of a call's eight attempts


def switch_off_failing(now: datetime) -> int:
    """Returns how many. By calls_receiver_failing, which holds only what fails now."""
    found = _failing().filter(failing_since__lte=now - GIVE_UP_AFTER).values_list("pk", flat=True)[:100]
    return sum(_switch_off(receiver_id, now) for receiver_id in list(found))


def next_instant(after: datetime) -> datetime | None:
    """When the next one will have failed for so long; for the virtual clock."""
    found = _failing().filter(failing_since__gt=after - GIVE_UP_AFTER).aggregate(since=Min("failing_since"))["since"]
    return None if found is None else found + GIVE_UP_AFTER


def _failing() -> QuerySet[Receiver]:
    rows = Receiver.objects.filter(off="", deleted_at=None, failing_since__isnull=False)
    return rows.exclude(kind=Receiver.Kind.CALLBACK)


@transaction.atomic
def _switch_off(receiver_id: int, now: datetime) -> bool:
    """False: somebody did, or it took something after all."""
    receiver = Receiver.objects.select_for_update(no_key=True).select_related("account").get(pk=receiver_id)
    since = receiver.failing_since
    if receiver.off or receiver.deleted_at or since is None or since > now - GIVE_UP_AFTER:
        return False
    receiver.off, receiver.off_at = Receiver.WhyOff.FAILING, now
    receiver.save(update_fields=["off", "off_at"])
    queue.end_waiting_of_switched_off(receiver.pk, now)
    _tell(receiver, since, now)
    log.warning("receiver_switched_off", receiver_id=receiver.pk, account_id=receiver.account_id)
    return True


def _tell(receiver: Receiver, since: datetime, now: datetime) -> None:
    if notices.why_no_account_mail():
        return  # the page says it
    for address in members.addresses_of_owners(receiver.account):
        try:
            with transaction.atomic():
                notices.webhook_off(receiver.account, address, receiver.url, since, now)
        except Invalid as problem:  # an address that no mail server takes: the others are told all the same
            log.warning("owner_not_told", account_id=receiver.account_id, problem=str(problem))
