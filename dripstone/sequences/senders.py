"""Which sequences send from an address."""

from django.db import transaction
from django.db.models import ProtectedError, QuerySet

from dripstone.accounts import sending_addresses
from dripstone.accounts.models import Account, SendingAddress
from dripstone.errors import Invalid
from dripstone.sequences.models import Sequence


def using(address: SendingAddress) -> QuerySet[Sequence]:
    """Those that are there; a deleted one sends nothing."""
    return Sequence.objects.filter(sending_address=address, deleted_at=None).order_by("name", "pk")


@transaction.atomic
def remove(account: Account, address_id: int) -> SendingAddress:
    """Raises NotFound, and Invalid for the default one and for one that sequences send from. Deleted sequences get the
    default one in its place."""
    row = sending_addresses.find(account, address_id)
    if names := [sequence.name for sequence in using(row)[:3]]:
        raise Invalid(f"Sequences send from it: {', '.join(names)}")
    default = account.sending_addresses.filter(is_default=True).first()
    if default is not None:
        Sequence.objects.filter(sending_address=row).update(sending_address=default)
    try:
        with transaction.atomic():
            sending_addresses.remove(row)
    except ProtectedError:  # somebody has just chosen it
        raise Invalid("A sequence sends from it") from None
    return row
