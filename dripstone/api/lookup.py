"""Finds the rows that a URL or body names, in the caller's account only: rows of other accounts are not found."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from dripstone.accounts.models import Account
from dripstone.errors import NotFound
from dripstone.given import plain_address
from dripstone.postgresql.compiled import Compiled, Parameter
from dripstone.subscribers.models import Subscriber

M = TypeVar("M", bound=Model)


MAX_ID = 2**63 - 1
ACCOUNT, ID = Parameter("account"), Parameter("id")
_BY_ADDRESS = Compiled(lambda: Subscriber.objects.filter(account=ACCOUNT, email_address=Parameter("address")))


def row(rows: QuerySet[M], pk: int) -> M:
    """`row(account.tags.all(), 3)`. Raises NotFound. An id no column could hold is unknown like any other."""
    return _found(rows.filter(pk=pk).first())


def own(rows: Compiled[M], account: Account, pk: int) -> M:
    """The same at a quarter of the cost, for rows that most calls need.

    rows  by ACCOUNT and ID; its `account` is set to this one, which saves a query
    """
    found = _found(rows.first(account=account.pk, id=pk) if pk <= MAX_ID else None)
    found.account = account  # type: ignore[attr-defined]
    return found


def _found(row: M | None) -> M:
    if row is None:
        raise NotFound
    return row


def subscriber_by_address(account_id: int, email_address: str) -> Subscriber:
    """In any case. Raises NotFound."""
    return _found(_BY_ADDRESS.first(account=account_id, address=plain_address(email_address)))
