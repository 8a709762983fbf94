"""From addresses of an account: added, verified by a link in a mail that goes to them, made the default, removed.

Sequences send from verified ones alone. The link holds a signature over the row's id and the instant it was asked for:
only the newest works, for a week, and nothing that opens anything is kept here.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from dripstone import signing
from dripstone.accounts import names
from dripstone.accounts.models import Account, SendingAddress
from dripstone.errors import Invalid, NotFound
from dripstone.given import Checked, Given

LASTS = timedelta(days=7)
NOT_AGAIN_WITHIN = timedelta(minutes=5)
MOST = 50
KIND = "sending address"
LABELS = {"email_address": "Email address", "from_name": "From name"}


def of_account(account: Account) -> QuerySet[SendingAddress]:
    """The default one first."""
    return account.sending_addresses.order_by("-is_default", "pk")


def verified(account: Account) -> QuerySet[SendingAddress]:
    return of_account(account).filter(is_verified=True)


def find(account: Account, address_id: int) -> SendingAddress:
    """Raises NotFound."""
    found = account.sending_addresses.filter(pk=address_id).first()
    if found is None:
        raise NotFound
    return found


@transaction.atomic
def add(account: Account, given: Given, now: datetime) -> SendingAddress:
    """given   `email_address`, `from_name` ("" or left out: none)

    It is not verified yet. Raises Invalid.
    """
    read = Checked(given, required=("email_address",), labels=LABELS)
    read.address("email_address")
    _read_from_name(read)
    names.lock(account.pk)
    mine = account.sending_addresses
    if "email_address" in read.values and mine.filter(email_address__iexact=read.values["email_address"]).exists():
        read.wrong("email_address", "is in the list already")
    values = read.sound()
    if mine.count() >= MOST:
        raise Invalid(f"An account has at most {MOST} sending addresses")
    return mine.create(
        email_address=values["email_address"],
        from_name=values.get("from_name") or "",
        is_verified=False,
        created_at=now,
    )


def rename(account: Account, address_id: int, given: Given) -> SendingAddress:
    """given   `from_name`: what readers see beside the address. Raises NotFound and Invalid."""
    read = Checked(given, labels=LABELS)
    _read_from_name(read)
    row = find(account, address_id)
    row.from_name = read.sound().get("from_name") or ""
    row.save(update_fields=["from_name"])
    return row


def _read_from_name(read: Checked) -> None:
    read.text_or_null("from_name", 255)
    name = read.values.get("from_name")
    if name and any(not letter.isprintable() for letter in name):
        read.wrong("from_name", "must be one line")
    elif name:
        read.values["from_name"] = name.strip()


@transaction.atomic
def make_default(account: Account, address_id: int) -> SendingAddress:
    """New sequences and confirmations come from it. Raises NotFound, and Invalid for one that is not verified."""
    names.lock(account.pk)
    row = find(account, address_id)
    if not row.is_verified:
        raise Invalid("Only a verified address can be the default")
    account.sending_addresses.filter(is_default=True).exclude(pk=row.pk).update(is_default=False)
    row.is_default = True
    row.save(update_fields=["is_default"])
    return row


def remove(row: SendingAddress) -> None:
    """Whether sequences send from it is for the caller to look at. Raises Invalid for the default one."""
    if row.is_default:
        raise Invalid("The default address stays: make another one the default first")
    row.delete()


# --- Verifying --------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(account: Account, address_id: int, now: datetime) -> SendingAddress:
    """Notes that a mail with a link goes to it; links of earlier ones end. Raises NotFound, and Invalid when it is
    verified, or was asked less than five minutes ago."""
    names.lock(account.pk)
    row = find(account, address_id)
    if row.is_verified:
        raise Invalid("This address is verified already")
    if row.asked_at is not None and row.asked_at > now - NOT_AGAIN_WITHIN:
        raise Invalid("A mail went to this address less than 5 minutes ago")
    row.asked_at = now
    row.save(update_fields=["asked_at"])
    return row


def link(row: SendingAddress) -> str:
    return f"{settings.DRIPSTONE_URL}/v/{signing.make(KIND, row.pk, _stamp(row))}"


def of_link(token: str, now: datetime) -> SendingAddress | None:
    """The address of a link that still works, verified or not."""
    parts: Any = signing.read(KIND, token)
    if parts is None or len(parts) != 2:
        return None
    row = SendingAddress.objects.select_related("account").filter(pk=parts[0], asked_at__gt=now - LASTS).first()
    return row if row and _stamp(row) == parts[1] else None


def verify(row: SendingAddress) -> None:
    SendingAddress.objects.filter(pk=row.pk).update(is_verified=True)


def _stamp(row: SendingAddress) -> int:
    return round(row.asked_at.timestamp() * 1_000_000) if row.asked_at else 0
