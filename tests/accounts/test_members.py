"""Who belongs to an account, and as what."""

from typing import Any

import pytest
from django.db import connection

from dripstone.accounts import members
from dripstone.accounts.models import Membership, User
from dripstone.errors import Invalid, NotFound
from tests.factories import MONDAY_9, make_account, make_user
from tests.racing import together

pytestmark = pytest.mark.django_db


def membership(user: User) -> Membership:
    return Membership.objects.get(user=user)


def test_somebody_belongs_to_several_accounts_with_a_role_in_each() -> None:
    work, club = make_account("Work"), make_account("Club")
    carol = make_user(work, role="viewer")
    members.join(club, carol, "owner", MONDAY_9)
    assert [(one.account, one.role) for one in members.of_user(carol)] == [(work, "viewer"), (club, "owner")]
    assert list(members.users_of(club)) == [carol]


def test_an_owner_of_another_account_is_none_of_this_one() -> None:
    work, club = make_account("Work"), make_account("Club")
    ann, bob = make_user(work), make_user(club)
    members.join(work, bob, "viewer", MONDAY_9)
    members.join(club, ann, "viewer", MONDAY_9)
    assert members.addresses_of_owners(work) == [ann.email]
    assert list(members.users_of(club)) == [bob, ann]


def test_who_joins_again_keeps_the_role_they_have() -> None:
    account = make_account()
    owner = make_user(account)
    assert members.join(account, owner, "viewer", MONDAY_9).role == "owner"


def test_a_role_is_changed() -> None:
    account = make_account()
    make_user(account)
    carol = membership(make_user(account, role="viewer"))
    assert members.change_role(account, carol.pk, {"role": "editor"}).role == "editor"
    carol.refresh_from_db()
    assert carol.role == "editor"


@pytest.mark.parametrize("role", ["admin", "", None, 1])
def test_a_role_that_is_none_is_refused(role: Any) -> None:
    account = make_account()
    owner = membership(make_user(account))
    with pytest.raises(Invalid, match="role"):
        members.change_role(account, owner.pk, {"role": role})


def test_the_last_owner_stays() -> None:
    account = make_account()
    owner = membership(make_user(account))
    make_user(account, role="editor")
    with pytest.raises(Invalid, match="needs an owner"):
        members.remove(account, owner.pk)
    with pytest.raises(Invalid, match="needs an owner"):
        members.change_role(account, owner.pk, {"role": "viewer"})
    assert members.change_role(account, owner.pk, {"role": "owner"}).is_owner


def test_members_of_another_account_are_not_found() -> None:
    alice, mallory = make_account("Alice"), make_account("Mallory")
    owner = membership(make_user(alice))
    with pytest.raises(NotFound):
        members.remove(mallory, owner.pk)
    with pytest.raises(NotFound):
        members.change_role(mallory, owner.pk, {"role": "viewer"})


@pytest.mark.django_db(transaction=True)
def test_of_owners_who_leave_at_once_one_stays() -> None:
    account = make_account()
    waiting = [membership(make_user(account)).pk for _ in range(4)]
    results = together(lambda: members.remove(account, waiting.pop()), times=4)
    assert [type(one) for one in results].count(Invalid) == 1
    assert Membership.objects.get().is_owner


@pytest.mark.django_db(transaction=True)
def test_owners_who_demote_each_other_at_once_leave_one() -> None:
    account = make_account()
    waiting = [membership(make_user(account)).pk for _ in range(4)]
    together(lambda: members.change_role(account, waiting.pop(), {"role": "viewer"}), times=4)
    assert Membership.objects.filter(role="owner").count() == 1


def test_a_user_whom_the_version_before_makes_owns_the_account_it_says() -> None:
    account = make_account()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, email, created_at, account_id) VALUES ('', 'o@example.com', %s, %s)",
            [MONDAY_9, account.pk],
        )
    assert [user.email for user in members.users_of(account)] == ["o@example.com"]
    assert membership(User.objects.get()).is_owner
