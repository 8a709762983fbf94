"""Who belongs to an account, and as what. An account always keeps an owner: whoever could take the last one away waits
for the account's lock, and counts under it."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from dripstone.accounts import names
from dripstone.accounts.models import Account, Membership, Role, User
from dripstone.errors import Invalid, NotFound
from dripstone.given import Checked, Given

LAST_OWNER = "An account needs an owner: make somebody else one first"


def users_of(account: Account) -> QuerySet[User]:
    """In the order in which they joined: the first one made the account, or has been in it for longest."""
    return User.objects.filter(memberships__account=account).order_by("memberships__id")


def addresses_of_owners(account: Account) -> list[str]:
    owners = Membership.objects.filter(account=account, role=Role.OWNER).order_by("pk")
    return list(owners.values_list("user__email", flat=True))


def everybody(account_id: int | None) -> Iterator[tuple[User, int | None, str | None]]:
    """All users, or those of one account, each once per account they are in, with their role there; once with None for
    one that is in none."""
    users = User.objects.filter(memberships__account=account_id) if account_id else User.objects.all()
    for user in users.prefetch_related("memberships").order_by("pk"):
        places = [one for one in user.memberships.all() if account_id in (None, one.account_id)]
        if not places:
            yield user, None, None
        for one in places:
            yield user, one.account_id, one.role


def of_user(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(user=user).select_related("account").order_by("pk")


def join(account: Account, user: User, role: str, now: datetime) -> Membership:
    """Somebody who is in it already keeps the role they have."""
    return Membership.objects.get_or_create(account=account, user=user, defaults={"role": role, "created_at": now})[0]


@transaction.atomic
def change_role(account: Account, membership_id: int, given: Given) -> Membership:
    """given   `role`

    Raises NotFound, and Invalid for no role, or when it would leave the account without an owner.
    """
    member = _locked(account, membership_id)
    read = Checked(given, required=("role",))
    read.choice("role", Role.values)
    role = read.sound()["role"]
    if role != Role.OWNER:
        _leave_an_owner(member)
    member.role = role
    member.save(update_fields=["role"])
    return member


@transaction.atomic
def remove(account: Account, membership_id: int) -> Membership:
    """Takes somebody out, at once: their next request finds no account. Raises NotFound, and Invalid for the last
    owner."""
    member = _locked(account, membership_id)
    _leave_an_owner(member)
    member.delete()
    return member


def _locked(account: Account, membership_id: int) -> Membership:
    names.lock(account.pk)
    found = Membership.objects.select_related("user").filter(account=account, pk=membership_id).first()
    if found is None:
        raise NotFound
    return found


def _leave_an_owner(member: Membership) -> None:
    others = Membership.objects.filter(account_id=member.account_id, role=Role.OWNER).exclude(pk=member.pk)
    if member.role == Role.OWNER and not others.exists():
        raise Invalid(LAST_OWNER)
