"""Invitations: a link that lets one address in, once, for a week.

The link is a signature over the row's id: who reads the database alone can make none. Of an address and account only
the newest open one works. Accepting locks the row, so that a link pressed twice makes one user.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from dripstone import signing
from dripstone.accounts import members, names, verbs
from dripstone.accounts.models import Account, Invitation, Membership, Role, User
from dripstone.errors import Invalid, NotFound
from dripstone.given import Checked, Given, plain_address

LASTS = timedelta(days=7)
KEPT = timedelta(days=90)  # after that
MOST_OPEN = 50  # of an account
KIND = "invitation"


@transaction.atomic
def invite(account: Account, given: Given, by: User | None, now: datetime) -> Invitation:
    """given   `email_address`, `role`

    Raises Invalid, also for somebody who is in the account already. An earlier invitation of theirs is withdrawn.
    """
    read = Checked(given, required=("email_address", "role"), labels={"email_address": "Email address"})
    read.address("email_address")
    read.choice("role", Role.values)
    values = read.sound()
    email = plain_address(values["email_address"])
    names.lock(account.pk)
    if members.users_of(account).filter(email=email).exists():
        raise Invalid.member("email_address", "They are a member already; their role can be changed in the list")
    waiting = open_ones(account, now)
    waiting.filter(email=email).update(withdrawn_at=now)
    if waiting.count() >= MOST_OPEN:
        raise Invalid(f"{MOST_OPEN} invitations are open already: withdraw some, or wait until they expire")
    return _make(account, email, values["role"], by, now)


def to_sign_up(email: str, now: datetime) -> Invitation:
    """To make an account of one's own, for an address that asked for it."""
    return _make(None, plain_address(email), Role.OWNER, None, now)


def _make(account: Account | None, email: str, role: str, by: User | None, now: datetime) -> Invitation:
    return Invitation.objects.create(
        account=account, email=email, role=role, invited_by=by, invited_at=now, expires_at=now + LASTS
    )


def open_ones(account: Account, now: datetime) -> QuerySet[Invitation]:
    found = Invitation.objects.filter(account=account, accepted_at=None, withdrawn_at=None, expires_at__gt=now)
    return found.order_by("-pk")


def withdraw(account: Account, invitation_id: int, now: datetime) -> Invitation:
    """Raises NotFound when it is not open any more."""
    found = open_ones(account, now).filter(pk=invitation_id)
    if (row := found.first()) is None or not found.update(withdrawn_at=now):
        raise NotFound
    return row


def forget_ended(now: datetime) -> None:
    """Those whose time was over long ago, however they ended: their addresses are nobody's business any more."""
    Invitation.objects.filter(expires_at__lt=now - KEPT).delete()


def link(invitation: Invitation) -> str:
    return f"{settings.DRIPSTONE_URL}/i/{signing.make(KIND, invitation.pk)}"


def of_link(token: str, now: datetime) -> Invitation | None:
    """The invitation of a link that still works."""
    parts = signing.read(KIND, token)
    if parts is None or len(parts) != 1:
        return None
    rows = Invitation.objects.select_related("account")
    return rows.filter(pk=parts[0], accepted_at=None, withdrawn_at=None, expires_at__gt=now).first()


# --- Accepting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    user: User
    membership: Membership


@transaction.atomic
def accept(invitation_id: int, user: User | None, given: Given, now: datetime) -> Accepted:
    """user    whoever is signed in with the invited address; None: a new user, with `password`
    given   `password` of a new user; `name` and `time_zone` of the account to be made, if there is none yet

    Raises NotFound when the invitation has been used or withdrawn meanwhile, and Invalid.
    """
    row = _held(invitation_id, now)
    read = Checked(given, required=("name", "time_zone") if row.account is None else (), labels=verbs.LABELS)
    if row.account is None:
        verbs.read_account(read)
    if user is None:
        verbs.read_new_user(read, row.email)
    values = read.sound()
    user = user or verbs.make_user(row.email, values["password"], now)
    account = row.account or verbs.make_account(values["name"], row.email, values["time_zone"], now)
    row.accepted_at = now
    row.save(update_fields=["accepted_at"])
    return Accepted(user, members.join(account, user, row.role, now))


def _held(invitation_id: int, now: datetime) -> Invitation:
    """Locked, and still open."""
    rows = Invitation.objects.select_for_update(of=("self",)).select_related("account")
    row = rows.filter(pk=invitation_id, accepted_at=None, withdrawn_at=None, expires_at__gt=now).first()
    if row is None:
        raise NotFound
    return row
